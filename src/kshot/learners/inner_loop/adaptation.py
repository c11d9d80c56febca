"""The inner steps outside training: what a task's support set leads to, with no outer gradient. Next: the learners by gradient steps."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from kshot.errors import DataError
from kshot.learners.inner_loop.assignment import Assignment
from kshot.learners.inner_loop.derivative import differentiable_twice
from kshot.learners.inner_loop.divergence import require_descent
from kshot.learners.inner_loop.network import Network
from kshot.learners.inner_loop.parameters import Tensors, copied
from kshot.learners.inner_loop.problem import Problem, detached, walk
from kshot.learners.inner_loop.schedule import for_each_task


class Adaptation(NamedTuple):
    """Where B tasks' steps lead.

    Attributes:
        parameters: φ_n, (B, …) by name.
        buffers: What the support set makes of the buffers under φ_n, with all of its own statistics, (B, …) by name.
    """

    parameters: Tensors
    buffers: Tensors


def adapt(assignment: Assignment, *, change: Callable[[Problem], Problem] | None = None, over_threads: bool = False) -> Adaptation:
    """Take the inner steps on each task.

    Args:
        assignment: The tasks; their queries are not asked.
        change: Makes the problem that is solved of the one that was asked, such as one with another term in its loss.
        over_threads: Whether tasks run on threads of one core each, which draw no random numbers of PyTorch's.

    Raises:
        DataError: A task's steps diverged.
    """
    module, loop, count = assignment.module, assignment.loop, len(assignment.tasks.number)
    own = assignment.with_copies(copied)

    def networks() -> tuple[Network, Network]:
        """A network for the steps and one for what follows them, where running statistics become those of the support set."""
        return assignment.network(), Network(module, loop.statistics, momentum=1.0)

    shared = None if over_threads else networks()

    def run(number: int) -> tuple[Tensors, Tensors, Tensor]:
        some = own.some(slice(number, number + 1))
        problem, after = (some.problem(network) for network in shared or networks())
        if change is not None:
            problem, after = change(problem), change(after)
        place, trail = walk(problem)
        with torch.no_grad():
            last, buffers = after.support({**problem.shared, **place.parameters}, loop.steps)
        return place.parameters, buffers, torch.cat([trail.path(problem), last.unsqueeze(1)], 1)

    device = assignment.tasks.support_y.device
    with differentiable_twice(), torch.autocast(device.type, enabled=False):
        found = for_each_task(run, count, device) if over_threads else [run(number) for number in range(count)]
    names = [f"task {number} of the batch" for number in range(count)]
    require_descent(torch.cat([losses for _, _, losses in found]), names, loop.rule, DataError)
    return Adaptation(_joined([parameters for parameters, _, _ in found]), detached(_joined([buffers for _, buffers, _ in found])))


def _joined(tasks: list[Tensors]) -> Tensors:
    return {name: torch.cat([task[name] for task in tasks]) for name in tasks[0]}
