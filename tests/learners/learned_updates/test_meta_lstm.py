"""The LSTM meta-learner: a coordinate by hand, a plain loop of its equations, its start, memory, and what is refused."""

import math
from collections.abc import Mapping
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cases.batches import balanced_batch, batch_of_curves
from kshot.episodes.episode import EpisodeBatch
from kshot.episodes.family import Classification, Regression
from kshot.errors import DataError, RecipeError, TrainingError
from kshot.learners.inner_loop.assignment import Assignment
from kshot.learners.inner_loop.loop import SCHEDULES, InnerLoop, Schedule
from kshot.learners.inner_loop.meta_gradient import meta_gradient
from kshot.learners.inner_loop.modes.first_order import first_order
from kshot.learners.inner_loop.network import buffers_of
from kshot.learners.inner_loop.parameters import divide_parameters
from kshot.learners.inner_loop.planning.plan import plan_for
from kshot.learners.inner_loop.tasks import tasks_of
from kshot.learners.learned_updates.meta_lstm import CellStateRule, MetaLSTM


def made(**settings: Any) -> MetaLSTM:
    """A learner whose gates and LSTM are far from their start, so that everything counts."""
    torch.manual_seed(0)
    chosen = {"features": 5, "outputs": 3, "hidden": 3, "inner_steps": 3, "adapt_steps": 3, **settings}
    learner = MetaLSTM(nn.Sequential(nn.Linear(4, 5), nn.BatchNorm1d(5), nn.Tanh()), **chosen).double()
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, value in learner.learnt.items():
            value.copy_(torch.randn(value.shape, generator=generator) + (2.0 if name == "forget_bias" else 0.0))
    return learner


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def test_one_coordinate_by_hand() -> None:
    # One unit below. The gradient e^-5 and the loss 1 come in as (-1/2, 1) and (0, 1), the loss first.
    learnt = {
        "x0": torch.tensor([[0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0], [0.0, 0.0, 2.0, 0.0], [0.0, 0.0, 0.0, 3.0]]).double(),
        "h0": torch.zeros(4, 1).double(), "b0": torch.zeros(4).double(),
        "forget": torch.tensor([1.0, 2.0, 4.0]).double(), "input": torch.tensor([-1.0, 0.5, 8.0]).double(),
        "forget_bias": torch.tensor(0.25).double(), "input_bias": torch.tensor(-0.5).double(),
    }  # fmt: skip
    rule = CellStateRule(learnt)
    theta, g = 3.0, math.exp(-5)
    parameters = {"w": torch.tensor([[theta]]).double()}
    found, state = rule.update({"w": torch.tensor([[g]]).double()}, rule.init(parameters), parameters, 0, torch.ones(1).double())
    cell = sigmoid(1.0) * math.tanh(3.0)  # nothing was remembered
    h = sigmoid(2 * -0.5) * math.tanh(cell)
    forget, allow = sigmoid(h + 2 * theta + 0.25), sigmoid(-h + 0.5 * theta - 0.5)
    assert float(found["w"]) == pytest.approx(forget * theta - allow * g, rel=1e-12)
    assert state["gates"].flatten().tolist() == pytest.approx([forget, allow], rel=1e-12)
    again, _ = rule.update({"w": torch.tensor([[g]]).double()}, state, found, 1, torch.ones(1).double())
    theta = float(found["w"])
    cell = sigmoid(0.0) * cell + sigmoid(1.0) * math.tanh(3.0)
    h = sigmoid(2 * -0.5) * math.tanh(cell)
    kept, allowed = sigmoid(h + 2 * theta + 4 * forget + 0.25), sigmoid(-h + 0.5 * theta + 8 * allow - 0.5)
    assert float(again["w"]) == pytest.approx(kept * theta - allowed * g, rel=1e-12)


def network(parameters: Mapping[str, Tensor], x: Tensor) -> Tensor:
    """What `made` computes, written out: nothing of kshot's."""
    z = x @ parameters["backbone.0.weight"].T + parameters["backbone.0.bias"]
    z = (z - z.mean(0)) / ((z - z.mean(0)).square().mean(0) + 1e-5).sqrt()
    z = (z * parameters["backbone.1.weight"] + parameters["backbone.1.bias"]).tanh()
    return z @ parameters["head.weight"].T + parameters["head.bias"]


def prepared(x: Tensor) -> Tensor:
    """(…) → (…, 2), number by number."""
    pairs = []
    for value in x.flatten().tolist():
        large = abs(value) >= math.exp(-10)
        pairs.append([math.log(abs(value)) / 10, math.copysign(1.0, value)] if large else [-1.0, math.exp(10) * value])
    return torch.tensor(pairs, dtype=torch.float64).view(*x.shape, 2)


def slow_losses(learner: MetaLSTM, batch: EpisodeBatch, steps: int) -> Tensor:
    """The query losses with their graph: one tensor after another, with torch's LSTM cell in place of ours."""
    learnt, order = dict(learner.learnt.items()), torch.tensor([0, 1, 3, 2])  # gates: theirs i, f, g, o; ours i, f, o, g
    weights = [learnt[name].view(4, 3, -1)[order].flatten(0, 1) for name in ("x0", "h0")]
    bias = learnt["b0"].view(4, 3)[order].flatten()
    losses = []
    for b in range(len(batch)):
        x, y = batch.support_x[b], batch.support_y[b]  # type: ignore[index]
        theta: dict[str, Tensor] = {name: value for name, value in learner.named_parameters() if not name.startswith("learnt")}
        memory = {name: [value.new_zeros(value.numel(), 3)] * 2 for name, value in theta.items()}
        gates = {name: [torch.zeros_like(value)] * 2 for name, value in theta.items()}
        for _ in range(steps):
            leaves = {name: value.detach().requires_grad_() for name, value in theta.items()}
            loss = F.cross_entropy(network(leaves, x), y)
            slopes = dict(zip(leaves, torch.autograd.grad(loss, list(leaves.values())), strict=True))
            for name, value in theta.items():
                seen = torch.cat([prepared(loss.detach()).expand(value.numel(), 2), prepared(slopes[name].flatten())], 1)
                h, c = torch._VF.lstm_cell(seen, memory[name], *weights, bias, torch.zeros_like(bias))  # type: ignore[attr-defined]
                memory[name], of_gates = [h, c], []
                for gate, before in zip(("forget", "input"), gates[name], strict=True):
                    own = learnt[gate]
                    total = (h @ own[:3]).view_as(value) + own[3] * value + own[4] * before + learnt[f"{gate}_bias"]
                    of_gates.append(torch.sigmoid(total))
                gates[name] = of_gates
                theta[name] = of_gates[0] * value - of_gates[1] * slopes[name]
        losses.append(F.cross_entropy(network(theta, batch.query_x[b]), batch.query_y[b]))  # type: ignore[index]
    return torch.stack(losses)


def test_the_gradient_equals_a_loop_of_the_equations() -> None:
    learner, batch = made(), balanced_batch(4)
    found = learner.meta_backward(batch, 0.0)
    expected = slow_losses(learner, batch, 3)
    torch.testing.assert_close(found, expected.detach(), rtol=1e-10, atol=0)
    named = dict(learner.named_parameters())
    for (name, value), slope in zip(named.items(), torch.autograd.grad(expected.mean(), list(named.values())), strict=True):
        assert value.grad is not None
        torch.testing.assert_close(value.grad, slope, rtol=1e-8, atol=1e-12, msg=lambda text, name=name: f"{name}: {text}")  # type: ignore[misc]


@pytest.mark.parametrize("way", SCHEDULES)
def test_tasks_together_in_turn_and_over_threads_are_the_same(way: Schedule) -> None:
    learner, batch = made(), balanced_batch(4, B=3)
    module = learner.network()
    found = [
        meta_gradient(module, divide_parameters(module), Classification(), batch, InnerLoop(2, learner.rule(), first_order, tasks=tasks))
        for tasks in ("in_turn", way)
    ]
    torch.testing.assert_close(found[0].start, found[1].start)
    torch.testing.assert_close(found[0].learnt, found[1].learnt)


def test_it_starts_as_slow_gradient_descent() -> None:
    torch.manual_seed(0)
    learner = MetaLSTM(nn.Identity(), features=2, outputs=2, adapt_steps=1).double().eval()
    learnt = learner.rule().learnt
    forget, allow = float(learnt["forget_bias"]), float(learnt["input_bias"])
    assert 4 <= forget <= 5
    assert -5 <= allow <= -4
    assert all(float(value.abs().max()) <= 0.01 for name, value in learnt.items() if not name.endswith("_bias"))
    x, y = torch.tensor([[[1.0, 0.0], [0.0, 1.0]]]).double(), torch.tensor([[0, 1]])
    before = learner.head.weight.detach()
    moved = learner.adapt(x, y).parameters["head.weight"][0]
    slope = torch.autograd.grad(F.cross_entropy(learner.head(x[0]), y[0]), learner.head.weight)[0]
    torch.testing.assert_close(moved, sigmoid(forget) * before - sigmoid(allow) * slope, rtol=0, atol=1e-3)


@pytest.mark.slow
def test_updates_of_the_meta_learner_lower_the_loss_after_its_steps() -> None:
    torch.manual_seed(0)
    learner, batch = made(), balanced_batch(4, S=12)
    optimizer = torch.optim.Adam(learner.parameters(), lr=0.03)
    losses = []
    for _ in range(30):
        optimizer.zero_grad()
        losses.append(float(learner.meta_backward(batch, 0.0).mean()))
        optimizer.step()
    assert losses[-1] < 0.7 * losses[0]


def test_memory_counts_the_graph_of_the_rule_in_every_step() -> None:
    learner, batch = made(), balanced_batch(4)
    module = learner.network()
    tasks = tasks_of(batch, buffers_of(module))

    def needed(steps: int) -> int:
        loop = InnerLoop(steps, learner.rule(), first_order, tasks="in_turn")
        plan = plan_for(Assignment(module, divide_parameters(module), Classification(), tasks, loop))
        assert plan.footprint.rule > 8 * sum(value.numel() for value in module.parameters()) * 20  # 20 numbers and more per coordinate
        return plan.footprint.needed(loop.kept, at_once=1)

    assert needed(5) - needed(1) == 4 * (needed(2) - needed(1)) > 0


def test_real_targets() -> None:
    torch.manual_seed(0)
    learner = MetaLSTM(nn.Sequential(nn.Linear(1, 4), nn.Tanh()), features=4, outputs=2, inner_steps=2, family=Regression()).double()
    batch = batch_of_curves()
    assert bool(learner.meta_backward(batch, 0.0).isfinite().all())
    learner.eval()
    assert learner.predict(learner.adapt(batch.support_x, batch.support_y), batch.query_x).shape == (3, 9, 2)


def test_steps_that_diverge_are_named_with_the_way_out() -> None:
    learner = made()
    with torch.no_grad():
        learner.learnt["input_bias"].fill_(math.nan)
    batch = balanced_batch(4)
    with pytest.raises(
        TrainingError, match=r"episode 0 diverged.* after 1 of 3 steps with the learnt gates of an LSTM\. Train with a lower"
    ):
        learner.meta_backward(batch, 0.0)
    with pytest.raises(DataError, match=r"task 0 of the batch diverged.* the learnt gates of an LSTM"):
        learner.eval().adapt(batch.support_x, batch.support_y, way=3)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"hidden": 0}, "hidden must be 1 or more; found 0"),
        ({"hidden": 1001}, "hidden must be 1,?000 or less; found 1001"),
        ({"inner_steps": -1}, "inner_steps must be 0 or more; found -1"),
        ({"adapt_steps": True}, "adapt_steps must be a whole number"),
        ({"inductive": "query"}, "'support' or 'running' statistics; found 'query'"),
        ({"features": 0}, "features must be 1 or more; found 0"),
        ({"outputs": 0}, "outputs must be 1 or more; found 0"),
    ],
)
def test_settings_that_make_no_sense(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        MetaLSTM(nn.Identity(), **{"features": 2, **settings})


def test_another_way_than_the_head_is_refused() -> None:
    batch = balanced_batch(4, N=2)
    with pytest.raises(RecipeError, match="has 3 outputs, and the tasks have 2 classes"):
        made().meta_backward(batch, 0.0)
