"""First-order MAML: the inner gradients are taken for constants.

Finn, Abbeel, Levine, ICML 2017, arXiv 1703.03400, section 5.2: "omit the second derivatives". With g_t constant,

    ∂L/∂φ_0 = ∇ L_query(φ_n),    ∂L/∂shared = ∂L_query/∂shared,    ∂L/∂learnt = ∇ L_query(φ_n)ᵀ ∂φ_n/∂learnt

which is no derivative of the loss after adaptation. It needs no second derivative, and its memory does not grow with the steps but for
what the graph of the update rule keeps: nothing, where the rule learns nothing.
"""

from typing import Any

from torch import Tensor

from kshot.learners.inner_loop.derivative import gradient
from kshot.learners.inner_loop.modes.outer_gradient import keeping, one_at_a_time
from kshot.learners.inner_loop.parameters import Tensors
from kshot.learners.inner_loop.problem import Problem, TaskGradient, Trail, detached, support_slope


@keeping(lambda steps: one_at_a_time(steps)._replace(rules=steps), twice=False)
def first_order(problem: Problem) -> TaskGradient:
    """The three gradients above."""

    def after_steps(start: Tensors, shared: Tensors, learnt: Tensors) -> tuple[Tensor, Any]:
        place, trail, fixed = problem.begin(start), Trail(), detached(shared)
        for number in range(problem.steps):
            slopes, loss, buffers = support_slope(problem, detached(place.parameters), fixed, number, again=False)
            place = problem.step(place, detached(slopes), loss, learnt, number)
            trail.note(loss, buffers)
        loss, buffers = problem.query({**shared, **place.parameters}, problem.steps)
        return loss, (trail.path(problem), trail.buffers(problem, buffers))

    meta = problem.start, problem.shared, problem.rule.learnt
    (start, shared, learnt), loss, (path, buffers) = gradient(after_steps, *meta, again=False)
    return TaskGradient(loss, path, start, shared, learnt, buffers)
