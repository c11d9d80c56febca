"""The modes: against an independent unrolled loop, finite differences, written definitions, and each other; all in float64."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import get_args

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap

from kshot.backbones.conv_block import ConvBlock
from kshot.episodes.episode import EpisodeBatch
from kshot.episodes.family import Classification
from kshot.learners.inner_loop import network
from kshot.learners.inner_loop.descent import Descent
from kshot.learners.inner_loop.loop import InnerLoop, Schedule
from kshot.learners.inner_loop.meta_gradient import meta_gradient
from kshot.learners.inner_loop.modes.first_order import first_order
from kshot.learners.inner_loop.modes.flat import flat
from kshot.learners.inner_loop.modes.implicit import conjugate_gradient, implicit
from kshot.learners.inner_loop.modes.outer_gradient import OuterGradient
from kshot.learners.inner_loop.modes.unrolled import unrolled
from kshot.learners.inner_loop.parameters import Parameters, divide_parameters
from kshot.learners.inner_loop.problem import TaskGradient

EXACT = {"unrolled": unrolled, "flat": flat}
SCHEDULES = get_args(Schedule)


def gradient_of(module: nn.Module, batch: EpisodeBatch, loop: InnerLoop, parameters: Parameters | None = None) -> TaskGradient:
    return meta_gradient(module, parameters or divide_parameters(module), Classification(), batch, loop)


# Against the independent loop, with batch normalisation and pooling.


@pytest.mark.parametrize("steps", [1, *(pytest.param(steps, marks=pytest.mark.slow) for steps in (0, 5))])
@pytest.mark.parametrize("way", SCHEDULES)
@pytest.mark.parametrize("mode", list(EXACT))
@pytest.mark.parametrize("block", ["stock", "operator"])
def test_exact_modes_equal_a_plain_loop_with_batch_norm_and_pooling(
    block: str, mode: str, way: Schedule, steps: int, loops: SimpleNamespace
) -> None:
    torch.manual_seed(1)
    module = loops.Blocks(loops.StockBlock if block == "stock" else ConvBlock).double()
    batch = loops.tasks(1, 8, 8)
    named = dict(module.named_parameters())
    loss = loops.plain(loops.by_hand, named, list(named), batch, lambda name, t: 0.3, steps)
    expected = dict(zip(named, torch.autograd.grad(loss, list(named.values())), strict=True))
    found = gradient_of(module, batch, InnerLoop(steps, Descent(0.3), EXACT[mode], tasks=way))
    assert loops.distance(found.start, expected) < 1e-10
    torch.testing.assert_close(found.loss.mean(), loss.detach(), rtol=1e-10, atol=0)
    assert found.path.shape == (3, steps)


@pytest.mark.slow
@pytest.mark.parametrize("way", SCHEDULES)
@pytest.mark.parametrize("mode", list(EXACT))
def test_shared_parameters_and_learnt_rates_equal_a_plain_loop(mode: str, way: Schedule, loops: SimpleNamespace) -> None:
    torch.manual_seed(1)
    module = loops.Blocks(loops.StockBlock).double()
    batch = loops.tasks(1, 8, 8)
    named = dict(module.named_parameters())
    adapting = [name for name in named if name.startswith(("head", "blocks.1"))]
    learnt = {name: (0.1 + 0.2 * torch.rand(4, *named[name].shape, dtype=torch.float64)).requires_grad_() for name in adapting}
    loss = loops.plain(loops.by_hand, named, adapting, batch, lambda name, t: learnt[name][t], 4)
    found = gradient_of(
        module,
        batch,
        InnerLoop(4, Descent(per_step=True, learnt=learnt), EXACT[mode], tasks=way),
        divide_parameters(module, ["head", "blocks.1"]),
    )
    assert list(found.start) == adapting or set(found.start) == set(adapting)
    expected = dict(zip(named, torch.autograd.grad(loss, list(named.values()), retain_graph=True), strict=True))
    assert loops.distance({**found.start, **found.shared}, expected) < 1e-10
    of_rates = dict(zip(learnt, torch.autograd.grad(loss, list(learnt.values())), strict=True))
    assert loops.distance(found.learnt, of_rates) < 1e-10


@pytest.mark.slow
def test_flat_equals_unrolled_after_fifty_steps(loops: SimpleNamespace) -> None:
    torch.manual_seed(1)
    module = loops.Blocks(ConvBlock).double()
    batch = loops.tasks(1, 8, 8, B=1)
    parameters = divide_parameters(module, 3)
    long = [gradient_of(module, batch, InnerLoop(50, Descent(0.05, clip=1.0), mode), parameters) for mode in (unrolled, flat)]
    assert loops.distance(long[1].start, long[0].start) < 1e-10
    assert loops.distance(long[1].shared, long[0].shared) < 1e-10
    torch.testing.assert_close(long[1].path, long[0].path, rtol=1e-10, atol=0)


# The trap: an outer gradient over vmap, with native batch normalisation.


@pytest.mark.slow
@pytest.mark.skipif(not torch.__version__.startswith("2.13"), reason="the fault was measured in PyTorch 2.13")
def test_a_gradient_over_vmap_is_wrong_with_native_batch_norm_and_ours_is_not(loops: SimpleNamespace) -> None:
    torch.manual_seed(1)
    module = loops.Blocks(loops.StockBlock).double()
    for norm in module.modules():
        if isinstance(norm, nn.BatchNorm2d):
            norm.track_running_stats, norm.running_mean, norm.running_var, norm.num_batches_tracked = False, None, None, None
    batch = loops.tasks(1, 8, 8)
    named = {name: value.detach() for name, value in module.named_parameters()}

    def support_loss(fast: dict[str, Tensor], x: Tensor, y: Tensor) -> Tensor:
        return F.cross_entropy(functional_call(module, fast, (x,)), y)

    def task_loss(start: dict[str, Tensor], sx: Tensor, sy: Tensor, qx: Tensor, qy: Tensor) -> Tensor:
        fast = start
        for _ in range(5):
            fast = {name: fast[name] - 0.3 * slope for name, slope in grad(support_loss)(fast, sx, sy).items()}
        return support_loss(fast, qx, qy)

    data = batch.support_x, batch.support_y, batch.query_x, batch.query_y
    over = grad(lambda start: vmap(task_loss, (None, 0, 0, 0, 0))(start, *data).mean())(named)
    leaves = dict(module.named_parameters())
    loss = loops.plain(loops.by_hand, leaves, list(leaves), batch, lambda name, t: 0.3, 5)
    expected = dict(zip(leaves, torch.autograd.grad(loss, list(leaves.values())), strict=True))
    assert loops.distance(over, expected) > 1e-3  # the trap is there
    ours = gradient_of(module, batch, InnerLoop(5, Descent(0.3), tasks="together"))
    assert loops.distance(ours.start, expected) < 1e-10


# Against central finite differences, on a smooth network.


def smooth(inputs: int = 4, hidden: int = 5) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(inputs, hidden), nn.Tanh(), nn.Linear(hidden, 3)).double()


def numerical(loss: Callable[[], Tensor], values: dict[str, Tensor], h: float = 1e-6) -> dict[str, Tensor]:
    """Central differences of a function of no arguments with respect to tensors that it reads."""
    slopes = {name: torch.zeros_like(value) for name, value in values.items()}
    with torch.no_grad():
        for name, value in values.items():
            for index in range(value.numel()):
                kept = value.view(-1)[index].item()
                value.view(-1)[index] = kept + h
                above = float(loss())
                value.view(-1)[index] = kept - h
                slopes[name].view(-1)[index] = (above - float(loss())) / (2 * h)
                value.view(-1)[index] = kept
    return slopes


@pytest.mark.slow
@pytest.mark.parametrize("clip", [0.0, 0.2])
@pytest.mark.parametrize("mode", list(EXACT))
def test_exact_modes_equal_finite_differences(mode: str, clip: float, loops: SimpleNamespace) -> None:
    module, batch = smooth(), loops.tasks(4)
    parameters = divide_parameters(module, "2")
    learnt = {name: torch.full((), 0.5, dtype=torch.float64) for name in parameters.adapting}
    loop = InnerLoop(3, Descent(learnt=learnt, clip=clip), EXACT[mode])
    found = gradient_of(module, batch, loop, parameters)

    def loss() -> Tensor:
        return gradient_of(module, batch, loop, parameters).loss.mean()

    values = {name: value.detach() for name, value in module.named_parameters()}
    assert loops.distance({**found.start, **found.shared}, numerical(loss, values)) < 1e-7
    assert loops.distance(found.learnt, numerical(loss, learnt)) < 1e-7


def numerical_along(loss: Callable[[], Tensor], values: dict[str, Tensor], direction: dict[str, Tensor], h: float = 1e-5) -> float:
    """The central difference along one direction."""
    seen = []
    for move in (h, -2 * h, h):
        for name, value in values.items():
            value += move * direction[name]
        seen.append(float(loss()))
    return (seen[0] - seen[1]) / (2 * h)


def of(gradient: TaskGradient) -> dict[str, Tensor]:
    """Of all trainable parameters."""
    return {**gradient.start, **gradient.shared}


@pytest.mark.slow
@pytest.mark.parametrize("way", SCHEDULES)
def test_implicit_equals_finite_differences_through_a_solved_inner_problem(way: Schedule, loops: SimpleNamespace) -> None:
    module, batch = smooth(2, 3), loops.tasks(2, B=2)
    parameters = divide_parameters(module, "2")
    # λ = 2 makes the inner problem strictly convex; 40 steps solve it to rounding.
    solved = InnerLoop(40, Descent(0.3), implicit(2.0, 12), tasks=way)
    found = gradient_of(module, batch, solved, parameters)

    def loss() -> Tensor:
        return gradient_of(module, batch, InnerLoop(40, Descent(0.3), implicit(2.0, 1), tasks="in_turn"), parameters).loss.mean()

    unsolved = gradient_of(module, batch, InnerLoop(1, Descent(0.3), implicit(2.0, 12)), parameters)
    generator = torch.Generator().manual_seed(1)
    values = {name: value.detach() for name, value in module.named_parameters()}
    for _ in range(2):
        direction = {name: torch.randn(value.shape, generator=generator, dtype=torch.float64) for name, value in values.items()}
        slope = numerical_along(loss, values, direction)
        along = [sum(float((found[name] * d).sum()) for name, d in direction.items()) for found in (of(found), of(unsolved))]
        assert abs(along[0] - slope) < 1e-7
        assert abs(along[1] - slope) > 1e-3


def test_conjugate_gradient_solves_systems_by_hand() -> None:
    A = torch.tensor([[[4.0, 1.0], [1.0, 3.0]], [[2.0, 0.0], [0.0, 2.0]]], dtype=torch.float64)  # one of each task
    right = {"x": torch.tensor([[1.0, 2.0], [3.0, 4.0]], dtype=torch.float64)}

    def system(w: dict[str, Tensor]) -> dict[str, Tensor]:
        return {"x": (A @ w["x"].unsqueeze(2)).squeeze(2)}

    x = conjugate_gradient(system, right, 2)
    torch.testing.assert_close(x["x"], torch.tensor([[1 / 11, 7 / 11], [1.5, 2.0]], dtype=torch.float64))
    torch.testing.assert_close(conjugate_gradient(system, right, 9), x)


# First order, against its definition.


@pytest.mark.parametrize("way", SCHEDULES)
def test_first_order_is_the_gradient_at_the_adapted_parameters(way: Schedule, loops: SimpleNamespace) -> None:
    module, batch = smooth(), loops.tasks(4)
    parameters = divide_parameters(module, "2")
    learnt = {name: torch.full_like(value, 0.5).detach() for name, value in parameters.adapting.items()}
    found = gradient_of(module, batch, InnerLoop(3, Descent(learnt=learnt), first_order, tasks=way), parameters)
    named = {name: value.detach() for name, value in module.named_parameters()}
    expected = {name: torch.zeros_like(value) for name, value in named.items()}
    rates = {name: torch.zeros_like(value) for name, value in learnt.items()}

    def slopes_at(fast: dict[str, Tensor], x: Tensor, y: Tensor) -> dict[str, Tensor]:
        leaves = {name: value.clone().requires_grad_() for name, value in fast.items()}
        loss = F.cross_entropy(functional_call(module, leaves, (x,)), y)
        return dict(zip(leaves, torch.autograd.grad(loss, list(leaves.values())), strict=True))

    for b in range(3):
        fast = dict(named)
        walked = {name: torch.zeros_like(value) for name, value in learnt.items()}
        for _ in range(3):
            slopes = slopes_at(fast, batch.support_x[b], batch.support_y[b])
            for name in learnt:
                fast[name] = fast[name] - 0.5 * slopes[name]
                walked[name] += slopes[name]
        last = slopes_at(fast, batch.query_x[b], batch.query_y[b])
        for name in named:
            expected[name] += last[name] / 3
        for name in learnt:
            rates[name] -= last[name] * walked[name] / 3
    assert loops.distance({**found.start, **found.shared}, expected) < 1e-12
    assert loops.distance(found.learnt, rates) < 1e-12


def test_the_modes_differ_where_they_should(loops: SimpleNamespace) -> None:
    module, batch = smooth(), loops.tasks(4)
    modes: list[OuterGradient] = [unrolled, first_order, implicit(1.0, 10)]
    found = [gradient_of(module, batch, InnerLoop(3, Descent(0.5), mode)).start for mode in modes]
    assert min(loops.distance(found[0], other) for other in found[1:]) > 1e-2


@pytest.mark.slow
@pytest.mark.parametrize("block", ["stock", "operator"])
def test_tasks_of_many_large_items_are_run_apart_and_stay_exact(
    block: str, loops: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(1)
    module = loops.Blocks(loops.StockBlock if block == "stock" else ConvBlock).double()
    batch = loops.tasks(1, 8, 8)
    together = gradient_of(module, batch, InnerLoop(3, Descent(0.3, clip=2.0), tasks="together"))
    monkeypatch.setattr(network, "_LARGE", 0)
    monkeypatch.setattr(network.Network, "_at_once", None)  # is not called
    apart = gradient_of(module, batch, InnerLoop(3, Descent(0.3, clip=2.0), tasks="together"))
    assert loops.distance(apart.start, together.start) < 1e-12
    torch.testing.assert_close(apart.buffers, together.buffers, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(apart.path, together.path, rtol=1e-12, atol=0)
