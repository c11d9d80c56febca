"""Every update rule in every outer gradient: against a plain loop over the formulas of `torch.optim`, finite differences, definitions."""

from collections.abc import Callable
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call

from kshot.episodes.episode import EpisodeBatch
from kshot.episodes.family import Classification, Regression
from kshot.errors import RecipeError
from kshot.learners.inner_loop.descent import Descent
from kshot.learners.inner_loop.directions import Adam, Direction, GradientDescent, Momentum, RMSprop
from kshot.learners.inner_loop.loop import SCHEDULES, InnerLoop, Schedule
from kshot.learners.inner_loop.meta_gradient import meta_gradient
from kshot.learners.inner_loop.modes.displacement import displacement
from kshot.learners.inner_loop.modes.first_order import first_order
from kshot.learners.inner_loop.modes.flat import flat
from kshot.learners.inner_loop.modes.implicit import implicit
from kshot.learners.inner_loop.modes.unrolled import unrolled
from kshot.learners.inner_loop.parameters import divide_parameters
from kshot.learners.inner_loop.problem import TaskGradient

Memory = dict[str, tuple[Tensor, ...]]
Formula = Callable[[Tensor, tuple[Tensor, ...], int], tuple[Tensor, tuple[Tensor, ...]]]
"""(gradient, what is remembered, t from 1) → (direction, what is remembered): the loops of `torch.optim`, written out."""


def sgd(g: Tensor, held: tuple[Tensor, ...], t: int) -> tuple[Tensor, tuple[Tensor, ...]]:
    return g, ()


def momentum(g: Tensor, held: tuple[Tensor, ...], t: int) -> tuple[Tensor, tuple[Tensor, ...]]:
    buffer = g if not held else 0.9 * held[0] + g
    return buffer, (buffer,)


def rmsprop(g: Tensor, held: tuple[Tensor, ...], t: int) -> tuple[Tensor, tuple[Tensor, ...]]:
    square = 0.01 * g * g + (0.99 * held[0] if held else 0)
    return g / (square.sqrt() + 1e-8), (square,)


def adam(g: Tensor, held: tuple[Tensor, ...], t: int, beta1: float = 0.9) -> tuple[Tensor, tuple[Tensor, ...]]:
    first, second = held or (torch.zeros_like(g), torch.zeros_like(g))
    first, second = beta1 * first + (1 - beta1) * g, 0.999 * second + 0.001 * g * g
    return (first / (1 - beta1**t)) / ((second / (1 - 0.999**t)).sqrt() + 1e-8), (first, second)


RULES: dict[str, tuple[Direction, Formula, float]] = {
    "sgd": (GradientDescent(), sgd, 0.3),
    "momentum": (Momentum(), momentum, 0.1),
    "rmsprop": (RMSprop(), rmsprop, 0.02),
    "adam": (Adam(), adam, 0.05),
    "adam without means": (Adam(beta1=0.0), lambda g, held, t: adam(g, held, t, 0.0), 0.05),
}
EXACT = {"unrolled": unrolled, "flat": flat}


def smooth() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3)).double()


def gradient_of(module: nn.Module, batch: EpisodeBatch, loop: InnerLoop) -> TaskGradient:
    return meta_gradient(module, divide_parameters(module, "2"), Classification(), batch, loop)


def plain_loop(
    module: nn.Module, batch: EpisodeBatch, formula: Formula, rates: dict[str, Tensor], steps: int, *, first: bool = False
) -> tuple[Tensor, dict[str, Tensor], list[dict[str, Tensor]]]:
    """The mean query loss after steps of a formula, with its whole graph; the leaves; and where each task ended."""
    assert isinstance(batch.support_x, Tensor)
    assert isinstance(batch.query_x, Tensor)
    leaves = {name: value.detach().clone().requires_grad_() for name, value in module.named_parameters()}
    losses, ends = [], []
    for b in range(len(batch)):
        fast, held = dict(leaves), dict.fromkeys(rates, ())
        for t in range(1, steps + 1):
            loss = F.cross_entropy(functional_call(module, fast, (batch.support_x[b],)), batch.support_y[b])
            slopes = torch.autograd.grad(loss, [fast[name] for name in rates], create_graph=not first)
            for name, slope in zip(rates, slopes, strict=True):
                direction, held[name] = formula(slope, held[name], t)
                fast[name] = fast[name] - rates[name] * direction
        losses.append(F.cross_entropy(functional_call(module, fast, (batch.query_x[b],)), batch.query_y[b]))
        ends.append(fast)
    return torch.stack(losses).mean(), leaves, ends


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("mode", list(EXACT))
@pytest.mark.parametrize("name", list(RULES))
def test_exact_modes_equal_a_plain_loop_over_the_formulas(name: str, mode: str, schedule: Schedule, loops: SimpleNamespace) -> None:
    module, batch = smooth(), loops.tasks(4)
    direction, formula, rate = RULES[name]
    learnt = {part: torch.full((), rate, dtype=torch.float64) for part in ("2.weight", "2.bias")}
    rates = {part: value.clone().requires_grad_() for part, value in learnt.items()}
    loss, leaves, _ = plain_loop(module, batch, formula, rates, 5)
    wanted = torch.autograd.grad(loss, [*leaves.values(), *rates.values()])
    expected = dict(zip(leaves, wanted, strict=False))
    found = gradient_of(module, batch, InnerLoop(5, Descent(direction=direction, learnt=learnt), EXACT[mode], tasks=schedule))
    torch.testing.assert_close(found.loss.mean(), loss.detach(), rtol=1e-12, atol=0)
    assert loops.distance({**found.start, **found.shared}, expected) < 1e-10
    assert loops.distance(found.learnt, dict(zip(rates, wanted[len(leaves) :], strict=True))) < 1e-10


@pytest.mark.slow
@pytest.mark.parametrize("mode", list(EXACT))
@pytest.mark.parametrize("name", list(RULES))
def test_exact_modes_equal_finite_differences(name: str, mode: str, loops: SimpleNamespace) -> None:
    module, batch = smooth(), loops.tasks(4)
    direction, _, rate = RULES[name]
    loop = InnerLoop(3, Descent(rate, direction, clip=0.5), EXACT[mode])
    found = gradient_of(module, batch, loop)
    generator = torch.Generator().manual_seed(2)
    for _ in range(3):
        along = {part: torch.randn(value.shape, generator=generator, dtype=torch.float64) for part, value in module.named_parameters()}
        seen = []
        for move in (1e-6, -2e-6, 1e-6):
            with torch.no_grad():
                for part, value in module.named_parameters():
                    value += move * along[part]
            seen.append(float(gradient_of(module, batch, loop).loss.mean()))
        slope = sum(float((value * along[part]).sum()) for part, value in {**found.start, **found.shared}.items())
        assert slope == pytest.approx((seen[0] - seen[1]) / 2e-6, rel=1e-6, abs=1e-8)


@pytest.mark.slow
@pytest.mark.parametrize("name", list(RULES))
def test_flat_equals_unrolled_over_many_steps_with_few_places_kept(name: str, loops: SimpleNamespace) -> None:
    module, batch = smooth(), loops.tasks(4)
    direction, _, rate = RULES[name]
    one, other = (gradient_of(module, batch, InnerLoop(40, Descent(rate / 4, direction), mode)) for mode in (unrolled, flat))
    assert loops.distance(one.start, other.start) < 1e-9
    assert loops.distance(one.shared, other.shared) < 1e-9


@pytest.mark.parametrize("name", list(RULES))
def test_first_order_is_the_gradient_where_the_steps_end(name: str, loops: SimpleNamespace) -> None:
    module, batch = smooth(), loops.tasks(4)
    direction, formula, rate = RULES[name]
    rates = {part: torch.full((), rate, dtype=torch.float64) for part in ("2.weight", "2.bias")}
    _, _, ends = plain_loop(module, batch, formula, rates, 4, first=True)
    assert isinstance(batch.query_x, Tensor)
    total: dict[str, Tensor] = {}
    for b, end in enumerate(ends):
        leaves = {part: value.detach().requires_grad_() for part, value in end.items()}
        loss = F.cross_entropy(functional_call(module, leaves, (batch.query_x[b],)), batch.query_y[b])
        for part, slope in zip(leaves, torch.autograd.grad(loss, list(leaves.values())), strict=True):
            total[part] = total.get(part, torch.zeros_like(slope)) + slope / len(ends)
    found = gradient_of(module, batch, InnerLoop(4, Descent(rate, direction), first_order))
    assert loops.distance({**found.start, **found.shared}, total) < 1e-10


@pytest.mark.slow
@pytest.mark.parametrize("name", ["momentum", "adam"])
def test_implicit_does_not_depend_on_the_rule_that_solves_the_problem(name: str, loops: SimpleNamespace) -> None:
    module, batch = smooth(), loops.tasks(4)
    direction = {"momentum": Momentum(0.5), "adam": Adam(0.5, 0.9)}[name]
    steps, rate = {"momentum": (200, 0.1), "adam": (3000, 0.002)}[name]
    plainly = gradient_of(module, batch, InnerLoop(200, Descent(0.3), implicit(2.0, 20)))
    otherwise = gradient_of(module, batch, InnerLoop(steps, Descent(rate, direction), implicit(2.0, 20)))
    assert loops.distance(otherwise.start, plainly.start) < {"momentum": 1e-8, "adam": 1e-2}[name]  # Adam circles the end at its rate


def test_a_rule_that_learns_is_refused_where_nothing_would_reach_it() -> None:
    rule = Descent(learnt={"2.weight": torch.ones(())})
    for mode in (implicit(1.0, 3), displacement):
        with pytest.raises(RecipeError, match=r"does not reach what the update rule learns \(2\.weight …\).*use unrolled"):
            InnerLoop(2, rule, mode)


def test_displacement_by_hand() -> None:
    # y = w x with w = 2 at x = 1: the slope of (w - 5)² is -6, so one step of 0.25 leads to 3.5, and the way back is -1.5.
    module = nn.Linear(1, 1, bias=False).double()
    nn.init.constant_(module.weight, 2.0)
    x, y = torch.ones(1, 1, 1).double(), torch.full((1, 1, 1), 5.0).double()
    batch = EpisodeBatch(x, y, x, y, None, torch.arange(1).numpy())
    found = meta_gradient(module, divide_parameters(module), Regression(), batch, InnerLoop(1, Descent(0.25, Momentum()), displacement))
    assert found.start["weight"].item() == -1.5
    assert found.loss.tolist() == [9.0]
    assert found.state["velocity/weight"].tolist() == [[[-6.0]]]
