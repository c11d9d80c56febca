"""Divergence, caught and named."""

import math

import pytest
import torch
from torch import Tensor

from kshot.errors import DataError, TrainingError
from kshot.learners.inner_loop.descent import Descent
from kshot.learners.inner_loop.divergence import require_descent


def check(losses: list[list[float]], rates: Descent = Descent(0.4)) -> None:  # noqa: B008  # frozen
    require_descent(torch.tensor(losses), ["episode 7", "episode 8"], rates, TrainingError)


def test_the_first_task_and_its_first_bad_step_are_named() -> None:
    check([[1.0, 0.5, 0.2], [1.0, 900.0, 3.0]])
    with pytest.raises(
        TrainingError, match=r"inner loop of episode 8 diverged: its loss was 2 .* is nan after 1 of 2 steps .* rate of 0.4"
    ):
        check([[1.0, 0.5, 0.2], [2.0, math.nan, math.nan]])
    with pytest.raises(TrainingError, match=r"episode 7 .* is 3e\+06 after 2 of 2 steps.*clipped at 9.*Lower inner_lr"):
        check([[1.0, 1e5, 3e6], [2.0, 1.0, math.inf]], Descent(0.4, clip=9.0))
    with pytest.raises(TrainingError, match="the loss of episode 7 is inf before any inner step"):
        check([[math.inf], [2.0]])
    with pytest.raises(TrainingError, match="learnt inner rates"):
        check([[1.0, math.nan], [2.0, 1.0]], Descent(learnt={"w": torch.ones(())}))


def test_it_raises_what_it_is_told_to() -> None:
    losses: Tensor = torch.tensor([[1.0, math.nan]])
    with pytest.raises(DataError, match="task 0"):
        require_descent(losses, ["task 0"], Descent(), DataError)
    require_descent(torch.zeros(2, 0), ["a", "b"], Descent(), DataError)
