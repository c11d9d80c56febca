"""One step by hand: rates of every kind, clipping; and divergence, caught and named."""

import math

import pytest
import torch
from torch import Tensor

from kshot.errors import DataError, TrainingError
from kshot.learners.inner_loop.steps import Rates, require_descent


def test_a_step_by_hand() -> None:
    fast, slopes = {"w": torch.tensor([1.0, 2.0])}, {"w": torch.tensor([10.0, 20.0])}
    assert Rates(0.5).step(fast, slopes, {}, 0)["w"].tolist() == [-4.0, -8.0]
    learnt = {"w": torch.tensor([0.5, 0.0])}
    assert Rates(0.1, learnt=learnt).step(fast, slopes, learnt, 0)["w"].tolist() == [-4.0, 2.0]


def test_rates_of_each_step_and_the_last_one_beyond_them() -> None:
    fast, slopes, learnt = {"w": torch.tensor([0.0])}, {"w": torch.tensor([-1.0])}, {"w": torch.tensor([1.0, 2.0])}
    rates = Rates(per_step=True, learnt=learnt)
    assert [rates.step(fast, slopes, learnt, number)["w"].item() for number in (0, 1, 2)] == [1.0, 2.0, 2.0]


def test_clipping_takes_the_norm_of_all_gradients_together() -> None:
    fast = {"a": torch.zeros(1), "b": torch.zeros(1)}
    slopes = {"a": torch.tensor([3.0]), "b": torch.tensor([4.0])}
    moved = Rates(1.0, clip=1.0).step(fast, slopes, {}, 0)
    torch.testing.assert_close([moved["a"].item(), moved["b"].item()], [-0.6, -0.8])
    kept = Rates(1.0, clip=6.0).step(fast, slopes, {}, 0)
    assert [kept["a"].item(), kept["b"].item()] == [-3.0, -4.0]
    still = Rates(1.0, clip=1.0).step(fast, {name: torch.zeros(1) for name in fast}, {}, 0)
    assert still["a"].item() == 0.0


def check(losses: list[list[float]], rates: Rates = Rates(0.4)) -> None:  # noqa: B008  # frozen
    require_descent(torch.tensor(losses), ["episode 7", "episode 8"], rates, TrainingError)


def test_the_first_task_and_its_first_bad_step_are_named() -> None:
    check([[1.0, 0.5, 0.2], [1.0, 900.0, 3.0]])
    with pytest.raises(
        TrainingError, match=r"inner loop of episode 8 diverged: its loss was 2 .* is nan after 1 of 2 steps .* rate of 0.4"
    ):
        check([[1.0, 0.5, 0.2], [2.0, math.nan, math.nan]])
    with pytest.raises(TrainingError, match=r"episode 7 .* is 3e\+06 after 2 of 2 steps.*clipped at 9.*Lower inner_lr"):
        check([[1.0, 1e5, 3e6], [2.0, 1.0, math.inf]], Rates(0.4, clip=9.0))
    with pytest.raises(TrainingError, match="the loss of episode 7 is inf before any inner step"):
        check([[math.inf], [2.0]])
    with pytest.raises(TrainingError, match="learnt inner rates"):
        check([[1.0, math.nan], [2.0, 1.0]], Rates(learnt={"w": torch.ones(())}))


def test_it_raises_what_it_is_told_to() -> None:
    losses: Tensor = torch.tensor([[1.0, math.nan]])
    with pytest.raises(DataError, match="task 0"):
        require_descent(losses, ["task 0"], Rates(), DataError)
    require_descent(torch.zeros(2, 0), ["a", "b"], Rates(), DataError)
