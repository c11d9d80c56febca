"""Reptile: by hand, against its two lines in loops, the order of minibatches, whose statistics answer, and bad input."""

import copy
import math
from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cases.batches import unbalanced_batch
from cases.networks import SmallNormed
from kshot.episodes.episode import EpisodeBatch
from kshot.episodes.family import Classification, Regression
from kshot.errors import DataError, RecipeError, TrainingError
from kshot.learners.contract.check import CLASSIFICATION, check_learner
from kshot.learners.gradient.reptile import Reptile, minibatches
from kshot.learners.inner_loop import meta_gradient
from kshot.learners.inner_loop.planning import plan
from kshot.meta_train.optimization import Optimization
from kshot.meta_train.step import meta_step
from kshot.results.score.evaluate import batch_norm_statistics

ROUNDING = 1e-9
"""Before batch normalisation a bias has no slope but rounding, 1e-17, which Adam's ε = 1e-8 lets through as a step of 1e-9 · α."""


def small(**settings: int) -> Reptile:
    torch.manual_seed(0)
    return Reptile(SmallNormed(), 6, 3, inner_lr=0.02, **{"inner_steps": 4, "inner_batch": 5, "adapt_steps": 7, **settings}).double()


batch_of = partial(unbalanced_batch, B=3, N=3, S=7, Q=5, apart=1.0, numbers=(4, 0, 11))


def some(batch: EpisodeBatch, rows: list[int]) -> EpisodeBatch:
    assert isinstance(batch.support_x, Tensor)
    assert isinstance(batch.query_x, Tensor)
    return EpisodeBatch(
        batch.support_x[rows], batch.support_y[rows], batch.query_x[rows], batch.query_y[rows], batch.way, batch.numbers[rows]
    )


def gradients(learner: Reptile, batch: EpisodeBatch) -> dict[str, Tensor]:
    learner.zero_grad()
    learner.meta_backward(batch, 0.0)
    return {name: value.grad.clone() for name, value in learner.named_parameters() if value.grad is not None}


# By hand.


def test_one_step_by_hand() -> None:
    # y = w x + b with w = 2, b = 0. With β1 = 0 the first step of Adam is of size α in the direction of the slope's sign.
    learner = Reptile(nn.Identity(), 1, 1, inner_lr=0.25, inner_steps=1, family=Regression()).double()
    nn.init.constant_(learner.head.weight, 2.0)
    nn.init.constant_(learner.head.bias, 0.0)
    x, y = torch.tensor([[[1.0]], [[1.0]]]).double(), torch.tensor([[[5.0]], [[-1.0]]]).double()
    losses = learner.meta_backward(EpisodeBatch(x, y, -x, -y, None, np.arange(2)), 0.0)
    assert losses.tolist() == [9.0, 9.0]  # (2 - 5)² and (2 + 1)², at 1 and -1 alike
    # Task 0 wants more w and task 1 less: w moves by +α and -α; the slopes of b cancel between x = 1 and x = -1.
    assert learner.head.weight.grad is not None
    assert learner.head.bias.grad is not None
    torch.testing.assert_close(learner.head.weight.grad, torch.zeros(1, 1).double(), atol=1e-8, rtol=0)
    torch.testing.assert_close(learner.head.bias.grad, torch.zeros(1).double(), atol=1e-12, rtol=0)
    learner.zero_grad()
    learner.meta_backward(EpisodeBatch(x[:1], y[:1], -x[:1], -y[:1], None, np.arange(1)), 0.0)
    torch.testing.assert_close(learner.head.weight.grad, torch.tensor([[-0.25]]).double(), atol=1e-8, rtol=0)  # θ - φ = 2 - 2.25


# The two lines, written again: plain loops over tasks, steps and parameters.


def forward(values: list[Tensor], x: Tensor) -> Tensor:
    w1, b1, gamma, beta, w2, b2, w3, b3 = values
    z = x @ w1.T + b1
    z = (z - z.mean(0)) / (z.var(0, unbiased=False) + 1e-5).sqrt() * gamma + beta
    return torch.tanh(torch.tanh(z) @ w2.T + b2) @ w3.T + b3


def slow_inner(
    start: list[Tensor], x: Tensor, y: Tensor, order: list[Tensor], lr: float, squares: list[Tensor] | None = None, taken: int = 0
) -> tuple[list[Tensor], list[float], list[list[Tensor]]]:
    """Parameters reached, losses, and the squared slopes of each step."""
    values = [value.detach().clone().requires_grad_() for value in start]
    squares = [torch.zeros_like(value) for value in values] if squares is None else squares
    losses, seen = [], []
    for t, rows in enumerate(order, taken + 1):
        loss = torch.stack([-F.log_softmax(forward(values, x[rows]), 1)[n, y[rows[n]]] for n in range(len(rows))]).mean()
        slopes = torch.autograd.grad(loss, values)
        losses.append(float(loss.detach()))
        seen.append([slope.detach() ** 2 for slope in slopes])
        squares = [0.999 * square + 0.001 * slope**2 for square, slope in zip(squares, slopes, strict=True)]
        values = [
            (value - lr * slope / ((square / (1 - 0.999**t)).sqrt() + 1e-8)).detach().requires_grad_()
            for value, slope, square in zip(values, slopes, squares, strict=True)
        ]
    return [value.detach() for value in values], losses, seen


def recorded(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, list[Tensor]]]:
    """The number of each task whose minibatches are asked for, with the minibatches."""
    seen: list[tuple[int, list[Tensor]]] = []

    def spy(key: int, number: int, items: int, size: int, steps: int) -> list[Tensor]:
        seen.append((number, list(minibatches(key, number, items, size, steps))))
        return seen[-1][1]

    monkeypatch.setattr("kshot.learners.gradient.reptile.minibatches", spy)
    return seen


def test_meta_backward_leaves_the_mean_way_back(monkeypatch: pytest.MonkeyPatch) -> None:
    learner, batch, seen = small(), batch_of(), recorded(monkeypatch)
    losses = learner.meta_backward(batch, 0.5)
    assert [number for number, _ in seen] == [4, 0, 11]
    start = [value.detach() for value in learner.parameters()]
    assert isinstance(batch.support_x, Tensor)
    assert isinstance(batch.query_x, Tensor)
    reached, expected_losses = [], []
    for b, (_, order) in enumerate(seen):
        x, y = torch.cat([batch.support_x[b], batch.query_x[b]]), torch.cat([batch.support_y[b], batch.query_y[b]])
        values, path, _ = slow_inner(start, x, y, order, 0.02)
        reached.append(values)
        expected_losses.append(sum(path) / len(path))
    torch.testing.assert_close(losses, torch.tensor(expected_losses, dtype=torch.float64), rtol=1e-10, atol=0)
    for place, value in enumerate(learner.parameters()):
        mean = sum(values[place] for values in reached) / 3
        assert value.grad is not None
        torch.testing.assert_close(value.grad, start[place] - mean, rtol=1e-9, atol=ROUNDING)


def test_adapting_takes_its_own_number_of_steps_on_the_support_set(monkeypatch: pytest.MonkeyPatch) -> None:
    learner, batch, seen = small().eval(), batch_of(), recorded(monkeypatch)
    assert isinstance(batch.support_x, Tensor)
    adapted = learner.adapt(batch.support_x, batch.support_y, way=3)
    assert [(number, len(order)) for number, order in seen] == [(0, 7)]
    for b in range(3):
        expected, *_ = slow_inner(list(learner.parameters()), batch.support_x[b], batch.support_y[b], seen[0][1], 0.02)
        for found, value in zip(adapted.parameters.values(), expected, strict=True):
            torch.testing.assert_close(found[b], value, rtol=1e-9, atol=ROUNDING)


def test_second_moments_are_carried_on_in_training_and_serve_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    learner, batch, seen = small(), batch_of(), recorded(monkeypatch)
    start = [value.detach().clone() for value in learner.parameters()]
    kept = [torch.zeros_like(value) for value in start]
    assert isinstance(batch.support_x, Tensor)
    assert isinstance(batch.query_x, Tensor)
    for update in range(2):  # of three tasks of four steps each; the parameters stay, for nobody takes the outer step
        learner.zero_grad()
        learner.meta_backward(batch, 0.5)
        reached, slopes = [], []
        for b, (_, order) in enumerate(seen[3 * update :]):
            x, y = torch.cat([batch.support_x[b], batch.query_x[b]]), torch.cat([batch.support_y[b], batch.query_y[b]])
            values, _, squared = slow_inner(start, x, y, order, 0.02, kept, 12 * update)
            reached.append(values)
            slopes += squared
        for squared in slopes:  # of the tasks one after another
            kept = [0.999 * before + 0.001 * square for before, square in zip(kept, squared, strict=True)]
        for place, value in enumerate(learner.parameters()):
            assert value.grad is not None
            torch.testing.assert_close(value.grad, start[place] - sum(v[place] for v in reached) / 3, rtol=1e-8, atol=ROUNDING)
            torch.testing.assert_close(learner.get_buffer(f"squares_{place}"), kept[place], rtol=1e-9, atol=1e-30)
    assert int(learner.get_buffer("steps_taken")) == 24
    before = copy.deepcopy(learner.state_dict())
    adapted = learner.eval().adapt(batch.support_x, batch.support_y, way=3)
    expected, *_ = slow_inner(start, batch.support_x[1], batch.support_y[1], seen[-1][1], 0.02, kept, 24)
    for found, value in zip(adapted.parameters.values(), expected, strict=True):
        torch.testing.assert_close(found[1], value, rtol=1e-8, atol=ROUNDING)
    assert all(torch.equal(value, learner.state_dict()[name]) for name, value in before.items())


def test_an_outer_step_goes_part_of_the_way() -> None:
    learner, batch = small().train(), batch_of()
    before = [value.detach().clone() for value in learner.parameters()]
    wanted = [start - way for start, way in zip(before, gradients(copy.deepcopy(learner), batch).values(), strict=True)]
    settings = Optimization("sgd", lr=0.8, momentum=0.0, schedule="linear")
    loss, _ = meta_step(learner, settings.build(learner.parameters()), [batch], optimization=settings, update=30, updates=40)
    assert math.isfinite(loss)
    for value, start, goal in zip(learner.parameters(), before, wanted, strict=True):
        torch.testing.assert_close(value.detach(), start + 0.8 * 0.25 * (goal - start), rtol=1e-9, atol=ROUNDING)


def test_rectangles_of_an_update_are_weighted_by_their_tasks() -> None:
    batch, learner, other = batch_of(), small(), small()
    settings = Optimization("sgd", lr=1.0, momentum=0.0)
    start = {name: value.detach().clone() for name, value in learner.named_parameters()}
    parts = [some(batch, [0, 1]), some(batch, [2])]
    first, second = (gradients(other, part) for part in parts)  # the second with the moments that the first has left
    whole = {name: (2 * value + second[name]) / 3 for name, value in first.items()}
    meta_step(learner, settings.build(learner.parameters()), parts, optimization=settings, update=0, updates=1)
    for name, value in learner.named_parameters():
        torch.testing.assert_close(start[name] - value.detach(), whole[name], rtol=1e-9, atol=ROUNDING)


def test_gradients_are_added_to_what_is_there() -> None:
    learner, batch = small(), batch_of()
    once = gradients(copy.deepcopy(learner), batch)
    for name, value in learner.named_parameters():
        value.grad = once[name].clone()
    learner.meta_backward(batch, 0.0)
    for name, value in learner.named_parameters():
        torch.testing.assert_close(value.grad, 2 * once[name])


def test_a_frozen_part_stays_and_gets_no_gradient() -> None:
    learner, batch = small(), batch_of()
    learner.backbone.requires_grad_(False)
    assert set(gradients(learner, batch)) == {"head.weight", "head.bias"}
    assert set(learner.eval().adapt(batch.support_x, batch.support_y, way=3).parameters) == {"head.weight", "head.bias"}


# Minibatches.


def test_a_round_holds_each_item_once_and_the_next_is_in_another_order() -> None:
    parts = list(minibatches(5, 3, items=6, size=4, steps=6))
    assert [len(part) for part in parts] == [4] * 6
    rounds = torch.cat(parts).reshape(4, 6)
    assert all(sorted(order.tolist()) == list(range(6)) for order in rounds)
    assert len({tuple(order.tolist()) for order in rounds}) > 1


def test_an_order_depends_on_the_number_and_the_key_alone() -> None:
    def orders(key: int, number: int, steps: int) -> list[list[int]]:
        return [part.tolist() for part in minibatches(key, number, 20, 10, steps)]

    assert orders(1, 7, 4) == orders(1, 7, 4)
    assert orders(1, 7, 6)[:4] == orders(1, 7, 4)
    assert orders(1, 7, 4) != orders(1, 8, 4)
    assert orders(1, 7, 4) != orders(2, 7, 4)


def test_every_place_holds_every_item_equally_often() -> None:
    counts = np.zeros((4, 4))
    for number in range(4000):
        (order,) = minibatches(9, number, 4, 4, 1)
        counts[np.arange(4), order.numpy()] += 1
    assert np.abs(counts - 1000).max() < 5 * math.sqrt(4000 * 3 / 16)


def test_fewer_items_than_a_minibatch_are_one() -> None:
    assert [sorted(part.tolist()) for part in minibatches(0, 0, 3, 10, 2)] == [[0, 1, 2], [0, 1, 2]]


@pytest.mark.slow
def test_training_is_a_function_of_the_episodes_numbers() -> None:
    batch = batch_of()
    turned = some(batch, [2, 0, 1])
    for name, value in gradients(small(), batch).items():
        torch.testing.assert_close(value, gradients(small(), turned)[name], rtol=1e-9, atol=ROUNDING)
    other = batch_of(numbers=(5, 1, 12))
    assert any(
        not torch.allclose(a, b) for a, b in zip(gradients(small(), batch).values(), gradients(small(), other).values(), strict=True)
    )


# Whose statistics.


def test_an_inductive_answer_has_the_statistics_of_the_support_set_and_the_query() -> None:
    learner, batch = small().eval(), batch_of()
    assert isinstance(batch.support_x, Tensor)
    assert isinstance(batch.query_x, Tensor)
    adapted = learner.adapt(batch.support_x, batch.support_y, way=3)
    alone, together = learner.predict(adapted, batch.query_x), learner.predict_together(adapted, batch.query_x)
    for b in range(3):
        values = [value[b] for value in adapted.parameters.values()]
        torch.testing.assert_close(together[b], forward(values, batch.query_x[b]))
        for q in range(5):
            items = torch.cat([batch.support_x[b], batch.query_x[b, q : q + 1]])
            torch.testing.assert_close(alone[b, q], forward(values, items)[-1])


def test_running_statistics_are_neither_used_nor_moved() -> None:
    learner, batch = small(), batch_of()
    expected = learner.eval().predict(learner.adapt(batch.support_x, batch.support_y, way=3), batch.query_x)
    learner.train().meta_backward(batch, 0.0)
    for name, buffer in learner.named_buffers(recurse=False):  # the second moments, which do move
        assert bool((buffer > 0).any()), name
        buffer.zero_()
    norm = learner.get_submodule("backbone.norm")
    assert isinstance(norm, nn.BatchNorm1d)
    assert norm.running_mean is not None
    assert norm.running_mean.tolist() == [0.0] * 7
    norm.running_mean.fill_(3.0)
    torch.testing.assert_close(learner.eval().predict(learner.adapt(batch.support_x, batch.support_y, way=3), batch.query_x), expected)


def test_results_name_the_statistics() -> None:
    assert batch_norm_statistics(small(), "inductive") == "support and this query"
    assert batch_norm_statistics(small(), "transductive") == "all queries"
    assert batch_norm_statistics(Reptile(nn.Linear(5, 6), 6, 3)) == "none"


# Real targets.


def batch_of_lines() -> EpisodeBatch:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(3, 12, 1, generator=generator)
    slope, height = torch.randn(2, 3, 1, 1, generator=generator)
    y = torch.cat([slope * x + height, height - x], -1)  # (B, S + Q, 2)
    return EpisodeBatch(x[:, :7], y[:, :7], x[:, 7:], y[:, 7:], None, np.arange(3))


@pytest.mark.slow
def test_real_targets_keep_every_rule() -> None:
    torch.manual_seed(0)
    learner = Reptile(nn.Sequential(nn.Linear(1, 8), nn.Tanh()), 8, 2, adapt_steps=3, family=Regression())
    assert not {*CLASSIFICATION} & {*check_learner(learner, batch_of_lines())}


@pytest.mark.slow
def test_steps_fit_real_targets() -> None:
    batch = batch_of_lines()
    errors = []
    for steps in (0, 20, 1000):
        torch.manual_seed(0)
        learner = Reptile(nn.Identity(), 1, 2, adapt_steps=steps, inner_lr=0.03, family=Regression()).eval()
        answers = learner.predict(learner.adapt(batch.support_x, batch.support_y), batch.query_x)
        errors.append(float(learner.family.score(answers, batch.query_y).mean()))
    assert errors[0] > 1.5 * errors[1] > 15 * errors[2]


# Bad input.


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"inner_steps": 0}, "inner_steps of Reptile must be 1 or more; found 0"),
        ({"inner_batch": 0}, "inner_batch of Reptile must be 1 or more; found 0"),
        ({"adapt_steps": -1}, "adapt_steps of Reptile must be 0 or more; found -1"),
        ({"outputs": 0}, "outputs of Reptile must be 1 or more; found 0"),
        ({"features": -2}, "features of Reptile must be 1 or more; found -2"),
        ({"inner_lr": 0.0}, r"the inner_lr of Reptile must be a positive number; found 0\.0"),
        ({"inner_lr": math.nan}, "the inner_lr of Reptile must be a positive number; found nan"),
    ],
)
def test_numbers_out_of_range(settings: dict[str, float], message: str) -> None:
    build: Callable[..., Reptile] = Reptile
    with pytest.raises(RecipeError, match=message):
        build(nn.Identity(), **{"features": 4, **settings})


@pytest.mark.parametrize(
    ("y", "way", "found"), [(torch.tensor([[0, 1, 1]]), 2, 2), (torch.tensor([[0, 1, 3]]), None, 4), (torch.tensor([[0, 1, 2]]), 20, 20)]
)
def test_tasks_of_another_way_than_the_head(y: Tensor, way: int | None, found: int) -> None:
    learner = Reptile(nn.Identity(), 4, 3, family=Classification()).eval()
    message = f"the head of this learner has 3 outputs, and the tasks have {found} classes. .* train one with learner.outputs={found}"
    with pytest.raises(RecipeError, match=message):
        learner.adapt(torch.zeros(1, 3, 4), y, way=way)
    with pytest.raises(RecipeError, match=message):
        learner.meta_backward(EpisodeBatch(torch.zeros(1, 3, 4), y, torch.zeros(1, 3, 4), y, way, np.arange(1)), 0.0)


def test_targets_of_another_length_than_the_head() -> None:
    learner = Reptile(nn.Identity(), 4, 3, family=Regression()).eval()
    with pytest.raises(RecipeError, match="has 3 outputs, and the tasks have 2 target values per item"):
        learner.adapt(torch.zeros(1, 5, 4), torch.zeros(1, 5, 2))


def test_steps_that_diverge_are_named() -> None:
    learner = Reptile(nn.Identity(), 4, 1, inner_lr=1e30, adapt_steps=5, family=Regression()).eval()
    nn.init.zeros_(learner.head.weight)
    nn.init.zeros_(learner.head.bias)  # so that task 0, all zeros, has no slope
    x = torch.ones(2, 5, 4)
    x[0] = 0
    with pytest.raises(DataError, match=r"the inner loop of task 1 of the batch diverged: .* an inner rate of 1e\+30\. Lower inner_lr"):
        learner.adapt(x, x[..., :1])
    with pytest.raises(TrainingError, match="the inner loop of episode 8 diverged"):
        learner.train().meta_backward(EpisodeBatch(x, x[..., :1], x, x[..., :1], None, np.array([7, 8])), 0.0)
    assert int(learner.get_buffer("steps_taken")) == 0  # what diverged leaves nothing behind
    with pytest.raises(DataError, match=r"task 0 of the batch diverged: .* is inf after 1 of 1 steps .*Lower inner_lr") as told:
        Reptile(nn.Identity(), 4, 1, inner_lr=1e38, adapt_steps=1, family=Regression()).eval().adapt(x, x[..., :1])
    assert told.value.task == 0


def test_tasks_together_come_to_what_each_comes_to_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    learner, batch = small(), batch_of()
    schedules: list[str] = []
    own = meta_gradient.solve
    monkeypatch.setattr(meta_gradient, "solve", lambda assignment, schedule: schedules.append(schedule) or own(assignment, schedule))
    together = gradients(copy.deepcopy(learner), batch)
    assert schedules == ["together"]  # small tasks are taken at once
    monkeypatch.setattr(plan, "_best", lambda *_, **__: "threads")
    alone = gradients(learner, batch)
    for name, value in alone.items():
        torch.testing.assert_close(together[name], value, rtol=1e-9, atol=1e-9)  # Adam makes much of the rounding in slopes that are 0


def test_a_module_that_vmap_cannot_read_is_trained_task_by_task() -> None:
    class Branching(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = nn.Linear(5, 6)

        def forward(self, x: Tensor) -> Tensor:
            return self.linear(x) if float(x.sum()) > 0 else -self.linear(x)  # depends on the data

    torch.manual_seed(0)
    learner = Reptile(Branching(), 6, 3, inner_steps=2, inner_batch=5).double()
    assert learner.meta_backward(batch_of(), 0.0).isfinite().all()
