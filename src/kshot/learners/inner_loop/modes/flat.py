"""The exact meta-gradient with memory that hardly grows with the number of steps: forwards plainly, then backwards step by step.

Forwards, nothing is kept but places (φ_t and the rule's state s_t): all of them for a few steps; for many, only every √n-th, and those
between are found again when they are wanted, by taking the steps once more. Backwards, with v = ∂L_query/∂φ_{t+1} and w =
∂L_query/∂s_{t+1}, one step's graph at a time is made again:

    (φ_{t+1}, s_{t+1}) = u(φ_t, s_t, shared, learnt)            for gradient descent φ_{t+1} = φ_t - α ⊙ ∇ L_support(φ_t, shared)
    (v, w) ← (v, w)ᵀ ∂u/∂(φ_t, s_t)                             for gradient descent v ← v - H (α ⊙ v), H: the Hessian
    ∂shared += (v, w)ᵀ ∂u/∂shared,    ∂learnt += (v, w)ᵀ ∂u/∂learnt

one Hessian-vector product per step: as in Kemaev et al., "Scalable meta-learning via mixed-mode differentiation" (MixFlow-MG), 2025,
arXiv 2505.00793. Departure: they take the product forward over reverse; for the networks of this package on a CPU reverse over reverse
was 1.7 to 2.3 times quicker, so that is what is here. The numbers are the same.
"""

import math

import torch
from torch import Tensor

from kshot.learners.inner_loop.derivative import gradient
from kshot.learners.inner_loop.modes.outer_gradient import Kept, keeping
from kshot.learners.inner_loop.parameters import Tensors
from kshot.learners.inner_loop.problem import (
    Place,
    Problem,
    TaskGradient,
    Trail,
    added,
    detached,
    plain,
    steps_from,
    support_slope,
)

_FEW_STEPS = 16


def kept_apart(steps: int) -> int:
    """How many steps lie between two places that are kept."""
    return 1 if steps <= _FEW_STEPS else math.ceil(math.sqrt(steps))


def _keeps(steps: int) -> Kept:
    apart = kept_apart(steps)
    return Kept(((1, 0), (0, 1)), places=steps if apart == 1 else 2 * apart)


@keeping(_keeps)
def flat(problem: Problem) -> TaskGradient:
    """The same derivatives as `unrolled`, to rounding."""
    apart, trail = kept_apart(problem.steps), Trail()
    kept = [plain(problem.begin(problem.start))]  # the places after 0, apart, 2·apart, … steps
    reached = kept[0]
    for number, reached in enumerate(steps_from(problem, kept[0], range(problem.steps), trail), 1):
        if number % apart == 0:
            kept.append(reached)
    shared, learnt = detached(problem.shared), detached(problem.rule.learnt)
    of_learnt = {name: torch.zeros_like(value) for name, value in learnt.items()}
    (v, of_shared), loss, buffers = gradient(
        lambda fast, shared: problem.query({**shared, **fast}, problem.steps), reached.parameters, shared, again=False
    )
    w = {name: torch.zeros_like(value) for name, value in reached.state.items()}
    for first in reversed(range(0, problem.steps, apart)):
        del kept[first // apart + 1 :]
        numbers = range(first, min(first + apart, problem.steps))
        path = [kept.pop()]
        path.extend(steps_from(problem, path[0], numbers[:-1]))
        for number in reversed(numbers):

            def along(
                fast: Tensors, state: Tensors, shared: Tensors, learnt: Tensors, number: int = number, v: Tensors = v, w: Tensors = w
            ) -> tuple[Tensor, Tensors]:
                """⟨φ_{t+1}, v⟩ + ⟨s_{t+1}, w⟩."""
                slopes, losses, _ = support_slope(problem, fast, shared, number, again=True)
                after = problem.step(Place(fast, state), slopes, losses, learnt, number)
                parts = [(value * v[name]).sum() for name, value in after.parameters.items()]
                parts += [(value * w[name]).sum() for name, value in after.state.items()]
                return torch.stack(parts).sum(), {}

            at = path.pop()
            (v, w, more_shared, more_learnt), _, _ = gradient(along, at.parameters, at.state, shared, learnt, again=False)
            of_shared, of_learnt = added(of_shared, more_shared), added(of_learnt, more_learnt)
    return TaskGradient(loss, trail.path(problem), v, of_shared, of_learnt, trail.buffers(problem, buffers))
