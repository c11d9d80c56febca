"""The exact meta-gradient with memory that hardly grows with the number of steps: forwards plainly, then backwards step by step.

Forwards, nothing is kept but parameters: φ_0 … φ_n for a few steps; for many, only every √n-th, and those between are found again when
they are wanted, by taking the steps once more. Backwards, with v = ∂L_query/∂φ_{t+1}, one step's graph at a time is made anew:

    φ_{t+1} = u(φ_t, shared, α) = φ_t - α ⊙ ∇ L_support(φ_t, shared)
    v ← vᵀ ∂u/∂φ_t = v - H (α ⊙ v),    ∂shared += vᵀ ∂u/∂shared,    ∂α += vᵀ ∂u/∂α                                H: the Hessian

one Hessian-vector product a step: as in Kemaev et al., "Scalable meta-learning via mixed-mode differentiation" (MixFlow-MG), 2025,
arXiv 2505.00793. Departure: they take the product forward over reverse; for the networks of this package on a CPU reverse over reverse
was 1.7 to 2.3 times quicker, so that is what is here. The numbers are the same.
"""

import math

import torch
from torch import Tensor

from kshot.learners.inner_loop.derivative import gradient
from kshot.learners.inner_loop.modes.outer_gradient import Kept, keeping
from kshot.learners.inner_loop.parameters import Tensors
from kshot.learners.inner_loop.problem import Problem, TaskGradient, Trail, added, detached, steps_from, support_slope

_FEW_STEPS = 16


def kept_apart(steps: int) -> int:
    """How many steps lie between two φ that are kept."""
    return 1 if steps <= _FEW_STEPS else math.ceil(math.sqrt(steps))


def _keeps(steps: int) -> Kept:
    apart = kept_apart(steps)
    return Kept(((1, 0), (0, 1)), copies=steps if apart == 1 else 2 * apart)


@keeping(_keeps)
def flat(problem: Problem) -> TaskGradient:
    """The same derivatives as `unrolled`, to rounding."""
    apart, trail = kept_apart(problem.steps), Trail()
    kept = [detached(problem.start)]  # φ_0, φ_apart, φ_2·apart, …
    reached = kept[0]
    for number, reached in enumerate(steps_from(problem, kept[0], range(problem.steps), trail), 1):
        if number % apart == 0:
            kept.append(reached)
    shared, learnt = detached(problem.shared), detached(problem.rates.learnt)
    rates = {name: torch.zeros_like(value) for name, value in learnt.items()}
    (v, of_shared), loss, buffers = gradient(
        lambda fast, shared: problem.query({**shared, **fast}, problem.steps), reached, shared, again=False
    )
    for first in reversed(range(0, problem.steps, apart)):
        del kept[first // apart + 1 :]
        numbers = range(first, min(first + apart, problem.steps))
        path = [kept.pop()]
        path.extend(steps_from(problem, path[0], numbers[:-1]))
        for number in reversed(numbers):

            def along(fast: Tensors, shared: Tensors, learnt: Tensors, number: int = number, v: Tensors = v) -> tuple[Tensor, Tensors]:
                slopes, _, _ = support_slope(problem, fast, shared, number, again=True)
                moved = problem.rates.step(fast, slopes, learnt, number, many=problem.many)
                return torch.stack([(value * v[name]).sum() for name, value in moved.items()]).sum(), {}

            (v, more_shared, more_rates), _, _ = gradient(along, path.pop(), shared, learnt, again=False)
            of_shared, rates = added(of_shared, more_shared), added(rates, more_rates)
    return TaskGradient(loss, trail.path(problem), v, of_shared, rates, trail.buffers(problem, buffers))
