"""Copies of learners: pickled, and copied deeply, each gives the same answer and goes its own way afterwards."""

import copy
import pickle
from collections.abc import Callable

import pytest
import torch
from torch import nn

from cases.learners import FEATURES, WAY, answer, made, quickly, tasks, training_data
from kshot.learners.gradient.maml import MAML
from kshot.learners.learner import Learner
from kshot.learners.table import LEARNERS
from kshot.learners.untrained import UNTRAINED

MADE: dict[str, Callable[[], Learner]] = {
    **{name: (lambda name=name: made(name)) for name in [*LEARNERS, "refined"]},  # type: ignore[misc]  # a default binds the name
    "maml flat": lambda: MAML(nn.Linear(4, FEATURES), features=FEATURES, outputs=WAY, mode="flat"),
    "maml with adam": lambda: MAML(nn.Linear(4, FEATURES), features=FEATURES, outputs=WAY, inner_optimizer={"name": "adam", "beta1": 0.5}),
}
WAYS: dict[str, Callable[[Learner], Learner]] = {"pickled": lambda one: pickle.loads(pickle.dumps(one)), "copied": copy.deepcopy}


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", quickly(MADE))
def test_a_copy_gives_the_same_answer_and_goes_its_own_way(name: str, way: str) -> None:
    learner, batch = MADE[name]().eval(), tasks()
    copied = WAYS[way](learner)
    assert repr(copied) == repr(learner)
    expected = answer(learner, batch)
    assert torch.equal(answer(copied, batch), expected)
    with torch.no_grad():
        for value in copied.parameters():
            value.add_(1.0)
    assert torch.equal(answer(learner, batch), expected)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["maml", "anil", "meta_sgd", "imaml", "maml++", "reptile", "protonet", "simple_shot"])
def test_a_pickled_learner_is_trained_like_the_original(name: str) -> None:
    learner = made(name).train()
    slopes = []
    for one in (learner, WAYS["pickled"](learner)):
        batch = training_data(one, tasks())
        torch.manual_seed(0)
        trained = one.for_training(batch)
        trained.meta_backward(batch, 0.5)
        slopes.append({key: value.grad for key, value in one.named_parameters() if value.grad is not None})
    assert slopes[0]
    torch.testing.assert_close(slopes[1], slopes[0], rtol=0, atol=0)


@pytest.mark.parametrize("name", UNTRAINED)
def test_learners_without_training_can_be_pickled(name: str) -> None:
    learner = UNTRAINED[name]()
    assert repr(WAYS["pickled"](learner)) == repr(learner)
