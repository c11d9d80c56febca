"""A network that no memory holds is refused while it is built, before it is allocated."""

import time
from typing import Any

import pytest
import torch
from torch import nn

from kshot.errors import RecipeError
from kshot.learners.table import LearnerSpec
from kshot.size_limit import MOST_NUMBERS, size_limit


@pytest.mark.slow
@pytest.mark.parametrize(
    ("learner", "backbone", "arguments", "more"),
    [
        ("protonet", "mlp", {"inputs": 10, "hidden": [10**5, 10**5]}, {}),
        ("protonet", "mlp", {"inputs": 10**12}, {}),
        ("protonet", "mlp", {"inputs": 10**400}, {}),
        ("protonet", "conv4", {"width": 10**6}, {}),
        ("protonet", "resnet12", {"widths": [10**5] * 4}, {}),
        ("simple_shot", "conv4", {}, {"features": 10**12}),
        ("maml", "conv4", {}, {"features": 10**6, "outputs": 10**6}),
        ("maml", "conv4", {}, {"features": 64, "inner_steps": 10**6}),
        ("maml", "conv4", {}, {"features": 64, "inner_lr": 1e39}),
        ("ensemble", "conv4", {}, {"learner": "protonet", "members": 10**6}),
        ("ensemble", "resnet12", {}, {"learner": "protonet", "members": 900}),
    ],
)
def test_huge_learners_are_refused_at_once(learner: str, backbone: str, arguments: dict[str, Any], more: dict[str, Any]) -> None:
    began = time.process_time()
    with pytest.raises(RecipeError):
        LearnerSpec(learner, backbone, more, arguments).build()
    assert time.process_time() - began < 5


def test_the_count_is_of_numbers_that_would_be_made() -> None:
    side = int(MOST_NUMBERS**0.5)
    with size_limit("it"):
        assert torch.empty(side, side // 2).shape == (side, side // 2)
    with (
        pytest.raises(RecipeError, match=r"it would hold 100,\d+,\d+ numbers in \d tensors or more; at most"),
        size_limit("it"),
    ):
        nn.Linear(side, side + 10, device="meta")
    with pytest.raises(RecipeError, match="it would hold"), size_limit("it"):
        torch.zeros(1).expand(2 * MOST_NUMBERS).clone()
    with pytest.raises(RecipeError, match="it would hold"), size_limit("it"):
        torch.full(size=(MOST_NUMBERS + 1,), fill_value=1.0)
    with pytest.raises(RecipeError, match="it would hold"), size_limit("it"):
        torch.eye(20_000)


def test_what_is_built_does_not_change() -> None:
    torch.manual_seed(0)
    free = nn.Linear(5, 7)
    torch.manual_seed(0)
    with size_limit("it"):
        counted = nn.Linear(5, 7)
    assert torch.equal(free.weight, counted.weight)
    assert torch.equal(free.bias, counted.bias)
