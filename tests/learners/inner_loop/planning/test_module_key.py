"""What is remembered of a module is remembered for modules that compute the same, and for no others."""

import gc
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from kshot.episodes.family import Classification
from kshot.errors import SetupError, TrainingError
from kshot.learners.inner_loop.assignment import Assignment
from kshot.learners.inner_loop.descent import Descent
from kshot.learners.inner_loop.directions import Adam, Momentum
from kshot.learners.inner_loop.loop import InnerLoop
from kshot.learners.inner_loop.meta_gradient import meta_gradient
from kshot.learners.inner_loop.parameters import divide_parameters
from kshot.learners.inner_loop.planning.module_key import key_of, settings_of
from kshot.learners.inner_loop.planning.remembered import Remembered
from kshot.learners.inner_loop.tasks import Tasks


class Calls(nn.Module):
    """Computes what it was given."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


def form(module: nn.Module, loop: InnerLoop = InnerLoop(2)) -> Any:  # noqa: B008  # frozen
    y = torch.zeros(2, 3, dtype=torch.int64)
    tasks = Tasks(torch.rand(2, 3, 4), y, torch.rand(2, 3, 4), y, {}, torch.arange(2))
    return key_of(Assignment(module, divide_parameters(module), Classification(), tasks, loop))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (nn.Conv2d(1, 2, 3), nn.Conv2d(1, 2, 3, stride=2)),
        (nn.Conv2d(1, 2, 3), nn.Conv2d(1, 2, 3, padding="same")),
        (nn.Sequential(nn.Linear(1, 1), nn.GELU()), nn.Sequential(nn.Linear(1, 1), nn.GELU("tanh"))),
        (nn.Linear(2, 2), nn.Linear(2, 2).eval()),
        (nn.Sequential(nn.Linear(1, 1), Calls(torch.sin)), nn.Sequential(nn.Linear(1, 1), Calls(torch.cos))),
    ],
)
def test_another_setting_is_another_form(one: nn.Module, other: nn.Module) -> None:
    assert form(one) != form(other)
    assert form(one) == form(one)


def test_another_update_rule_is_another_form_and_other_learnt_numbers_are_not() -> None:
    module = nn.Linear(4, 2)
    assert form(module, InnerLoop(2, Descent(0.1))) != form(module, InnerLoop(2, Descent(0.1, Adam())))
    assert form(module, InnerLoop(2, Descent(0.1, Momentum()))) == form(module, InnerLoop(2, Descent(0.1, Momentum())))
    one, other = (InnerLoop(2, Descent(learnt={"weight": torch.full((), value)})) for value in (0.1, 0.2))
    assert form(module, one) == form(module, other)


def test_equal_settings_are_one_form() -> None:
    assert form(nn.Conv2d(1, 2, 3, stride=2)) == form(nn.Conv2d(1, 2, 3, stride=2))
    assert settings_of(SimpleNamespace(a=[1, (2, "b")], c={"d": None})) == settings_of(SimpleNamespace(a=[1, (2, "b")], c={"d": None}))
    assert settings_of(SimpleNamespace(a=1)) != settings_of(SimpleNamespace(a=True))


@pytest.mark.slow
def test_what_is_gone_is_equal_to_nothing() -> None:
    kept = settings_of(SimpleNamespace(function=(gone := Calls(torch.sin))))
    assert kept == settings_of(SimpleNamespace(function=gone))
    del gone
    gc.collect()
    assert kept != settings_of(SimpleNamespace(function=Calls(torch.sin)))


def test_a_module_that_calls_view_after_one_that_does_not(loops: SimpleNamespace) -> None:
    batch = loops.tasks(1, 6, 6)
    losses = []
    for flatten in (lambda x: x.reshape(len(x), -1), lambda x: x.view(len(x), -1)):
        torch.manual_seed(0)
        module = nn.Sequential(nn.Conv2d(1, 3, 3), Calls(flatten), nn.Linear(48, 3)).double()
        losses.append(meta_gradient(module, divide_parameters(module), Classification(), batch, InnerLoop(1, Descent(0.1))).loss)
    torch.testing.assert_close(losses[0], losses[1])


def test_the_memory_of_another_stride_is_estimated_anew(loops: SimpleNamespace) -> None:
    batch = loops.tasks(1, 64, 64)

    def ask(stride: int) -> None:
        convolution = nn.Conv2d(1, 4, 3, stride=stride)
        module = nn.Sequential(convolution, nn.Tanh(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3)).double()
        loop = InnerLoop(1, Descent(0.1), tasks="in_turn")
        meta_gradient(module, divide_parameters(module), Classification(), batch, loop, free=3_000_000)

    ask(32)
    with pytest.raises(SetupError, match="needs about"):
        ask(1)
    ask(32)


def test_tasks_of_no_numbers_decide_nothing(loops: SimpleNamespace) -> None:
    module, batch = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3)).double(), loops.tasks(4)
    broken = batch.__class__(batch.support_x * torch.nan, batch.support_y, batch.query_x, batch.query_y, 3, batch.numbers)
    with pytest.raises(TrainingError, match="before any inner step"):
        meta_gradient(module, divide_parameters(module), Classification(), broken, InnerLoop(1, Descent(0.1), tasks="together"))
    assert meta_gradient(
        module, divide_parameters(module), Classification(), batch, InnerLoop(1, Descent(0.1), tasks="together")
    ).loss.shape == (3,)
    answers: list[str | None] = [None, ""]
    remembered: Remembered[str | None] = Remembered()
    found = [remembered.of("decides nothing", lambda: answers.pop(0), lambda answer: answer is not None) for _ in range(3)]
    assert found == [None, "", ""]
