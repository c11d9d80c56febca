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
    """Every derivative of L_query(φ_n(φ_0, shared, learnt)); the numbers in comments are lines of the paper's algorithm 1."""

    def after_steps(start: Tensors, shared: Tensors, learnt: Tensors) -> tuple[Tensor, Any]:
        place, trail = problem.begin(start), Trail()
        for number in range(problem.steps):
            slopes, loss, buffers = support_slope(problem, place.parameters, shared, number, again=True)  # 5: ∇ L_support(φ_t)
            place = problem.step(place, slopes, loss, learnt, number)  # 6: φ_{t+1} = φ_t - α ∇ L_support(φ_t)
            trail.note(loss, buffers)
        loss, buffers = problem.query({**shared, **place.parameters}, problem.steps)
        return loss, (trail.path(problem), trail.buffers(problem, buffers))

    meta = problem.start, problem.shared, problem.rule.learnt
    (start, shared, learnt), loss, (path, buffers) = gradient(after_steps, *meta, again=False)  # 8: ∇ of L_query(φ_n)
    return TaskGradient(loss, path, start, shared, learnt, buffers)
