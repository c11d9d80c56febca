"""The implicit meta-gradient: of an inner problem taken to its end, whatever path led there.

Rajeswaran, Finn, Kakade, Levine, "Meta-learning with implicit gradients", NeurIPS 2019, arXiv 1909.04630. The inner problem holds φ near
its start θ, and its solution φ* depends on θ in a way that only φ* decides:

    φ* = argmin_φ  L_support(φ) + λ/2 ‖φ - θ‖²                                                       (equation 3)
    ∂L_query/∂θ = (I + H/λ)⁻¹ ∇ L_query(φ*),     H = ∇² L_support(φ*)                                 (lemma 1)

The system is solved by conjugate gradient, a Hessian-vector product each (algorithm 2); H is never made. With shared parameters s,
∂L_query/∂s gains -λ⁻¹ H_sφ (I + H/λ)⁻¹ ∇ L_query(φ*). φ* is taken to be where n steps arrive, so the formula is as exact as they are.
Any update rule that learns nothing itself is allowed: φ* does not depend on the path, so what a rule learns would get no gradient. Memory
does not grow with the steps.

With a damping δ > 0, H + δ I stands for H in the system (Levenberg and Marquardt): a support loss that curves down by more than λ, as a
network's does, makes the system indefinite and its solution huge.
"""

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from kshot.learners.inner_loop.derivative import gradient, pulled_back
from kshot.learners.inner_loop.modes.outer_gradient import OuterGradient, keeping, one_at_a_time
from kshot.learners.inner_loop.parameters import Tensors, inner, times
from kshot.learners.inner_loop.problem import Problem, TaskGradient, added, detached, support_slope, walk
from kshot.learners.settings import MOST_STEPS, require_count, require_no_less_than_zero, require_positive


def implicit(regularisation: float, iterations: int, damping: float = 0.0) -> OuterGradient:
    """The mode for one λ.

    Args:
        regularisation: λ > 0.
        iterations: Iterations of conjugate gradient, ≥ 1; fewer than the number of parameters solve the system approximately.
        damping: δ ≥ 0; 0 is the gradient of the paper.

    Raises:
        RecipeError: A number is out of its range.
    """
    require_positive("the regularisation of an implicit gradient", regularisation)
    require_count("the iterations of an implicit gradient", iterations, 1, MOST_STEPS)
    require_no_less_than_zero("the damping of an implicit gradient", damping, "none")
    stiffness = regularisation + damping

    @keeping(one_at_a_time, learns=False)
    def solve(problem: Problem) -> TaskGradient:
        reached, trail = walk(proximal(problem, regularisation))
        fast, shared = (
            {name: value.detach().requires_grad_() for name, value in part.items()} for part in (reached.parameters, problem.shared)
        )
        (v, of_shared), loss, buffers = gradient(
            lambda fast, shared: problem.query({**shared, **fast}, problem.steps), fast, shared, again=False
        )
        slopes, _, _ = support_slope(problem, fast, shared, problem.steps, again=True)  # its graph serves all products

        def curved(w: Tensors) -> tuple[Tensors, ...]:
            """(H w, H_sφ w) at φ*."""
            return pulled_back(slopes, w, fast, shared)

        def system(w: Tensors) -> Tensors:
            return {name: w[name] + value / stiffness for name, value in curved(w)[0].items()}

        solution = conjugate_gradient(system, v, iterations)
        if damping:
            solution = {name: value * (regularisation / stiffness) for name, value in solution.items()}
        if shared:
            of_shared = added(of_shared, {name: -value / regularisation for name, value in curved(solution)[1].items()})
        return TaskGradient(loss, trail.path(problem), solution, of_shared, {}, trail.buffers(problem, buffers))

    return solve


def proximal(problem: Problem, regularisation: float, start: Tensors | None = None) -> Problem:
    """The same task with λ/2 ‖φ - θ‖² added to the support loss; `start` in place of θ where it is part of a graph."""
    start = detached(problem.start) if start is None else start

    def support(parameters: Tensors, number: int) -> tuple[Tensor, Tensors]:
        loss, buffers = problem.support(parameters, number)
        apart = {name: parameters[name] - value for name, value in start.items()}
        return loss + 0.5 * regularisation * inner(apart, apart), buffers

    return replace(problem, support=support)


def conjugate_gradient(system: Callable[[Tensors], Tensors], right: Tensors, iterations: int) -> Tensors:
    """The solution of B symmetric positive definite systems, one per task, starting from their right sides (B, …) by name.

    Iterations after convergence change nothing, and neither do those from the first direction of no upward curvature on: there the system
    is not positive definite, and the answer is what was reached before (truncated Newton). Neither is tested for on the host, so there
    is no waiting for the device.
    """
    tiny = torch.finfo(next(iter(right.values())).dtype).tiny
    x = right
    image = system(x)
    residual = {name: value - image[name] for name, value in right.items()}
    direction, square = residual, inner(residual, residual)
    going = torch.ones_like(square, dtype=torch.bool)
    for _ in range(iterations):
        image = system(direction)
        curvature = inner(direction, image)
        going = going & (curvature > 0)
        length = torch.where(going, square / curvature.clamp_min(tiny), 0.0)
        x = added(x, times(length, direction))
        residual = added(residual, times(-length, image))
        before, square = square, inner(residual, residual)
        turn = square / before.clamp_min(tiny)
        direction = added(residual, times(turn, direction))
    return x
