"""The exact meta-gradient with memory that hardly grows with the number of steps: forwards plainly, then backwards step by step.

Forwards, nothing is kept but φ_0 … φ_n. Backwards, with v = ∂L_query/∂φ_{t+1}, one step's graph at a time is made anew:

    φ_{t+1} = u(φ_t, shared, α) = φ_t - α ⊙ ∇ L_support(φ_t, shared)
    v ← vᵀ ∂u/∂φ_t = v - H (α ⊙ v),    ∂shared += vᵀ ∂u/∂shared,    ∂α += vᵀ ∂u/∂α                                H: the Hessian

one Hessian-vector product a step: as in Kemaev et al., "Scalable meta-learning via mixed-mode differentiation" (MixFlow-MG), 2025,
arXiv 2505.00793. Departure: they take the product forward over reverse; for the networks of this package on a CPU reverse over reverse
was 1.7 to 2.3 times quicker, so that is what is here. The numbers are the same.
"""

import torch
from torch import Tensor

from kshot.learners.inner_loop.derivative import gradient
from kshot.learners.inner_loop.parameters import Tensors
from kshot.learners.inner_loop.problem import Problem, TaskGradient, added, detached, support_slope, walk


def flat(problem: Problem) -> TaskGradient:
    """The same derivatives as `unrolled`, to rounding."""
    path, trail = walk(problem)
    shared, learnt = detached(problem.shared), detached(problem.rates.learnt)
    rates = {name: torch.zeros_like(value) for name, value in learnt.items()}
    (v, of_shared), loss, buffers = gradient(
        lambda fast, shared: problem.query({**shared, **fast}, problem.steps), path.pop(), shared, again=False
    )
    for number in reversed(range(problem.steps)):

        def along(fast: Tensors, shared: Tensors, learnt: Tensors, number: int = number, v: Tensors = v) -> tuple[Tensor, Tensors]:
            slopes, _, _ = support_slope(problem, fast, shared, number, again=True)
            moved = problem.rates.step(fast, slopes, learnt, number, many=problem.many)
            return torch.stack([(value * v[name]).sum() for name, value in moved.items()]).sum(), {}

        (v, more_shared, more_rates), _, _ = gradient(along, path.pop(), shared, learnt, again=False)
        of_shared, rates = added(of_shared, more_shared), added(rates, more_rates)
    return TaskGradient(loss, trail.path(problem), v, of_shared, rates, trail.buffers(problem, buffers))
