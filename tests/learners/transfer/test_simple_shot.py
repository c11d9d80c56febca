"""SimpleShot: by hand, against loops in NumPy, the mean feature of training, and the loss that trains it."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from cases.batches import logits_of, unbalanced_batch
from kshot.backbones.conv4 import Conv4
from kshot.backbones.mlp import MLP
from kshot.episodes.episode import EpisodeBatch
from kshot.episodes.family import Regression
from kshot.episodes.item_stream import ItemBatch
from kshot.errors import RecipeError
from kshot.learners.contract.check import ALWAYS, CLASSIFICATION, FIRST, INDUCTIVE, ITEMS, UNORDERED, check_learner
from kshot.learners.heads.centres import prototypes
from kshot.learners.learner import Learner
from kshot.learners.transfer.simple_shot import SimpleShot, SimpleShotL2N, centred_directions, directions


def centred_at(centre: Tensor) -> SimpleShot:
    learner = SimpleShot(nn.Identity(), features=len(centre)).to(centre.dtype).eval()
    learner.centre.copy_(centre)
    return learner


# By hand.


def test_centred_directions_by_hand() -> None:
    learner = centred_at(torch.tensor([1.0, 1.0]))
    # Less (1, 1): (3, 0) → (1, 0); (0, 2) → (0, 1), both of class 0, so its centroid is (1/2, 1/2). (0, -5) → (0, -1) is class 1.
    task = learner.adapt(torch.tensor([[[4.0, 1.0], [1.0, 3.0], [1.0, -4.0]]]), torch.tensor([[0, 0, 1]]), way=2)
    assert task.centres.tolist() == [[[0.5, 0.5], [0.0, -1.0]]]
    # The query (8, 1) → (1, 0): 1/4 + 1/4 from the first, 1 + 1 from the second.
    assert learner.predict(task, torch.tensor([[[8.0, 1.0]]])).tolist() == [[[-0.5, -2.0]]]


def test_directions_keep_zero_and_forget_length() -> None:
    assert directions(torch.tensor([[3.0, 4.0], [0.0, 0.0]])).tolist() == [[pytest.approx(0.6), pytest.approx(0.8)], [0.0, 0.0]]
    assert centred_directions(torch.tensor([[2.0, 7.0]]), torch.tensor([2.0, 7.0])).tolist() == [[0.0, 0.0]]


# An independent version: loops in NumPy.


def slow_logits(batch: EpisodeBatch, centre: np.ndarray) -> np.ndarray:
    assert isinstance(batch.support_x, Tensor)
    assert isinstance(batch.query_x, Tensor)
    assert batch.way is not None
    support, y, query = batch.support_x.numpy(), batch.support_y.numpy(), batch.query_x.numpy()

    def transformed(feature: np.ndarray) -> np.ndarray:
        moved = feature - centre
        return moved / math.sqrt(sum(float(value) ** 2 for value in moved))

    logits = np.zeros((len(batch), query.shape[1], batch.way))
    for b in range(len(batch)):
        for k in range(batch.way):
            of_class = [transformed(support[b, i]) for i in range(support.shape[1]) if y[b, i] == k]
            centroid = sum(of_class) / len(of_class)
            for q in range(query.shape[1]):
                logits[b, q, k] = -sum((transformed(query[b, q]) - centroid) ** 2)
    return logits


def test_equals_the_slow_version() -> None:
    batch = unbalanced_batch(B=3, N=5, S=17, Q=9, shape=(8,))
    centre = torch.randn(8, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    found = logits_of(centred_at(centre), batch)
    np.testing.assert_allclose(found.numpy(), slow_logits(batch, centre.numpy()), rtol=1e-12, atol=1e-12)
    plain = logits_of(SimpleShotL2N(nn.Identity()).eval(), batch)
    np.testing.assert_allclose(plain.numpy(), slow_logits(batch, np.zeros(8)), rtol=1e-12, atol=1e-12)


# Gradients.


def test_gradients_of_the_kernels_by_finite_differences() -> None:
    batch = unbalanced_batch(S=6, shape=(3,))
    assert isinstance(batch.support_x, Tensor)
    centre = torch.tensor([0.1, 0.2, 0.3], dtype=torch.float64)

    def centres(support: Tensor) -> Tensor:
        return prototypes(centred_directions(support, centre), batch.support_y, 4).centres

    assert torch.autograd.gradcheck(centres, (batch.support_x.requires_grad_(),))


def items_of(shift: float = 0.0) -> ItemBatch:
    generator = torch.Generator().manual_seed(2)
    x = torch.randn(12, 5, generator=generator, dtype=torch.float64) + shift
    return ItemBatch(x, torch.randint(7, (12,), generator=generator), 7, np.arange(12))


@pytest.mark.parametrize("kind", ["CL2N", "L2N"])
def test_training_is_classification_of_all_classes_by_untransformed_features(kind: str) -> None:
    torch.manual_seed(0)
    batch, backbone = items_of(), MLP(5, (4,), 3).double()
    learner = (SimpleShot(backbone, features=3) if kind == "CL2N" else SimpleShotL2N(backbone)).double()
    trained = learner.for_training(batch).double()
    head = trained.get_submodule("head")
    losses = trained.meta_backward(batch, 0.0)
    found = {name: value.grad.clone() for name, value in trained.named_parameters() if value.grad is not None}
    trained.zero_grad()
    expected = torch.nn.functional.cross_entropy(head(backbone(batch.x)), batch.y, reduction="none")
    torch.testing.assert_close(losses, expected.detach())
    expected.mean().backward()
    assert sorted(found) == sorted(name for name, _ in trained.named_parameters())
    for name, value in trained.named_parameters():
        torch.testing.assert_close(found[name], value.grad)


# The mean feature of training.


def test_the_centre_is_the_mean_of_all_features_and_then_a_running_one() -> None:
    torch.manual_seed(0)
    learner = SimpleShot(nn.Linear(5, 5), features=5).double()
    trained = learner.for_training(items_of()).double()
    generator = torch.Generator().manual_seed(3)
    means = []
    for number in range(103):
        batch = items_of(float(torch.randn((), generator=generator)))
        with torch.no_grad():
            means.append(learner.backbone(batch.x).mean(0))
        trained.meta_backward(batch, 0.0)
        if number == 99:
            torch.testing.assert_close(learner.centre, torch.stack(means).mean(0))
    expected = torch.stack(means[:100]).mean(0)
    for mean in means[100:]:
        expected = 0.99 * expected + 0.01 * mean
    torch.testing.assert_close(learner.centre, expected)
    assert int(learner.batches) == 103


def test_after_training_the_centre_is_the_mean_over_all_items() -> None:
    torch.manual_seed(0)
    learner = SimpleShot(MLP(5, (), 3), features=3).double().eval()
    items = torch.randn(20, 5, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    learner.centre.fill_(7.0)
    learner.after_training(iter([items[:13], items[13:]]), lambda: 0.0)  # chunks of different sizes
    torch.testing.assert_close(learner.centre, learner.encode(items).mean(0).detach())
    assert not learner.centre.requires_grad


def test_the_centre_is_saved_and_is_no_parameter() -> None:
    learner = SimpleShot(nn.Identity(), features=2)
    assert sorted(learner.state_dict()) == ["batches", "centre"]
    assert list(learner.parameters()) == []


# What must not matter, and bad input.


@pytest.mark.parametrize("learner", [centred_at(torch.ones(5).double()), SimpleShotL2N(nn.Identity()).eval()], ids=["CL2N", "L2N"])
def test_renumbering_the_classes_permutes_the_logits(learner: Learner) -> None:
    batch = unbalanced_batch()
    new_label = torch.tensor([2, 0, 3, 1])
    renumbered = learner.predict(learner.adapt(batch.support_x, new_label[batch.support_y], way=4), batch.query_x)
    torch.testing.assert_close(renumbered[..., new_label], logits_of(learner, batch))


def test_a_class_without_support_items_is_never_the_answer() -> None:
    batch, learner = unbalanced_batch(), centred_at(torch.zeros(5).double())
    logits = learner.predict(learner.adapt(batch.support_x, batch.support_y, way=5), batch.query_x)
    assert bool((logits[..., 4] == -math.inf).all())
    torch.testing.assert_close(logits[..., :4], logits_of(learner, batch))


def test_constant_features_are_as_far_from_all_classes() -> None:
    learner = centred_at(torch.full((5,), 2.0))
    task = learner.adapt(torch.full((1, 4, 5), 2.0), torch.tensor([[0, 1, 1, 0]]), way=2)
    assert learner.predict(task, torch.full((1, 3, 5), 2.0)).tolist() == [[[0.0, 0.0]] * 3]


@pytest.mark.slow
def test_l2n_keeps_the_contract() -> None:
    torch.manual_seed(0)
    held = check_learner(SimpleShotL2N(Conv4(width=8)))
    assert sorted(held) == sorted({**FIRST, **ALWAYS, **CLASSIFICATION, **INDUCTIVE, **UNORDERED, **ITEMS})


def test_under_autocast_the_centre_stays_float32() -> None:
    torch.manual_seed(0)
    learner = SimpleShot(MLP(5, (16,), 8), features=8)
    batch = items_of()
    assert isinstance(batch.x, Tensor)
    batch = ItemBatch(batch.x.float(), batch.y, batch.way, batch.numbers)
    trained = learner.for_training(batch)
    with torch.autocast("cpu", torch.bfloat16):
        losses = trained.meta_backward(batch, 0.0)
    assert losses.dtype == learner.centre.dtype == torch.float32
    assert bool(learner.centre.any())


def test_a_size_that_does_not_fit_is_refused() -> None:
    with pytest.raises(RecipeError, match="features must be at least 1; found 0"):
        SimpleShot(nn.Identity(), features=0)
    with pytest.raises(RecipeError, match=r"built with features=64; its backbone gives \(3,\) per item\. Set features to the number"):
        SimpleShot(MLP(4, (), 3)).encode(torch.zeros(2, 4))


@pytest.mark.parametrize("kind", [SimpleShot, SimpleShotL2N])
def test_real_valued_targets_are_refused(kind: Callable[..., Learner]) -> None:
    with pytest.raises(RecipeError, match="learns classification tasks; found family 'regression'"):
        kind(nn.Identity(), family=Regression())
