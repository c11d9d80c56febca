"""The exact meta-gradient, backwards through all inner steps at once: what MAML's paper writes.

Finn, Abbeel, Levine, "Model-agnostic meta-learning for fast adaptation of deep networks", ICML 2017, arXiv 1703.03400, section 2.2.
The graph of every step is kept until the end, so memory grows with the number of steps; `flat` gives the same numbers without.
"""

from typing import Any

from torch import Tensor

from kshot.learners.inner_loop.derivative import gradient
from kshot.learners.inner_loop.modes.outer_gradient import Kept, keeping
from kshot.learners.inner_loop.parameters import Tensors
from kshot.learners.inner_loop.problem import Problem, TaskGradient, Trail, support_slope


@keeping(lambda steps: Kept(((steps, 1),)), less="mode='flat' gives the same gradient with one step's graph at a time")
def unrolled(problem: Problem) -> TaskGradient:
    """Every derivative of L_query(φ_n(φ_0, shared, α))."""

    def after_steps(start: Tensors, shared: Tensors, learnt: Tensors) -> tuple[Tensor, Any]:
        fast, trail = start, Trail()
        for number in range(problem.steps):
            slopes, loss, buffers = support_slope(problem, fast, shared, number, again=True)
            fast = problem.rates.step(fast, slopes, learnt, number, many=problem.many)
            trail.note(loss, buffers)
        loss, buffers = problem.query({**shared, **fast}, problem.steps)
        return loss, (trail.path(problem), trail.buffers(problem, buffers))

    meta = problem.start, problem.shared, problem.rates.learnt
    (start, shared, rates), loss, (path, buffers) = gradient(after_steps, *meta, again=False)
    return TaskGradient(loss, path, start, shared, rates, buffers)
