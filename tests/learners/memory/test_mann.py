"""MANN and its control: the protocol of sequences, and what is theirs alone in the contract."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from cases.batches import balanced_batch
from kshot.episodes.family import Regression
from kshot.errors import RecipeError
from kshot.learners.memory.lstm_control import LSTMControl
from kshot.learners.memory.mann import MANN
from kshot.learners.memory.sequence_learner import SequenceLearner, in_order, sequence_order


def mann(outputs: int = 3, characters: int = 1) -> SequenceLearner:
    torch.manual_seed(0)
    return MANN(nn.Identity(), 4, outputs, characters=characters, hidden=6, heads=2, slots=9, width=3).double()


def control(outputs: int = 3, characters: int = 1) -> SequenceLearner:
    torch.manual_seed(0)
    return LSTMControl(nn.Identity(), 4, outputs, characters=characters, hidden=6).double()


BOTH = pytest.mark.parametrize("make", [mann, control])


def items(B: int, T: int) -> Tensor:
    return torch.randn(B, T, 4, generator=torch.Generator().manual_seed(5), dtype=torch.float64)


@BOTH
def test_an_answer_depends_on_the_labels_before_it_and_not_on_its_own(make: Callable[[], SequenceLearner]) -> None:
    learner, x = make(), items(1, 6)
    y = torch.tensor([[0, 1, 2, 0, 1, 2]])[..., None]
    other = y.clone()
    other[0, 3] = 1
    changed = (learner.answer_sequence(x, y) - learner.answer_sequence(x, other)).abs().amax(-1)[0]
    assert changed[:4].max() == 0
    assert (changed[4:] > 1e-9).all()


@BOTH
def test_a_query_leaves_no_trace(make: Callable[[], SequenceLearner]) -> None:
    learner, x, y = make().eval(), items(2, 5), torch.tensor([[0, 1, 2, 0, 1]] * 2)
    adapted = learner.adapt(x, y, way=3)
    before = {name: value.clone() for name, value in adapted.state.items()}
    first = learner.predict(adapted, items(2, 3))
    assert all(torch.equal(adapted.state[name], value) for name, value in before.items())
    torch.testing.assert_close(learner.predict(adapted, items(2, 3)[:, [2]]), first[:, [2]])


@BOTH
def test_a_query_is_answered_as_the_next_item_of_the_sequence(make: Callable[[], SequenceLearner]) -> None:
    learner, x, y = make().eval(), items(1, 5), torch.tensor([[0, 1, 2, 0, 1]])
    query = items(1, 6)[:, 5:]
    adapted = learner.adapt(x, y, way=3)
    order = sequence_order(np.zeros(1, dtype=np.int64), 5)
    shown = torch.cat([in_order(x, order), query], 1)
    spelled = learner.code.spell(torch.cat([y.gather(1, order), torch.zeros(1, 1, dtype=torch.int64)], 1), adapted.strings)
    expected = learner.code.class_logits(learner.answer_sequence(shown, spelled)[:, -1:], adapted.strings)
    torch.testing.assert_close(learner.predict(adapted, query), expected)


def test_more_queries_than_are_answered_at_once_are_answered_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    learner = mann().eval()
    adapted = learner.adapt(items(2, 5), torch.tensor([[0, 1, 2, 0, 1]] * 2), way=3)
    whole = learner.predict(adapted, items(2, 7))
    monkeypatch.setattr("kshot.learners.memory.mann._COPIES", 6)
    torch.testing.assert_close(learner.predict(adapted, items(2, 7)), whole)


@BOTH
def test_training_counts_every_step_of_one_sequence(make: Callable[[], SequenceLearner]) -> None:
    learner, batch = make(), balanced_batch(4, first=7)
    losses = learner.meta_backward(batch, 0.0)
    order = sequence_order(np.array([7, 8]), 12)
    y = torch.cat([batch.support_y, batch.query_y], 1).gather(1, order)
    spelled = learner.code.spell(y, learner.code.draw(np.array([7, 8]), 3, torch.device("cpu")))
    assert isinstance(batch.support_x, Tensor)
    assert isinstance(batch.query_x, Tensor)
    log_p = learner.answer_sequence(in_order(torch.cat([batch.support_x, batch.query_x], 1), order), spelled).log_softmax(-1)
    torch.testing.assert_close(losses, -log_p.gather(-1, spelled)[..., 0].mean(1).detach())


def test_the_order_is_a_permutation_that_belongs_to_the_number_of_the_episode() -> None:
    orders = sequence_order(np.arange(500), 6)
    assert bool((orders.sort(1).values == torch.arange(6)).all())
    assert torch.equal(sequence_order(np.array([17, 4]), 6), orders[[17, 4]])
    assert abs((orders[:, 0] == 3).double().mean().item() - 1 / 6) < 0.07


@BOTH
def test_sequences_longer_than_in_training_and_than_the_memory_are_answered(make: Callable[[], SequenceLearner]) -> None:
    learner, y = make().eval(), torch.arange(200)[None, :, None] % 3
    assert bool(torch.isfinite(learner.answer_sequence(items(1, 200), y)).all())


def test_string_labels_let_a_learner_have_more_classes_than_outputs() -> None:
    learner = mann(2, 3)
    learner.meta_backward(balanced_batch(4, N=8, S=8, Q=8), 0.0)
    adapted = learner.eval().adapt(items(1, 8), torch.arange(8)[None], way=8)
    probabilities = learner.predict(adapted, items(1, 4)).exp()
    assert probabilities.shape == (1, 4, 8)
    torch.testing.assert_close(probabilities.sum(-1), torch.ones(1, 4, dtype=torch.float64))  # all eight strings are taken


@BOTH
def test_more_classes_than_labels_are_refused(make: Callable[[], SequenceLearner]) -> None:
    learner = make()
    with pytest.raises(
        RecipeError, match=r"at most 3 classes \(outputs=3, characters=1\); found way=4. Lower way, or build it with outputs=4"
    ):
        learner.adapt(items(1, 4), torch.arange(4)[None], way=4)
    with pytest.raises(RecipeError, match="found way=4"):
        learner.meta_backward(replace(balanced_batch(4, N=4), way=4), 0.0)


@BOTH
def test_another_number_of_features_is_named(make: Callable[[], SequenceLearner]) -> None:
    with pytest.raises(RecipeError, match=r"built with features=4; its backbone gives \(5,\) per item"):
        make().encode(torch.zeros(2, 5))


def test_settings_that_make_no_sense_are_refused() -> None:
    with pytest.raises(RecipeError, match="the memory has 2 slots, but 4 heads write to 4 different slots"):
        MANN(nn.Identity(), 4, slots=2)
    with pytest.raises(RecipeError, match="usage_decay must be a number from 0 up to, but not including, 1; found 1"):
        MANN(nn.Identity(), 4, usage_decay=1)
    with pytest.raises(RecipeError, match="hidden must be 1 or more; found 0"):
        LSTMControl(nn.Identity(), 4, hidden=0)
    for made in (MANN, LSTMControl):
        with pytest.raises(RecipeError, match="learns classification tasks"):
            made(nn.Identity(), 4, family=Regression())
