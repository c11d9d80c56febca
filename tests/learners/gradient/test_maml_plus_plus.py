"""MAML++: against an unrolled loop written again, in each phase of its annealing; finite differences; its weights; bad input."""

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
from kshot.episodes.family import Regression
from kshot.errors import DataError, RecipeError, TrainingError
from kshot.learners.contract.check import CLASSIFICATION, check_learner
from kshot.learners.gradient.maml_plus_plus import MAMLPlusPlus, loss_weights

STEPS = 4


def small(**settings: float) -> MAMLPlusPlus:
    """Every α, γ and β another number, so that one taken for another is seen."""
    torch.manual_seed(0)
    build: Callable[..., MAMLPlusPlus] = MAMLPlusPlus
    learner = build(SmallNormed(), features=6, outputs=3, inner_steps=STEPS, **settings).double()
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for value in (*learner.rates, *learner.norms):
            value.add_(0.1 * torch.rand(value.shape, generator=generator, dtype=torch.float64))
    return learner


batch_of = partial(unbalanced_batch, N=3, S=6, Q=5, apart=1.0)


def task(batch: EpisodeBatch, b: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    assert isinstance(batch.support_x, Tensor)
    assert isinstance(batch.query_x, Tensor)
    return batch.support_x[b], batch.support_y[b], batch.query_x[b], batch.query_y[b]


# The loop, written again. Values: w1, b1, w2, b2, w3, b3; scales and shifts (n, 7); rates (n,) of the six.


def forward(values: list[Tensor], scale: Tensor, shift: Tensor, x: Tensor) -> Tensor:
    w1, b1, w2, b2, w3, b3 = values
    z = x @ w1.T + b1
    z = (z - z.mean(0)) / (z.var(0, unbiased=False) + 1e-5).sqrt() * scale + shift
    return torch.tanh(torch.tanh(z) @ w2.T + b2) @ w3.T + b3


def unrolled(
    learner: MAMLPlusPlus, batch: EpisodeBatch, weights: list[float], *, second_order: bool
) -> tuple[list[float], list[Tensor], list[Tensor]]:
    """The weighted losses; the gradients of φ_0, α, γ and β in order; and φ_n of each task."""
    backbone = learner.backbone
    assert isinstance(backbone, SmallNormed)
    six = [backbone.first.weight, backbone.first.bias, backbone.second.weight, backbone.second.bias, learner.head.weight, learner.head.bias]
    leaves = [value.detach().clone().requires_grad_() for value in (*six, *learner.rates, *learner.norms)]
    rates, (scales, shifts) = leaves[6:12], leaves[12:]
    losses, reached = [], []
    for b in range(len(batch)):
        sx, sy, qx, qy = task(batch, b)
        values, total = leaves[:6], torch.zeros((), dtype=torch.float64)
        for t in range(STEPS):
            loss = F.cross_entropy(forward(values, scales[t], shifts[t], sx), sy)
            slopes = torch.autograd.grad(loss, values, create_graph=True)
            if not second_order:
                slopes = tuple(slope.detach() for slope in slopes)
            values = [value - rate[t] * slope for value, rate, slope in zip(values, rates, slopes, strict=True)]
            total = total + weights[t] * F.cross_entropy(forward(values, scales[t], shifts[t], qx), qy)
        losses.append(total)
        reached.append(torch.cat([value.detach().flatten() for value in values]))
    slopes = torch.autograd.grad(torch.stack(losses).mean(), leaves, allow_unused=True, materialize_grads=True)
    return [float(loss.detach()) for loss in losses], list(slopes), reached


def found_gradients(learner: MAMLPlusPlus) -> list[Tensor]:
    """In the order of `unrolled`."""
    backbone = learner.backbone
    assert isinstance(backbone, SmallNormed)
    six = [backbone.first.weight, backbone.first.bias, backbone.second.weight, backbone.second.bias, learner.head.weight, learner.head.bias]
    values = [value.grad for value in (*six, *learner.rates, *learner.norms)]
    return [torch.empty(0) if value is None else value for value in values]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("progress", "weights", "second_order"),
    [
        (0.0, [0.25] * 4, False),
        (0.1, [0.125, 0.125, 0.125, 0.625], False),
        (0.199, [0.0075, 0.0075, 0.0075, 0.9775], False),
        (0.3, [0, 0, 0, 1], False),
        (0.5, [0, 0, 0, 1], True),
        (1.0, [0, 0, 0, 1], True),
    ],
)
def test_each_phase_equals_the_unrolled_loop(progress: float, weights: list[float], second_order: bool) -> None:
    learner, batch = small(multi_step_until=0.2, second_order_from=0.5), batch_of()
    expected_losses, expected, _ = unrolled(learner, batch, weights, second_order=second_order)
    losses = learner.meta_backward(batch, progress)
    assert losses.tolist() == pytest.approx(expected_losses, rel=1e-10)
    for value, wanted in zip(found_gradients(learner), expected, strict=True):
        torch.testing.assert_close(value, wanted, rtol=1e-8, atol=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("way", ["in_turn", "together", "threads"])
def test_several_losses_and_second_order_together_however_tasks_are_run(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kshot.learners.inner_loop.planning.plan._best", lambda *_, **__: way)
    learner, batch = small(multi_step_until=1.0, second_order_from=0.0), batch_of(B=3)
    expected_losses, expected, _ = unrolled(learner, batch, [0.125, 0.125, 0.125, 0.625], second_order=True)
    assert learner.meta_backward(batch, 0.5).tolist() == pytest.approx(expected_losses, rel=1e-10)
    for value, wanted in zip(found_gradients(learner), expected, strict=True):
        torch.testing.assert_close(value, wanted, rtol=1e-8, atol=1e-12)


@pytest.mark.slow
def test_second_order_equals_finite_differences_of_the_loss() -> None:
    learner, batch = small(multi_step_until=1.0, second_order_from=0.0), batch_of()
    learner.meta_backward(batch, 0.5)
    own = {id(value) for value in (learner.backbone.norm.weight, learner.backbone.norm.bias)}  # which every step has its own in place of
    trained = [value for value in learner.parameters() if id(value) not in own]
    assert all(value.grad is None for value in learner.parameters() if id(value) in own)
    slope = torch.cat([value.grad.flatten() for value in trained if value.grad is not None])
    start = nn.utils.parameters_to_vector(trained).detach()
    along = torch.randn(len(start), generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    ends = []
    for sign in (1, -1):
        nn.utils.vector_to_parameters(start + sign * 1e-5 * along, trained)
        ends.append(float(learner.meta_backward(batch, 0.5).mean()))
    assert float(slope @ along) == pytest.approx((ends[0] - ends[1]) / 2e-5, rel=1e-6)


def test_answers_come_from_the_last_step() -> None:
    learner, batch = small().eval(), batch_of()
    _, _, reached = unrolled(learner, batch, [0, 0, 0, 1], second_order=False)
    adapted = learner.adapt(batch.support_x, batch.support_y, way=3)
    together = learner.predict_together(adapted, batch.query_x)
    scale, shift = (value[-1] for value in learner.norms)
    running = learner.get_buffer("running_0")[-1], learner.get_buffer("running_1")[-1]
    alone = learner.predict(adapted, batch.query_x)
    for b in range(2):
        _, _, qx, _ = task(batch, b)
        values = reached[b].split([35, 7, 42, 6, 18, 3])
        values = [part.reshape(shape) for part, shape in zip(values, [(7, 5), (7,), (6, 7), (6,), (3, 6), (3,)], strict=True)]
        torch.testing.assert_close(together[b], forward(values, scale, shift, qx))
        z = (qx @ values[0].T + values[1] - running[0]) / (running[1] + 1e-5).sqrt() * scale + shift
        torch.testing.assert_close(alone[b], torch.tanh(torch.tanh(z) @ values[2].T + values[3]) @ values[4].T + values[5])


def test_running_statistics_are_kept_for_each_step() -> None:
    learner, batch = small().train(), batch_of(B=1)
    sx, _, _, _ = task(batch, 0)
    backbone = learner.backbone
    assert isinstance(backbone, SmallNormed)
    first = backbone.first(sx).detach()
    learner.meta_backward(batch, 0.3)
    means = learner.get_buffer("running_0")
    assert means.shape == (STEPS, 7)
    torch.testing.assert_close(means[0], 0.1 * first.mean(0))  # from 0, a tenth of the way to the support items at φ_0
    assert len({tuple(row.tolist()) for row in means}) == STEPS
    assert learner.get_buffer("running_2").tolist() == [1] * STEPS
    assert backbone.norm.running_mean is not None
    assert not backbone.norm.running_mean.any()


def test_the_networks_own_scales_are_where_those_of_each_step_start_and_stay() -> None:
    network = SmallNormed()
    nn.init.uniform_(network.norm.weight)
    learner = MAMLPlusPlus(network, features=6, outputs=3, inner_steps=2)
    assert torch.equal(learner.norms[0], network.norm.weight.detach().expand(2, -1))
    batch = batch_of()
    learner.double().meta_backward(batch, 0.5)
    assert network.norm.weight.grad is None
    assert learner.norms[0].grad is not None
    assert [tuple(rate.shape) for rate in learner.rates] == [(2,)] * 6


def test_without_batch_normalisation_both_modes_agree() -> None:
    torch.manual_seed(0)
    learner, batch = MAMLPlusPlus(nn.Linear(5, 4), features=4, outputs=3).double().eval(), batch_of()
    adapted = learner.adapt(batch.support_x, batch.support_y, way=3)
    torch.testing.assert_close(learner.predict(adapted, batch.query_x), learner.predict_together(adapted, batch.query_x))


# The weights.


def test_weights_by_hand() -> None:
    assert loss_weights(5, 0.0, 0.1) == pytest.approx([0.2] * 5)
    assert loss_weights(5, 0.05, 0.1) == pytest.approx([0.1] * 4 + [0.6])
    assert loss_weights(5, 0.0999, 0.1) == pytest.approx([0.006] * 4 + [0.976])
    assert loss_weights(5, 0.1, 0.1) == [0, 0, 0, 0, 1]
    assert loss_weights(3, 0.0, 0.0) == [0, 0, 1]
    assert loss_weights(1, 0.0, 0.5) == [1.0]


def test_weights_always_add_up_to_one() -> None:
    for progress in np.linspace(0, 1, 41):
        weights = loss_weights(5, float(progress), 0.7)
        assert sum(weights) == pytest.approx(1)
        assert weights[-1] >= max(weights) - 1e-12


@pytest.mark.slow
def test_real_targets_keep_every_rule() -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(3, 12, 1, generator=generator)
    y = torch.cat([2 * x, 1 - x], -1)
    torch.manual_seed(0)
    learner = MAMLPlusPlus(
        nn.Sequential(nn.Linear(1, 8), nn.Tanh()), features=8, outputs=2, inner_lr=0.05, inner_steps=2, family=Regression()
    )
    held = check_learner(learner, EpisodeBatch(x[:, :7], y[:, :7], x[:, 7:], y[:, 7:], None, np.arange(3)))
    assert not {*CLASSIFICATION} & {*held}


# Bad input.


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"multi_step_until": 1.5}, r"multi_step_until must be a fraction of training, from 0 to 1; found 1\.5"),
        ({"second_order_from": -0.1}, r"second_order_from must be a fraction of training, from 0 to 1; found -0\.1"),
        ({"second_order_from": math.nan}, "second_order_from must be a fraction of training"),
        ({"inner_lr": 0.0}, r"inner_lr must be a positive number; found 0\.0"),
        ({"inner_steps": 0}, "inner_steps of MAML\\+\\+ must be 1 or more; found 0"),
        ({"outputs": 0}, "outputs must be 1 or more; found 0"),
        ({"clip": -1.0}, r"clip must be 0 \(no clipping\) or a positive number"),
    ],
)
def test_settings_that_make_no_sense(settings: dict[str, float], message: str) -> None:
    build: Callable[..., MAMLPlusPlus] = MAMLPlusPlus
    with pytest.raises(RecipeError, match=message):
        build(nn.Identity(), **{"features": 4, **settings})


def test_a_normalisation_without_running_statistics() -> None:
    network = nn.Sequential(nn.Linear(5, 6), nn.BatchNorm1d(6, track_running_stats=False))
    with pytest.raises(RecipeError, match=r"keeps running statistics; 'backbone\.1' has none\. Make it with track_running_stats=True"):
        MAMLPlusPlus(network, features=6)


def test_tasks_of_another_way_than_the_head() -> None:
    learner, message = MAMLPlusPlus(nn.Identity(), features=4, outputs=3), "has 3 outputs, and the tasks have 5 classes"
    y = torch.tensor([[0, 1, 2]])
    with pytest.raises(RecipeError, match=message):
        learner.adapt(torch.zeros(1, 3, 4), y, way=5)
    with pytest.raises(RecipeError, match=message):
        learner.meta_backward(EpisodeBatch(torch.zeros(1, 3, 4), y, torch.zeros(1, 3, 4), y, 5, np.arange(1)), 0.0)


def test_steps_that_diverge_are_named() -> None:
    learner = MAMLPlusPlus(nn.Identity(), features=1, outputs=1, inner_lr=1e30, family=Regression())
    x, y = torch.ones(2, 3, 1), torch.ones(2, 3, 1)
    with pytest.raises(DataError, match="the inner loop of task 0 of the batch diverged"):
        learner.eval().adapt(x, y)
    with pytest.raises(TrainingError, match="the inner loop of episode 7 diverged"):
        learner.train().meta_backward(EpisodeBatch(x, y, x, y, None, np.array([7, 8])), 0.0)
