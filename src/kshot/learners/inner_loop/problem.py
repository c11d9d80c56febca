"""What one task asks of the inner loop, and what comes back: the types that the modes share.

Next: `mode`.
"""

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from kshot.learners.inner_loop.derivative import gradient
from kshot.learners.inner_loop.parameters import Tensors
from kshot.learners.inner_loop.steps import Rates

Loss = Callable[[Tensors, int], tuple[Tensor, Tensors]]
"""(all trainable parameters by name, number of steps taken so far) → (scalar, or (B,) for many tasks; buffers afterwards)."""


@dataclass(frozen=True, eq=False)
class Problem:
    """One task, or B of one size at once.

    Attributes:
        start: φ_0, the parameters that adapt.
        shared: Those that do not; both losses may depend on them.
        rates: The inner rates.
        steps: Inner steps, ≥ 0.
        support: The loss that the steps descend.
        query: The loss after them, whose gradient is wanted. Once: of many tasks with many items it has no second.
        per_step: Whether each step has buffers of its own; a result's buffers then have a first dimension of steps + 1.
        many: Whether these are B tasks: φ, losses and buffers then have a first dimension B, before any other; `shared` and learnt rates,
            which all tasks have in common, have none, and their gradients are sums over the tasks.
    """

    start: Tensors
    shared: Tensors
    rates: Rates
    steps: int
    support: Loss
    query: Loss
    per_step: bool = False
    many: bool = False


class TaskGradient(NamedTuple):
    """Of one task; with a first dimension B of many.

    Attributes:
        loss: L_query(φ_n), ().
        path: What the steps descend, before each of them, (n,): L_support(φ_0) … L_support(φ_{n-1}), for `implicit` with its proximal term.
        start: ∂loss/∂φ_0, as the mode defines it.
        shared: ∂loss/∂ the shared parameters.
        rates: ∂loss/∂ the learnt rates.
        buffers: What the query loss made of the buffers.
    """

    loss: Tensor
    path: Tensor
    start: Tensors
    shared: Tensors
    rates: Tensors
    buffers: Tensors


class Trail:
    """What is seen along the way: L_support(φ_0) … L_support(φ_{n-1}), and the buffers of each step."""

    def __init__(self) -> None:
        self.losses: list[Tensor] = []
        self._buffers: list[Tensors] = []

    def note(self, loss: Tensor, buffers: Tensors) -> None:
        """One step more."""
        self.losses.append(loss.detach())
        self._buffers.append(detached(buffers))

    def path(self, problem: Problem) -> Tensor:
        """(n,), or (B, n) for many tasks; empty without steps."""
        if self.losses:
            return torch.stack(self.losses, -1)
        some = next(iter(problem.start.values()))
        return some.new_zeros((len(some), 0) if problem.many else 0)

    def buffers(self, problem: Problem, last: Tensors) -> Tensors:
        """Those of the query loss, or those of all steps."""
        if not problem.per_step:
            return last
        return {name: torch.stack([*(step[name] for step in self._buffers), value], int(problem.many)) for name, value in last.items()}


def support_slope(problem: Problem, fast: Tensors, shared: Tensors, number: int, *, again: bool) -> tuple[Tensors, Tensor, Tensors]:
    """g_t, L_support(φ_t), and the buffers afterwards."""
    (slopes,), loss, buffers = gradient(lambda values: problem.support({**shared, **values}, number), fast, again=again)
    return slopes, loss, buffers


def walk(problem: Problem) -> tuple[Tensors, Trail]:
    """φ_n as plain numbers, and what was seen along the way."""
    start, trail = detached(problem.start), Trail()
    last = deque(steps_from(problem, start, range(problem.steps), trail), maxlen=1)
    return last.pop() if last else start, trail


def steps_from(problem: Problem, fast: Tensors, numbers: range, trail: Trail | None = None) -> Iterator[Tensors]:
    """φ after each of some steps in a row, as plain numbers.

    Args:
        problem: Whose steps.
        fast: φ before the first of them.
        numbers: Which they are.
        trail: Notes what is seen.
    """
    shared, learnt = detached(problem.shared), detached(problem.rates.learnt)
    for number in numbers:
        slopes, loss, buffers = support_slope(problem, fast, shared, number, again=False)
        fast = detached(problem.rates.step(fast, slopes, learnt, number, many=problem.many))
        if trail is not None:
            trail.note(loss, buffers)
        yield fast


def detached(values: Tensors) -> Tensors:
    """The same numbers without a graph."""
    return {name: value.detach() for name, value in values.items()}


def added(total: Tensors, more: Tensors) -> Tensors:
    """The sum, name by name."""
    return {name: value + more[name] for name, value in total.items()}
