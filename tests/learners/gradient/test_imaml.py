"""Implicit MAML: by hand, against finite differences through a solved inner problem, against dense algebra, and bad input."""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call

from cases.batches import unbalanced_batch
from kshot.episodes.episode import EpisodeBatch
from kshot.episodes.family import Regression
from kshot.errors import DataError, RecipeError, TrainingError
from kshot.learners.contract.check import CLASSIFICATION, check_learner
from kshot.learners.gradient.imaml import IMAML
from kshot.learners.inner_loop.modes.implicit import conjugate_gradient

batch_of = partial(unbalanced_batch, N=3, S=6, Q=4, apart=1.0)


def task(batch: EpisodeBatch, b: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    assert isinstance(batch.support_x, Tensor)
    assert isinstance(batch.query_x, Tensor)
    return batch.support_x[b], batch.support_y[b], batch.query_x[b], batch.query_y[b]


def gradients(learner: IMAML, batch: EpisodeBatch) -> tuple[Tensor, Tensor]:
    """Losses (B,), and all gradients as one vector."""
    learner.zero_grad()
    losses = learner.meta_backward(batch, 0.0)
    return losses, torch.cat([value.grad.flatten() for value in learner.parameters() if value.grad is not None])


def of_bias(settings: dict[str, float]) -> IMAML:
    build: Callable[..., IMAML] = IMAML
    learner = build(nn.Identity(), 1, 1, family=Regression(), **settings).double()
    nn.init.zeros_(learner.head.weight)
    nn.init.zeros_(learner.head.bias)
    return learner


def at_zero(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64).reshape(1, -1, 1)


# By hand.


def test_a_bias_by_hand() -> None:
    # At x = 0 only b matters. b = 0, support target 4, λ = 2: (φ - 4)² + φ² is least at φ = 2. A rate of 1/4 gets there in one step,
    # because the curvature is 4. Query target 1: loss (2 - 1)² = 1, slope 2, and (1 + 2/λ)⁻¹ of it is 1.
    learner = of_bias({"regularisation": 2.0, "inner_lr": 0.25, "steps": 1, "iterations": 1})
    losses = learner.meta_backward(EpisodeBatch(at_zero(0), at_zero(4), at_zero(0), at_zero(1), None, np.arange(1)), 0.0)
    assert losses.tolist() == [1.0]
    assert learner.head.bias.grad is not None
    torch.testing.assert_close(learner.head.bias.grad, torch.ones(1, dtype=torch.float64))
    adapted = learner.eval().adapt(at_zero(0), at_zero(4))
    assert learner.predict(adapted, at_zero(0, 0)).tolist() == [[[2.0], [2.0]]]


def test_a_damping_by_hand() -> None:
    # As above; with the curvature 2 + δ in place of 2, (1 + (2 + δ)/λ)⁻¹ of the slope 2 is 2/3 for δ = 2. Adaptation does not know of δ.
    learner = of_bias({"regularisation": 2.0, "inner_lr": 0.25, "steps": 1, "iterations": 1, "damping": 2.0})
    losses = learner.meta_backward(EpisodeBatch(at_zero(0), at_zero(4), at_zero(0), at_zero(1), None, np.arange(1)), 0.0)
    assert losses.tolist() == [1.0]
    assert learner.head.bias.grad is not None
    torch.testing.assert_close(learner.head.bias.grad, torch.full((1,), 2 / 3, dtype=torch.float64))


@pytest.mark.slow
def test_a_larger_regularisation_keeps_tasks_nearer_to_the_start() -> None:
    found = []
    for regularisation in (0.5, 2.0, 8.0):
        learner = of_bias({"regularisation": regularisation, "inner_lr": 0.09, "steps": 150}).eval()
        found.append(float(learner.predict(learner.adapt(at_zero(0), at_zero(4)), at_zero(0))))
    assert found == pytest.approx([2 * 4 / (2 + regularisation) for regularisation in (0.5, 2.0, 8.0)])


# Finite differences of the whole: solve the inner problem to convergence from θ ± ε d.


def smooth() -> IMAML:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(5, 4), nn.Tanh())
    return IMAML(network, 4, 3, regularisation=1.0, inner_lr=0.25, steps=120, iterations=45).double()


def query_loss_after_solving(learner: IMAML, batch: EpisodeBatch) -> float:
    adapted = learner.eval().adapt(batch.support_x, batch.support_y, way=3)
    return float(learner.family.loss(learner.predict(adapted, batch.query_x), batch.query_y).mean())


@pytest.mark.slow
@pytest.mark.parametrize("direction", range(3))
def test_equals_finite_differences_through_the_solved_inner_problem(direction: int) -> None:
    learner, batch = smooth(), batch_of()
    losses, slope = gradients(learner, batch)
    assert float(losses.mean()) == pytest.approx(query_loss_after_solving(learner, batch), rel=1e-12)
    along = torch.randn(len(slope), generator=torch.Generator().manual_seed(direction), dtype=torch.float64)
    start = nn.utils.parameters_to_vector(learner.parameters()).detach()
    step, values = 1e-5, []
    for sign in (1, -1):
        nn.utils.vector_to_parameters(start + sign * step * along, learner.parameters())
        values.append(query_loss_after_solving(learner, batch))
    assert float(slope @ along) == pytest.approx((values[0] - values[1]) / (2 * step), rel=1e-6)


# Dense algebra, with batch normalisation, and an inner problem that is not solved: the definition at the point that is reached.


@pytest.mark.slow
@pytest.mark.parametrize("damping", [0.0, 5.0])
def test_equals_the_dense_solution_at_the_point_that_is_reached(damping: float) -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(5, 4), nn.BatchNorm1d(4), nn.Tanh())
    settings: dict[str, Any] = {"regularisation": 3.0, "inner_lr": 0.2, "steps": 4, "iterations": 80, "damping": damping}
    learner, batch = IMAML(network, 4, 3, **settings).double(), batch_of()
    whole = nn.Sequential(learner.backbone, learner.head)
    names = [name for name, _ in whole.named_parameters()]
    shapes = [value.shape for value in whole.parameters()]
    theta = nn.utils.parameters_to_vector(whole.parameters()).detach()

    def outputs(vector: Tensor, x: Tensor) -> Tensor:
        parts = vector.split([shape.numel() for shape in shapes])
        parameters = {name: part.reshape(shape) for name, part, shape in zip(names, parts, shapes, strict=True)}
        result: Tensor = functional_call(whole, parameters, (x,))
        return result

    expected, reached = [], []
    for b in range(2):
        sx, sy, qx, qy = task(batch, b)

        def support(vector: Tensor, x: Tensor = sx, y: Tensor = sy) -> Tensor:
            return F.cross_entropy(outputs(vector, x), y)

        phi = theta
        for _ in range(4):
            here = phi.clone().requires_grad_()
            (slope,) = torch.autograd.grad(support(here) + 1.5 * (here - theta).square().sum(), here)
            phi = (here - 0.2 * slope).detach()
        here = phi.clone().requires_grad_()
        (v,) = torch.autograd.grad(F.cross_entropy(outputs(here, qx), qy), here)
        hessian = torch.autograd.functional.hessian(support, phi)
        unit = torch.eye(len(phi), dtype=phi.dtype)
        expected.append(torch.linalg.solve(unit + (hessian + damping * unit) / 3.0, v))
        reached.append(phi)
    _, found = gradients(learner.train(), batch)
    torch.testing.assert_close(found, torch.stack(expected).mean(0), rtol=1e-8, atol=1e-10)
    adapted = learner.eval().adapt(batch.support_x, batch.support_y, way=3)
    flat = torch.cat([value.flatten(1) for value in adapted.parameters.values()], 1)
    torch.testing.assert_close(flat, torch.stack(reached), rtol=1e-10, atol=1e-12)


def test_a_direction_of_downward_curvature_ends_the_iterations() -> None:
    # diag(4, -1) x = (1, 1), from x = (1, 1): the residual is (-3, 2), of curvature 4·9 - 4 = 32, so one step of 13/32. The next residual
    # and direction are then of downward curvature, and all later iterations change nothing.
    right = {"x": torch.tensor([[1.0, 1.0]], dtype=torch.float64)}
    signs = torch.tensor([4.0, -1.0], dtype=torch.float64)

    def solved(iterations: int) -> list[float]:
        return conjugate_gradient(lambda w: {"x": signs * w["x"]}, right, iterations)["x"][0].tolist()

    once = [1 - 3 * 13 / 32, 1 + 2 * 13 / 32]
    assert solved(1) == pytest.approx(once)
    for iterations in (2, 3, 20):
        assert solved(iterations) == pytest.approx(once)


@pytest.mark.slow
def test_gradients_are_added_to_what_is_there() -> None:
    learner, batch = smooth(), batch_of()
    _, once = gradients(learner, batch)
    learner.meta_backward(batch, 0.0)
    torch.testing.assert_close(torch.cat([value.grad.flatten() for value in learner.parameters() if value.grad is not None]), 2 * once)


@pytest.mark.slow
def test_real_targets_keep_every_rule() -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(3, 12, 1, generator=generator)
    y = torch.cat([2 * x, 1 - x], -1)
    torch.manual_seed(0)
    learner = IMAML(nn.Sequential(nn.Linear(1, 8), nn.Tanh()), 8, 2, steps=3, iterations=3, family=Regression())
    held = check_learner(learner, EpisodeBatch(x[:, :7], y[:, :7], x[:, 7:], y[:, 7:], None, np.arange(3)))
    assert not {*CLASSIFICATION} & {*held}


# Bad input.


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"steps": 0}, "steps of implicit MAML must be 1 or more; found 0"),
        ({"iterations": 0}, "iterations of implicit MAML must be 1 or more; found 0"),
        ({"regularisation": 0.0}, r"the regularisation of implicit MAML must be a positive number; found 0\.0"),
        ({"inner_lr": math.inf}, "the inner_lr of implicit MAML must be a positive number; found inf"),
    ],
)
def test_numbers_out_of_range(settings: dict[str, float], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        of_bias(settings)


def test_tasks_of_another_way_than_the_head() -> None:
    learner, message = IMAML(nn.Identity(), 4, 3), "the head of this learner has 3 outputs, and the tasks have 5 classes"
    y = torch.tensor([[0, 1, 2]])
    with pytest.raises(RecipeError, match=message):
        learner.adapt(torch.zeros(1, 3, 4), y, way=5)
    with pytest.raises(RecipeError, match=message):
        learner.meta_backward(EpisodeBatch(torch.zeros(1, 3, 4), y, torch.zeros(1, 3, 4), y, 5, np.arange(1)), 0.0)


def test_steps_that_diverge_are_named() -> None:
    learner = of_bias({"inner_lr": 1e38, "steps": 5})
    x, y = torch.zeros(2, 1, 1).double(), torch.tensor([0.0, 4.0]).double().reshape(2, 1, 1)
    with pytest.raises(DataError, match=r"the inner loop of task 1 of the batch diverged: .* an inner rate of 1e\+38\. Lower inner_lr"):
        learner.eval().adapt(x, y)
    with pytest.raises(TrainingError, match="the inner loop of episode 8 diverged"):
        learner.train().meta_backward(EpisodeBatch(x, y, x, y, None, np.array([7, 8])), 0.0)
