"""Losses of tasks apart: the gradient of all tasks together, one graph at a time."""

import gc
import weakref
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from kshot.episodes.family import Classification
from kshot.errors import DataError, RecipeError
from kshot.learners.gradient.maml_plus_plus import MAMLPlusPlus
from kshot.learners.inner_loop import network
from kshot.learners.inner_loop.descent import Descent
from kshot.learners.inner_loop.loop import InnerLoop
from kshot.learners.inner_loop.meta_gradient import meta_gradient
from kshot.learners.inner_loop.modes.first_order import first_order
from kshot.learners.inner_loop.modes.flat import flat
from kshot.learners.inner_loop.modes.implicit import implicit
from kshot.learners.inner_loop.modes.unrolled import unrolled
from kshot.learners.inner_loop.parameters import Tensors, divide_parameters
from kshot.learners.inner_loop.separate_losses import losses_apart

B = 3


def values() -> tuple[Tensor, Tensor, Tensor]:
    """Weights of each task (B, 4, 2), a shift (2,) that they share, items (B, 5, 4)."""
    generator = torch.Generator().manual_seed(0)
    own, shift, x = (torch.randn(shape, generator=generator, dtype=torch.float64) for shape in ((B, 4, 2), (2,), (B, 5, 4)))
    return own.requires_grad_(), shift.requires_grad_(), x


def test_the_gradients_are_those_of_the_losses_together() -> None:
    own, shift, x = values()
    weights = torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64)

    def one(number: int, of: Tensors) -> tuple[Tensor, Tensors]:
        made = torch.tanh(x[number] @ of["own"] + of["shift"])
        return made.square().mean(), {"mean": made.mean(0)}

    losses, buffers = losses_apart(one, B, {"own": own, "shift": shift}, {"own"})
    together = torch.tanh(x @ own + shift)
    torch.testing.assert_close(losses, together.square().mean((1, 2)), rtol=1e-14, atol=0)
    torch.testing.assert_close(buffers["mean"], together.mean(1), rtol=1e-14, atol=0)
    assert not buffers["mean"].requires_grad
    found = torch.autograd.grad(losses @ weights, (own, shift))
    expected = torch.autograd.grad(together.square().mean((1, 2)) @ weights, (own, shift))
    torch.testing.assert_close(found, expected, rtol=1e-13, atol=1e-15)


@pytest.mark.slow
def test_one_graph_at_a_time() -> None:
    own, shift, x = values()
    made: list[weakref.ref[Tensor]] = []

    def one(number: int, of: Tensors) -> tuple[Tensor, Tensors]:
        gc.collect()
        assert not [number for number, earlier in enumerate(made) if earlier() is not None]
        kept = torch.exp(x[number] @ of["own"] + of["shift"])  # its own answer is what its derivative needs
        made.append(weakref.ref(kept))
        return kept.sum(), {}

    losses, _ = losses_apart(one, B, {"own": own, "shift": shift}, {"own"})
    losses.sum().backward()  # type: ignore[no-untyped-call]
    assert len(made) == B


def test_parameters_that_want_no_gradient_and_those_that_are_not_used() -> None:
    own, shift, x = values()
    unused = torch.zeros(B, 7, dtype=torch.float64, requires_grad=True)

    def one(number: int, of: Tensors) -> tuple[Tensor, Tensors]:
        return (x[number] @ of["own"] + of["shift"]).square().mean(), {}

    losses, _ = losses_apart(one, B, {"own": own, "shift": shift.detach(), "unused": unused}, {"own", "unused"})
    losses.sum().backward()  # type: ignore[no-untyped-call]
    assert own.grad is not None
    assert unused.grad is not None
    assert float(own.grad.abs().max()) > 0
    assert float(unused.grad.abs().max()) == 0
    with torch.no_grad():
        assert not losses_apart(one, B, {"own": own, "shift": shift}, {"own"})[0].requires_grad


def test_a_loss_of_no_parameter_and_a_second_derivative_are_refused() -> None:
    own, shift, x = values()
    with pytest.raises(RecipeError, match="does not depend on any parameter"):
        losses_apart(lambda number, _: (x[number].sum(), {}), B, {"own": own}, {"own"})

    def one(number: int, of: Tensors) -> tuple[Tensor, Tensors]:
        return (x[number] @ of["own"] + shift.detach()).square().mean(), {}

    losses, _ = losses_apart(one, B, {"own": own}, {"own"})
    with pytest.raises(RecipeError, match="differentiates the query loss twice"):
        torch.autograd.grad(losses.sum(), own, create_graph=True)


class Deep(nn.Module):
    """Two layers with batch normalisation between; the last may adapt alone."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm, self.last = nn.Linear(4, 6), nn.BatchNorm1d(6), nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.last(torch.tanh(self.norm(self.first(x))))
        return out


@pytest.mark.slow
@pytest.mark.parametrize("last_alone", [False, True])
@pytest.mark.parametrize("mode", [unrolled, flat, first_order, implicit(2.0, 5)], ids=["unrolled", "flat", "first order", "implicit"])
def test_every_mode_gives_what_tasks_in_turn_give(
    mode: Any, last_alone: bool, loops: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    module, batch = Deep().double(), loops.tasks(4, B=3)
    parameters = divide_parameters(module, "last" if last_alone else None)
    monkeypatch.setattr(network, "_LARGE", 0)
    apart, in_turn = (
        meta_gradient(module, parameters, Classification(), batch, InnerLoop(3, Descent(0.3), mode, tasks=way))  # type: ignore[arg-type]
        for way in ("together", "in_turn")
    )
    torch.testing.assert_close(apart.loss, in_turn.loss, rtol=1e-12, atol=0)
    torch.testing.assert_close(apart.buffers, in_turn.buffers, rtol=1e-12, atol=1e-14)
    for found, expected in ((apart.start, in_turn.start), (apart.shared, in_turn.shared)):
        torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-13)


# Around the path apart.


class Scaled(nn.Module):
    """A layer and a learnt temperature, a parameter of no dimension."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.temperature = nn.Linear(4, 3), nn.Parameter(torch.tensor(0.7))

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.layer(x) * self.temperature
        return out


@pytest.mark.parametrize(
    "loop", [InnerLoop(2, Descent(0.2), implicit(2.0, 5)), InnerLoop(2, Descent(0.2, clip=0.1))], ids=["implicit", "clip"]
)
def test_a_parameter_of_no_dimension(loop: InnerLoop, loops: SimpleNamespace) -> None:
    module, batch = Scaled().double(), loops.tasks(4, B=3)
    together, in_turn = (
        meta_gradient(module, divide_parameters(module), Classification(), batch, replace(loop, tasks=way))  # type: ignore[arg-type]
        for way in ("together", "in_turn")
    )
    torch.testing.assert_close(together.start, in_turn.start, rtol=1e-9, atol=1e-13)


def test_a_batch_of_bad_labels_says_nothing_about_the_module(loops: SimpleNamespace) -> None:
    module, batch = Deep().double(), loops.tasks(4, B=3)
    loop = InnerLoop(1, Descent(0.1), tasks="together")
    bad = replace(batch, query_y=torch.full_like(batch.query_y, 7))
    with pytest.raises(DataError, match="labels must lie between 0 and 2"):
        meta_gradient(module, divide_parameters(module), Classification(), bad, InnerLoop(1, Descent(0.1)))
    assert meta_gradient(module, divide_parameters(module), Classification(), batch, loop).loss.isfinite().all()


class Words(nn.Module):
    """The mean of some words' vectors, and a layer."""

    def __init__(self) -> None:
        super().__init__()
        self.words, self.layer = nn.Embedding(5, 4), nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.layer(self.words(x).mean(1))
        return out


@pytest.mark.parametrize("large", [0, 1 << 14])
@pytest.mark.parametrize("way", ["together", "auto", "in_turn", "threads"])
def test_an_item_that_cannot_be_read_in_a_later_task(way: Any, large: int, loops: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network, "_LARGE", large)
    module, batch = Words().double(), loops.tasks(4, B=3)
    words = {name: torch.randint(5, (3, getattr(batch, name).shape[1], 6)) for name in ("support_x", "query_x")}
    words["query_x"][2, 0, 0] = 9
    with pytest.raises(DataError, match="the network cannot read these items of one task"):
        meta_gradient(module, divide_parameters(module), Classification(), replace(batch, **words), InnerLoop(1, Descent(0.1), tasks=way))


class Described(nn.Module):
    """Items that are numbers and a word."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.norm, self.words = nn.Linear(4, 6), nn.BatchNorm1d(6), nn.Embedding(5, 6)

    def forward(self, x: dict[str, Tensor]) -> Tensor:
        return torch.tanh(self.norm(self.layer(x["numbers"]) + self.words(x["word"])))


@pytest.mark.slow
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("progress", [0.0, 0.6])
def test_maml_plus_plus_on_items_that_are_dictionaries(
    progress: float, threads: int, loops: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch, generator = loops.tasks(4, B=3), torch.Generator().manual_seed(3)
    items = {
        name: {"numbers": getattr(batch, name), "word": torch.randint(5, getattr(batch, name).shape[:2], generator=generator)}
        for name in ("support_x", "query_x")
    }
    batch = replace(batch, **items)
    found = []
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        for large in (0, 1 << 14):  # apart, and together
            monkeypatch.setattr(network, "_LARGE", large)
            torch.manual_seed(0)
            learner = MAMLPlusPlus(Described(), features=6, outputs=3, inner_steps=3, multi_step_until=0.5).double().train()
            losses = learner.meta_backward(batch, progress)
            found.append((losses, [value.grad for value in learner.parameters()], [value.double() for value in learner.buffers()]))
    finally:
        torch.set_num_threads(before)
    torch.testing.assert_close(found[0], found[1], rtol=1e-10, atol=1e-13)
