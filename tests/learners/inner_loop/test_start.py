"""A start that is made of the support set: against a plain loop, finite differences and by hand, in every mode and schedule; in float64."""

import dataclasses
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kshot.episodes.episode import EpisodeBatch
from kshot.episodes.family import Classification, Regression
from kshot.errors import RecipeError
from kshot.learners.inner_loop.adaptation import adapt
from kshot.learners.inner_loop.assignment import Assignment
from kshot.learners.inner_loop.descent import Descent
from kshot.learners.inner_loop.directions import Adam
from kshot.learners.inner_loop.loop import SCHEDULES, InnerLoop, Schedule
from kshot.learners.inner_loop.meta_gradient import meta_gradient
from kshot.learners.inner_loop.modes.first_order import first_order
from kshot.learners.inner_loop.modes.flat import flat
from kshot.learners.inner_loop.modes.implicit import implicit
from kshot.learners.inner_loop.modes.outer_gradient import OuterGradient
from kshot.learners.inner_loop.modes.unrolled import unrolled
from kshot.learners.inner_loop.network import buffers_of
from kshot.learners.inner_loop.parameters import Parameters, divide_parameters
from kshot.learners.inner_loop.planning.plan import plan_for
from kshot.learners.inner_loop.problem import TaskGradient
from kshot.learners.inner_loop.tasks import tasks_of

MODES: dict[str, OuterGradient] = {"unrolled": unrolled, "flat": flat, "first_order": first_order}


class Last(nn.Module):
    """A product with weights (N, D), which are empty until they are made; then features (M, D) are handed on."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(0, dtype=torch.float64))

    def forward(self, features: Tensor) -> Tensor:
        return features @ self.weight.mT if self.weight.numel() else features


def module(body: nn.Module | None = None) -> nn.Module:
    torch.manual_seed(0)
    default = nn.Sequential(nn.Linear(4, 5), nn.BatchNorm1d(5), nn.Tanh())
    return nn.Sequential(default if body is None else body, Last()).double()


def means(features: Tensor, y: Tensor) -> dict[str, Tensor]:
    """The mean features of three classes of two items each, as weights."""
    return {"1.weight": torch.stack([features[:, y[0] == label].mean(1) for label in range(3)], 1)}


def written(parameters: dict[str, Tensor], x: Tensor) -> Tensor:
    """What the body computes, written out."""
    z = x @ parameters["0.0.weight"].T + parameters["0.0.bias"]
    mean = z.mean(0)
    z = (z - mean) / ((z - mean).square().mean(0) + 1e-5).sqrt() * parameters["0.1.weight"] + parameters["0.1.bias"]
    return z.tanh()


def plain(named: dict[str, Tensor], adapting: list[str], batch: EpisodeBatch, steps: int, *, first: bool) -> Tensor:
    """The mean query loss after steps from a start that is made, with its graph: PyTorch's tape and nothing of kshot's."""
    losses = []
    for b in range(len(batch)):
        x, y, query = batch.support_x[b], batch.support_y[b], batch.query_x[b]  # type: ignore[index]
        features = written(named, x)
        fast = {name: value.clone() for name, value in named.items()}  # the slopes of a step are those at a fixed last layer
        fast["1.weight"] = torch.stack([features[y == label].mean(0) for label in range(3)])
        for _ in range(steps):
            loss = F.cross_entropy(written(fast, x) @ fast["1.weight"].T, y)
            slopes = torch.autograd.grad(loss, [fast[name] for name in adapting], create_graph=True)
            held = [slope.detach() if first else slope for slope in slopes]
            fast |= {name: fast[name] - 0.3 * slope for name, slope in zip(adapting, held, strict=True)}
        losses.append(F.cross_entropy(written(fast, query) @ fast["1.weight"].T, batch.query_y[b]))
    return torch.stack(losses).mean()


def gradient_of(net: nn.Module, parts: Parameters, batch: EpisodeBatch, loop: InnerLoop) -> TaskGradient:
    return meta_gradient(net, parts, Classification(), batch, loop)


@pytest.mark.parametrize("shared", [True, pytest.param(False, marks=pytest.mark.slow)])
@pytest.mark.parametrize("way", SCHEDULES)
@pytest.mark.parametrize("mode", list(MODES))
def test_every_mode_goes_through_the_start_as_a_plain_loop_does(mode: str, way: Schedule, shared: bool, loops: SimpleNamespace) -> None:
    net, batch = module(), loops.tasks(4)
    parts = divide_parameters(net, ["0.0", "1"] if shared else None)
    named = {name: value for name, value in net.named_parameters() if name != "1.weight"}
    loss = plain(named, list(parts.adapting), batch, 2, first=mode == "first_order")
    expected = dict(zip(named, torch.autograd.grad(loss, list(named.values())), strict=True))
    found = gradient_of(net, parts, batch, InnerLoop(2, Descent(0.3), MODES[mode], tasks=way, start=means))
    torch.testing.assert_close(found.loss.mean(), loss.detach(), rtol=1e-10, atol=0)
    assert found.start["1.weight"].numel() == 0
    reached = {name: value for name, value in {**found.start, **found.shared}.items() if name != "1.weight"}
    assert loops.distance(reached, expected) < 1e-10


def moved(value: Tensor, place: int, by: float) -> None:
    with torch.no_grad():
        value.view(-1)[place] += by


def differences(loss: Callable[[], float], value: Tensor, h: float = 1e-6) -> Tensor:
    """Central differences of a loss with respect to each number of a parameter."""
    found = []
    for place in range(value.numel()):
        moved(value, place, h)
        above = loss()
        moved(value, place, -2 * h)
        found.append((above - loss()) / (2 * h))
        moved(value, place, h)
    return torch.tensor(found, dtype=torch.float64).view_as(value)


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["unrolled", "flat"])
def test_the_gradient_of_adam_s_steps_from_a_start_equals_finite_differences(mode: str, loops: SimpleNamespace) -> None:
    net, batch = module(), loops.tasks(4)
    loop = InnerLoop(3, Descent(0.05, Adam(epsilon=0.1)), MODES[mode], start=means)
    parts = divide_parameters(net)
    found = gradient_of(net, parts, batch, loop)
    for name in ("0.0.bias", "0.1.weight"):
        expected = differences(lambda: float(gradient_of(net, parts, batch, loop).loss.mean()), parts.adapting[name])
        torch.testing.assert_close(found.start[name], expected, rtol=1e-6, atol=1e-8)


@pytest.mark.slow
def test_the_implicit_gradient_goes_through_the_start() -> None:
    # Linear regression of the last layer is a quadratic problem: 150 steps reach its end, and conjugate gradient of 3 unknowns is exact.
    net = module(nn.Linear(2, 3))
    generator = torch.Generator().manual_seed(1)
    x, y = torch.randn(1, 6, 2, generator=generator).double(), torch.randn(1, 6, 1, generator=generator).double()
    batch = EpisodeBatch(x[:, :4], y[:, :4], x[:, 4:], y[:, 4:], None, torch.arange(1).numpy())
    parts = divide_parameters(net, "1")

    def start(features: Tensor, targets: Tensor) -> dict[str, Tensor]:
        return {"1.weight": targets.mT @ features}

    def solved() -> TaskGradient:
        return meta_gradient(net, parts, Regression(), batch, InnerLoop(150, Descent(0.2), implicit(0.7, 3), start=start))

    expected = differences(lambda: float(solved().loss.mean()), parts.shared["0.bias"])
    torch.testing.assert_close(solved().shared["0.bias"], expected, rtol=1e-5, atol=1e-7)


def test_steps_start_from_what_is_made_outside_training_too(loops: SimpleNamespace) -> None:
    net, batch = module(), loops.tasks(4)
    tasks = tasks_of(batch, buffers_of(net))
    found = adapt(Assignment(net, divide_parameters(net), Classification(), tasks, InnerLoop(0, start=means)))
    named = dict(net.named_parameters())
    for b in range(len(batch)):
        features = written(named, batch.support_x[b])
        expected = torch.stack([features[batch.support_y[b] == label].mean(0) for label in range(3)])
        torch.testing.assert_close(found.parameters["1.weight"][b], expected.detach())


def test_dropout_draws_for_the_start_from_the_task_s_number(loops: SimpleNamespace) -> None:
    net = module(nn.Sequential(nn.Linear(4, 5), nn.Dropout(0.5)))
    batch = loops.tasks(4)
    loop = InnerLoop(0, start=means)
    losses = [meta_gradient(net, divide_parameters(net), Classification(), batch, loop, seed=seed).loss for seed in (1, 1, 2)]
    assert torch.equal(losses[0], losses[1])
    assert not torch.equal(losses[0], losses[2])


def test_memory_counts_the_start(loops: SimpleNamespace) -> None:
    kept: dict[str, Any] = {name: InnerLoop(3, start=start).kept for name, start in (("given", None), ("made", means))}
    assert kept["given"].graphs == ((3, 1),)
    assert kept["made"].graphs == ((4, 1),)
    net, batch = module(), loops.tasks(4)
    tasks = tasks_of(batch, buffers_of(net))
    plan = plan_for(Assignment(net, divide_parameters(net), Classification(), tasks, InnerLoop(3, start=means)))
    assert dataclasses.replace(plan, schedule="in_turn").footprint.step > 0


def test_a_start_that_makes_what_does_not_adapt_is_refused(loops: SimpleNamespace) -> None:
    net, batch = module(), loops.tasks(4)
    loop = InnerLoop(1, start=lambda features, y: {"2.weight": features.mean(1)})
    with pytest.raises(
        RecipeError, match=r"a start makes '2.weight', which is no parameter that adapts; they are 0.0.weight, .*, 1.weight\."
    ):
        gradient_of(net, divide_parameters(net), batch, loop)
