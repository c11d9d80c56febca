"""What tasks ask of the inner loop, and what comes back: the types that the outer gradients share.

Everything has a first dimension B that counts tasks; one task is a batch of one. `shared` parameters and what a rule learns, which all
tasks have in common, have none, and their gradients are sums over the tasks.

Next: `modes`.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from kshot.learners.inner_loop.derivative import gradient
from kshot.learners.inner_loop.parameters import Tensors
from kshot.learners.inner_loop.update_rule import UpdateRule

Loss = Callable[[Tensors, int], tuple[Tensor, Tensors]]
"""(all trainable parameters by name, number of steps taken so far) → (losses (B,); buffers afterwards (B, …))."""


class Place(NamedTuple):
    """Where a task is after some steps.

    Attributes:
        parameters: φ_t, (B, …) by name.
        state: What the update rule remembers, (B, …) by name.
    """

    parameters: Tensors
    state: Tensors


class Origin(NamedTuple):
    """What some of φ_0 was made of (see `start`); all of it is part of one graph.

    Attributes:
        given: θ, the values of the parameters that adapt, (B, …): leaves of the graph.
        shared: Those that do not: leaves, too.
        made: What was made of them, (B, …), by name.
    """

    given: Tensors
    shared: Tensors
    made: Tensors


@dataclass(frozen=True, eq=False)
class Problem:
    """B tasks of one size.

    Attributes:
        start: φ_0, the parameters that adapt, (B, …).
        shared: Those that do not; both losses may depend on them.
        rule: The inner update rule.
        steps: Inner steps, ≥ 0.
        support: The loss that the steps descend.
        query: The loss after them, whose gradient is wanted. It can be differentiated once: where many tasks have many items it has no
            second derivative.
        per_step: Whether each step has buffers of its own; a result's buffers then have a second dimension of steps + 1.
        state: Where the rule's state starts; None: where `rule.init` puts it.
        steps_before: Steps that the rule had taken before the first one of these.
        origin: What some of φ_0 was made of; None where it is given.
    """

    start: Tensors
    shared: Tensors
    rule: UpdateRule
    steps: int
    support: Loss
    query: Loss
    per_step: bool = False
    state: Tensors | None = None
    steps_before: int | Tensor = 0
    origin: Origin | None = None

    def begin(self, start: Tensors) -> Place:
        """The place before the first step, with these values of φ_0."""
        return Place(start, self.rule.init(detached(start)) if self.state is None else self.state)

    def step(self, place: Place, slopes: Tensors, losses: Tensor, learnt: Tensors, number: int) -> Place:
        """One update: φ_{t+1} and the rule's state.

        Args:
            place: φ_t and the state.
            slopes: g_t, the gradient of the support loss at φ_t.
            losses: L_support(φ_t), (B,).
            learnt: In place of `rule.learnt`: the same values, which may be part of a graph.
            number: t.
        """
        return Place(*self.rule.with_learnt(learnt).update(slopes, place.state, place.parameters, self.steps_before + number, losses))


class TaskGradient(NamedTuple):
    """What an outer gradient gives.

    Attributes:
        loss: L_query(φ_n), (B,).
        path: What the steps descend, before each of them, (B, n): L_support(φ_0) … L_support(φ_{n-1}), for `implicit` with its proximal
            term.
        start: ∂loss/∂φ_0, as the mode defines it.
        shared: ∂loss/∂ the shared parameters.
        learnt: ∂loss/∂ what the update rule learns.
        buffers: What the query loss made of the buffers.
        state: The rule's state after the last step, (B, …), where the mode hands it on; otherwise empty.
    """

    loss: Tensor
    path: Tensor
    start: Tensors
    shared: Tensors
    learnt: Tensors
    buffers: Tensors
    state: Tensors = {}  # noqa: RUF012  # never changed


class Trail:
    """What is seen along the way: L_support(φ_0) … L_support(φ_{n-1}), and the buffers of each step."""

    def __init__(self) -> None:
        self.losses: list[Tensor] = []
        self._buffers: list[Tensors] = []

    def note(self, loss: Tensor, buffers: Tensors) -> None:
        """Adds one step."""
        self.losses.append(loss.detach())
        self._buffers.append(detached(buffers))

    def path(self, problem: Problem) -> Tensor:
        """(B, n)."""
        if self.losses:
            return torch.stack(self.losses, -1)
        some = next(iter(problem.start.values()))
        return some.new_zeros((len(some), 0))

    def buffers(self, problem: Problem, last: Tensors) -> Tensors:
        """Those of the query loss, (B, …), or those of all steps, (B, n + 1, …)."""
        if not problem.per_step:
            return last
        return {name: torch.stack([*(step[name] for step in self._buffers), value], 1) for name, value in last.items()}


def support_slope(problem: Problem, fast: Tensors, shared: Tensors, number: int, *, again: bool) -> tuple[Tensors, Tensor, Tensors]:
    """g_t, L_support(φ_t), and the buffers afterwards; `again` where g_t will itself be differentiated."""
    (slopes,), loss, buffers = gradient(lambda values: problem.support({**shared, **values}, number), fast, again=again)
    return slopes, loss, buffers


def walk(problem: Problem) -> tuple[Place, Trail]:
    """φ_n and the rule's state as plain numbers, and what was seen along the way."""
    place, trail = plain(problem.begin(problem.start)), Trail()
    for reached in steps_from(problem, place, range(problem.steps), trail):
        place = reached
    return place, trail


def steps_from(problem: Problem, place: Place, numbers: range, trail: Trail | None = None) -> Iterator[Place]:
    """Each place after some steps in a row, as plain numbers.

    Args:
        problem: The problem that the steps belong to.
        place: Where the first of them starts.
        numbers: Which they are.
        trail: Notes what is seen.
    """
    shared, learnt = detached(problem.shared), detached(problem.rule.learnt)
    for number in numbers:
        slopes, loss, buffers = support_slope(problem, place.parameters, shared, number, again=False)
        place = plain(problem.step(place, slopes, loss, learnt, number))
        if trail is not None:
            trail.note(loss, buffers)
        yield place


def plain(place: Place) -> Place:
    """The same numbers without a graph."""
    return Place(detached(place.parameters), detached(place.state))


def detached(values: Tensors) -> Tensors:
    """The same numbers without a graph."""
    return {name: value.detach() for name, value in values.items()}


def added(total: Tensors, more: Tensors) -> Tensors:
    """The sum, name by name."""
    return {name: value + more[name] for name, value in total.items()}
