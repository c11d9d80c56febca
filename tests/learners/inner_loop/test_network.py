"""Stock modules in the inner loop: each against a plain loop of PyTorch alone; buffers, dropout, and what is refused."""

import copy
import threading
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.attention import SDPBackend, sdpa_kernel

from kshot.episodes.episode import EpisodeBatch
from kshot.episodes.family import Classification, Regression
from kshot.errors import DataError, RecipeError, TrainingError
from kshot.learners.inner_loop.derivative import differentiable_twice
from kshot.learners.inner_loop.descent import Descent
from kshot.learners.inner_loop.loop import InnerLoop
from kshot.learners.inner_loop.meta_gradient import meta_gradient
from kshot.learners.inner_loop.modes.first_order import first_order
from kshot.learners.inner_loop.modes.flat import flat
from kshot.learners.inner_loop.modes.unrolled import unrolled
from kshot.learners.inner_loop.network import Network, buffers_of
from kshot.learners.inner_loop.parameters import divide_parameters
from kshot.learners.inner_loop.planning.randomness import draws
from kshot.learners.inner_loop.problem import TaskGradient


class Last(nn.Module):
    """The last answer of a recurrent network, and a head."""

    def __init__(self) -> None:
        super().__init__()
        self.recurrent, self.head = nn.LSTM(4, 5, batch_first=True), nn.Linear(5, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.recurrent(x)[0][:, -1])  # type: ignore[no-any-return]


class Cells(nn.Module):
    """The same, cell by cell."""

    def __init__(self) -> None:
        super().__init__()
        self.cell, self.head = nn.LSTMCell(4, 5), nn.Linear(5, 3)

    def forward(self, x: Tensor) -> Tensor:
        state = x.new_zeros(len(x), 5), x.new_zeros(len(x), 5)
        for t in range(x.shape[1]):
            state = self.cell(x[:, t], state)
        return self.head(state[0])  # type: ignore[no-any-return]


class Attention(nn.Module):
    """Scaled dot-product attention without weights returned: PyTorch would take its fused kernel."""

    def __init__(self) -> None:
        super().__init__()
        self.attention, self.head = nn.MultiheadAttention(4, 2, batch_first=True), nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.attention(x, x, x, need_weights=False)[0].mean(1))  # type: ignore[no-any-return]


class Tied(nn.Module):
    """One matrix in two places."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.head = nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 3)
        self.second.weight = self.first.weight

    def forward(self, x: Tensor) -> Tensor:
        return self.head(torch.tanh(self.second(torch.tanh(self.first(x.mean(1))))))  # type: ignore[no-any-return]


def normed() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(20, 6), nn.BatchNorm1d(6), nn.Tanh(), nn.Dropout(0.5).eval(), nn.Linear(6, 3))


def encoder() -> nn.Module:
    layer = nn.TransformerEncoderLayer(4, 2, 8, dropout=0.0, batch_first=True)
    return nn.Sequential(layer, nn.Flatten(), nn.Linear(20, 3))


STOCK: dict[str, Any] = {
    "batch norm": normed, "LSTM": Last, "LSTM cells": Cells, "attention": Attention, "transformer": encoder, "tied weights": Tied
}  # fmt: skip


def gradient_of(module: nn.Module, batch: EpisodeBatch, loop: InnerLoop, **settings: Any) -> TaskGradient:
    return meta_gradient(module, divide_parameters(module), Classification(), batch, loop, **settings)


@pytest.mark.slow
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("mode", [unrolled, flat])
@pytest.mark.parametrize("name", list(STOCK))
def test_stock_modules_equal_a_plain_loop(name: str, mode: Any, training: bool, loops: SimpleNamespace) -> None:
    torch.manual_seed(0)
    module = STOCK[name]().double().train(training)
    batch = loops.tasks(5, 4)
    before = copy.deepcopy(module.state_dict())
    plain = copy.deepcopy(module)
    for part in plain.modules():
        if isinstance(part, nn.modules.batchnorm._NormBase):
            part.train()
        if isinstance(part, nn.Dropout):
            part.eval()
    named = dict(plain.named_parameters())
    with sdpa_kernel(SDPBackend.MATH):
        loss = loops.plain(lambda fast, x: functional_call(plain, fast, (x,)), named, list(named), batch, lambda name, t: 0.2, 2)
        expected = dict(zip(named, torch.autograd.grad(loss, list(named.values())), strict=True))
    for part in module.modules():
        if isinstance(part, nn.Dropout):
            part.eval()
    for way in ("auto", "in_turn"):
        found = gradient_of(module, batch, InnerLoop(2, Descent(0.2), mode, tasks=way))
        assert loops.distance(found.start, expected) < 1e-10
    after = module.state_dict()
    assert all(torch.equal(value, after[key]) for key, value in before.items())
    assert module.training is training


def test_a_frozen_backbone_gets_nothing_and_its_head_all(loops: SimpleNamespace) -> None:
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(4, 6).requires_grad_(False), nn.Tanh(), nn.Linear(6, 3)).double()
    found = gradient_of(module, loops.tasks(4), InnerLoop(2, Descent(0.2)))
    assert set(found.start) == {"2.weight", "2.bias"}
    assert found.shared == {}


# Normalisation: whose statistics.


def test_batch_statistics_are_used_whatever_the_flags_and_running_ones_come_back() -> None:
    inside = nn.BatchNorm1d(2)
    norm = nn.Sequential(inside).double().eval()
    x = torch.tensor([[0.0, 2.0], [2.0, 6.0]], dtype=torch.float64)
    outputs, after = Network(norm, "batch")({}, buffers_of(norm), x)
    torch.testing.assert_close(outputs, torch.tensor([[-1.0, -1.0], [1.0, 1.0]], dtype=torch.float64), atol=1e-4, rtol=0)
    torch.testing.assert_close(after["0.running_mean"], torch.tensor([0.1, 0.4], dtype=torch.float64))
    torch.testing.assert_close(after["0.running_var"], torch.tensor([0.9 + 0.2, 0.9 + 0.8], dtype=torch.float64))  # unbiased
    assert inside.running_mean is not None
    assert inside.running_mean.tolist() == [0.0, 0.0]
    _, own = Network(norm, "batch", momentum=1.0)({}, buffers_of(norm), x)
    torch.testing.assert_close(own["0.running_mean"], torch.tensor([1.0, 4.0], dtype=torch.float64))


def test_running_statistics_stay() -> None:
    norm = nn.BatchNorm1d(2).double().train()
    x = torch.tensor([[0.0, 2.0], [2.0, 6.0]], dtype=torch.float64)
    outputs, after = Network(norm, "running")({}, buffers_of(norm), x)
    torch.testing.assert_close(outputs, x / (1 + 1e-5) ** 0.5)
    assert after["running_mean"].tolist() == [0.0, 0.0]


def test_each_step_has_running_statistics_of_its_own(loops: SimpleNamespace) -> None:
    torch.manual_seed(0)
    linear, batch = nn.Linear(4, 3), loops.tasks(4, B=1)
    module = nn.Sequential(linear, nn.BatchNorm1d(3)).double()
    each = {name: torch.stack([value] * 3) for name, value in buffers_of(module).items()}
    found = gradient_of(module, batch, InnerLoop(2, Descent(0.5), per_step=True), buffers=each)
    assert found.buffers["1.running_mean"].shape == (3, 3)
    before = linear(batch.support_x[0]).mean(0)  # of φ_0 on the support set
    torch.testing.assert_close(found.buffers["1.running_mean"][0], 0.1 * before)
    assert not torch.allclose(found.buffers["1.running_mean"][1], found.buffers["1.running_mean"][0])


class Counter(nn.Module):
    """Changes a buffer in its forward pass, in place or by another tensor."""

    seen: Tensor

    def __init__(self, in_place: bool) -> None:
        super().__init__()
        self.linear, self.in_place = nn.Linear(4, 3), in_place
        self.register_buffer("seen", torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        if self.in_place:
            self.seen += 1
        else:
            self.seen = self.seen + 1
        return self.linear(x)  # type: ignore[no-any-return]


@pytest.mark.parametrize("way", ["auto", "in_turn", "together", "threads"])
@pytest.mark.parametrize("in_place", [True, False])
def test_a_buffer_without_a_policy_is_refused_and_stays(in_place: bool, way: Any, loops: SimpleNamespace) -> None:
    counter = Counter(in_place).double()
    module = nn.Sequential(counter)
    with pytest.raises(RecipeError, match=r"changes the buffer '0.seen' of Counter, which has no policy.*Keep what changes"):
        gradient_of(module, loops.tasks(4), InnerLoop(1, tasks=way))
    assert counter.seen.item() == 0.0


# Dropout.


def dropping() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Dropout(0.5), nn.Linear(8, 3)).double()


def test_dropout_is_a_function_of_seed_task_and_step(loops: SimpleNamespace) -> None:
    module, batch = dropping(), loops.tasks(4)
    loop = InnerLoop(3, Descent(0.3))
    state = torch.get_rng_state()
    first, again, other = (gradient_of(module, batch, loop, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(state, torch.get_rng_state())
    assert torch.equal(first.loss, again.loss)
    assert not torch.allclose(first.loss, other.loss)
    second = gradient_of(module, batch, InnerLoop(3, Descent(0.3), flat), seed=1)  # draws each step twice
    assert loops.distance(second.start, first.start) < 1e-10
    alone = EpisodeBatch(batch.support_x[1:2], batch.support_y[1:2], batch.query_x[1:2], batch.query_y[1:2], 3, batch.numbers[1:2])
    assert torch.equal(gradient_of(module, alone, loop, seed=1).loss, first.loss[1:2])
    assert not torch.allclose(gradient_of(module.eval(), batch, loop).loss, first.loss)


@pytest.mark.parametrize("way", ["together", "threads"])
def test_dropout_in_another_order_is_refused(way: Any, loops: SimpleNamespace) -> None:
    with pytest.raises(RecipeError, match=f"draws random numbers, which are drawn task by task; tasks='{way}'.*Use tasks='in_turn'"):
        gradient_of(dropping(), loops.tasks(4), InnerLoop(1, tasks=way))


class Noise(nn.Module):
    """Draws where nothing announces it."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        return F.dropout(self.linear(x), 0.5)


@pytest.mark.parametrize("way", ["together", "threads"])
def test_random_numbers_that_no_module_announces_are_found(way: Any, loops: SimpleNamespace) -> None:
    with pytest.raises(RecipeError, match=r"the module draws random numbers.*Use tasks='in_turn'"):
        gradient_of(Noise().double(), loops.tasks(4), InnerLoop(1, tasks=way))


def test_random_numbers_that_no_module_announces_are_the_same_in_both_exact_modes(loops: SimpleNamespace) -> None:
    module, batch = Noise().double(), loops.tasks(4)
    unrolled_once, flat_once = (gradient_of(module, batch, InnerLoop(3, Descent(0.3), mode), seed=1) for mode in (unrolled, flat))
    assert loops.distance(flat_once.start, unrolled_once.start) < 1e-10


def test_what_draws() -> None:
    x, recurrent, attention = torch.rand(3, 4, 2), nn.LSTM(2, 2, num_layers=2, dropout=0.1), nn.MultiheadAttention(2, 1, dropout=0.1)
    module, noise = dropping(), Noise().double()
    state, rows = torch.get_rng_state(), torch.ones(5, 4, dtype=torch.float64)
    assert draws(lambda: module(rows))
    assert draws(lambda: noise(rows))
    assert draws(lambda: torch.rand(1))
    assert not draws(lambda: module.eval()(rows))
    assert not draws(lambda: nn.functional.dropout(rows, 0.0))
    assert draws(lambda: recurrent(x))
    assert draws(lambda: attention(x, x, x))
    recurrent.eval()
    attention.eval()
    assert not draws(lambda: recurrent(x))
    assert not draws(lambda: attention(x, x, x))
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.slow
def test_what_other_threads_draw_is_not_the_module_s(loops: SimpleNamespace) -> None:
    stop = threading.Event()

    def draw() -> None:
        while not stop.is_set():
            torch.rand(3)

    drawing = threading.Thread(target=draw)
    drawing.start()
    try:
        for _ in range(10):
            gradient_of(nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3)).double(), loops.tasks(4), InnerLoop(1, tasks="threads"))
    finally:
        stop.set()
        drawing.join()


# Batch normalisation of a kind of its own.


class Activated(nn.BatchNorm1d):
    """Adds something to what its base computes."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(super().forward(x))


@pytest.mark.parametrize("way", ["in_turn", "threads", "auto"])
def test_a_subclass_of_batch_normalisation_keeps_its_own_forward(way: Any, loops: SimpleNamespace) -> None:
    torch.manual_seed(0)
    module, batch = nn.Sequential(nn.Linear(4, 5), Activated(5), nn.Linear(5, 3)).double(), loops.tasks(4)
    found = gradient_of(module, batch, InnerLoop(0, tasks=way)).loss
    plain = torch.stack([F.cross_entropy(copy.deepcopy(module)(x), y) for x, y in zip(batch.query_x, batch.query_y, strict=True)])
    torch.testing.assert_close(found, plain.detach(), rtol=1e-10, atol=1e-10)


# What is given stays.


class InPlace(nn.Linear):
    """Changes its items."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.mul_(2))


def test_items_that_the_module_changes_are_named(loops: SimpleNamespace) -> None:
    with pytest.raises(RecipeError, match=r"changes the items that it is given.*x\.clone\(\)"):
        gradient_of(InPlace(4, 3).double(), loops.tasks(4), InnerLoop(1, tasks="in_turn"))


def test_the_floating_items_of_another_type_are_blamed_before_whole_numbers(loops: SimpleNamespace) -> None:
    class Mixed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.words, self.head = nn.Embedding(5, 4), nn.Linear(8, 3)

        def forward(self, x: dict[str, Tensor]) -> Tensor:
            return self.head(torch.cat([self.words(x["ids"]), x["x"]], 1))

    batch = loops.tasks(4)
    ids = torch.zeros(batch.support_x.shape[:2], dtype=torch.int64), torch.zeros(batch.query_x.shape[:2], dtype=torch.int64)
    mixed = EpisodeBatch(
        {"ids": ids[0], "x": batch.support_x}, batch.support_y, {"ids": ids[1], "x": batch.query_x}, batch.query_y, 3, batch.numbers
    )
    with pytest.raises(DataError, match=r"computes with torch.float32, and the items 'x' are torch.float64.*x\.float\(\)"):
        gradient_of(Mixed(), mixed, InnerLoop(1, tasks="in_turn"))


# What is refused.


class Sum(Classification):
    """A family whose loss is one number for all tasks."""

    def loss(self, outputs: Tensor, y: Tensor) -> Tensor:
        return super().loss(outputs, y).sum()


class Each(Classification):
    """A family whose loss is one number an item."""

    def loss(self, outputs: Tensor, y: Tensor) -> Tensor:
        return F.cross_entropy(outputs.flatten(0, 1), y.flatten(), reduction="none").view(y.shape)


@pytest.mark.parametrize(("family", "shape"), [(Sum(), r"\(\)"), (Each(), r"\(1, 6\)")])
def test_a_loss_that_is_not_a_number_a_task(family: Classification, shape: str, loops: SimpleNamespace) -> None:
    module = nn.Linear(4, 3).double()
    with pytest.raises(RecipeError, match=f"must be one number per task, .* found {shape}. Take the mean"):
        meta_gradient(module, divide_parameters(module), family, loops.tasks(4), InnerLoop(1))


def test_outputs_that_are_no_rows(loops: SimpleNamespace) -> None:
    module = nn.Sequential(nn.Linear(4, 3), nn.Unflatten(1, (3, 1))).double()
    with pytest.raises(RecipeError, match=r"one row of outputs per item, \(6, N\); found shape \(6, 3, 1\)"):
        gradient_of(module, loops.tasks(4), InnerLoop(1))


@pytest.mark.parametrize("way", ["auto", "in_turn", "together"])
def test_integer_items_where_gradients_are_needed(way: Any, loops: SimpleNamespace) -> None:
    batch = loops.tasks(4)
    whole = EpisodeBatch(batch.support_x.long(), batch.support_y, batch.query_x.long(), batch.query_y, 3, batch.numbers)
    with pytest.raises(DataError, match=r"with torch.float64, and the items 'x' are torch.int64.*Convert them: x.double\(\)"):
        gradient_of(nn.Linear(4, 3).double(), whole, InnerLoop(1, tasks=way))


def test_integer_items_of_an_embedding_are_welcome() -> None:
    torch.manual_seed(0)
    x, y = torch.randint(5, (2, 6, 3)), torch.arange(6).expand(2, 6) % 3
    module = nn.Sequential(nn.Embedding(5, 3), nn.Flatten(), nn.Linear(9, 3)).double()
    found = gradient_of(module, EpisodeBatch(x, y, x, y, 3, np.arange(2)), InnerLoop(2, Descent(0.5)))
    assert bool(found.start["0.weight"].any())


def test_a_loss_that_does_not_depend_on_what_adapts(loops: SimpleNamespace) -> None:
    class Cut(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = nn.Linear(4, 3)

        def forward(self, x: Tensor) -> Tensor:
            return self.linear(x).detach()  # type: ignore[no-any-return]

    with pytest.raises(RecipeError, match="the loss does not depend on any parameter that adapts"):
        gradient_of(Cut().double(), loops.tasks(4), InnerLoop(1))


@pytest.mark.parametrize("part", ["support", "query"])
def test_tasks_of_unequal_size(part: str, loops: SimpleNamespace) -> None:
    batch = loops.tasks(4)
    torn = EpisodeBatch(
        batch.support_x[:, :-1] if part == "support" else batch.support_x, batch.support_y,
        batch.query_x[:-1] if part == "query" else batch.query_x, batch.query_y, 3, batch.numbers,
    )  # fmt: skip
    with pytest.raises(DataError, match=f"all tasks of a batch must have one size: {part}_y is .* Put tasks of another size"):
        gradient_of(nn.Linear(4, 3).double(), torn, InnerLoop(1))


@pytest.mark.parametrize("way", ["in_turn", "together"])
def test_a_rate_that_diverges_is_named_with_its_episode(way: Any, loops: SimpleNamespace) -> None:
    batch = loops.tasks(4)
    real = EpisodeBatch(batch.support_x, batch.support_x[..., :1], batch.query_x, batch.query_x[..., :1], None, batch.numbers)
    module = nn.Linear(4, 1).double()
    with pytest.raises(TrainingError, match=r"inner loop of episode 40 diverged: .* of 30 steps with an inner rate of 9\. Lower inner_lr"):
        meta_gradient(module, divide_parameters(module), Regression(), real, InnerLoop(30, Descent(9.0), tasks=way))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"steps": -1}, "inner steps must be 0 or more; found -1"),
        ({"steps": 1, "tasks": "all"}, "tasks must be one of auto, in_turn, threads, together; found 'all'"),
        ({"steps": 1, "statistics": "mine"}, "by 'batch' or by 'running' statistics; found 'mine'"),
    ],
)
def test_settings_that_make_no_sense(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        InnerLoop(**settings)


@pytest.mark.parametrize("way", ["auto", "in_turn"])
def test_an_operation_without_second_derivative_is_named(way: Any) -> None:
    x, y = torch.randint(5, (2, 6, 3), generator=torch.Generator().manual_seed(0)), torch.arange(6).expand(2, 6) % 3
    batch = EpisodeBatch(x, y, x, y, 3, np.arange(2))
    with pytest.raises(RecipeError, match=r"no second derivative in PyTorch: .*embedding_bag_backward.*first_order_maml"):
        gradient_of(nn.EmbeddingBag(5, 3), batch, InnerLoop(1, tasks=way))
    assert bool(gradient_of(nn.EmbeddingBag(5, 3), batch, InnerLoop(1, mode=first_order, tasks=way)).start["weight"].any())


def fused() -> bool:
    return bool(torch.backends.cuda.flash_sdp_enabled())  # type: ignore[no-untyped-call]  # untyped in torch


def test_fused_attention_is_switched_off_inside_and_back_on_after_the_last() -> None:
    before = fused()
    with differentiable_twice():
        with differentiable_twice():
            assert not fused()
        assert not fused()
    assert fused() is before


def test_first_order_needs_no_second_derivative(loops: SimpleNamespace) -> None:
    torch.manual_seed(0)
    found = gradient_of(Attention().double(), loops.tasks(5, 4), InnerLoop(2, Descent(0.2), first_order))
    assert bool(found.start["head.weight"].any())


class _Wrong(torch.autograd.Function):
    """Twice its input, whose rule for `vmap` forgets a hundredth."""

    @staticmethod
    def forward(x: Tensor) -> Tensor:
        return 2 * x

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        pass

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Tensor:  # type: ignore[override]
        return 2 * g

    @staticmethod
    def vmap(info: Any, in_dims: Any, x: Tensor) -> tuple[Tensor, int | None]:
        return 1.99 * x, in_dims[0]


def test_a_module_that_is_wrong_together_is_refused_and_never_chosen(loops: SimpleNamespace) -> None:
    class Doubled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(4, 3)

        def forward(self, x: Tensor) -> Tensor:
            doubled: Tensor = _Wrong.apply(self.layer(x))  # type: ignore[no-untyped-call]
            return doubled

    torch.manual_seed(0)
    module, batch = Doubled().double(), loops.tasks(4)
    parameters = divide_parameters(module)
    with pytest.raises(RecipeError, match=r"vmap cannot be trusted.*differentiated wrongly there. Use tasks='in_turn' or tasks='threads'"):
        meta_gradient(module, parameters, Classification(), batch, InnerLoop(2, Descent(0.1), tasks="together"))
    chosen, apart = (
        meta_gradient(module, parameters, Classification(), batch, InnerLoop(2, Descent(0.1), tasks=way)) for way in ("auto", "in_turn")
    )
    assert loops.distance(chosen.start, apart.start) < 1e-12
