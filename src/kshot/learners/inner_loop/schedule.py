"""A batch of tasks: one after another, over threads of one core each, or together in one call.

Each task's gradient is its own, and they are averaged; a task's numbers do not depend on the others, to rounding.

    in_turn    any module; the only way where dropout draws, so that what a task drops depends on its number alone
    threads    one private copy of the module per thread, as many threads as torch would use; CPU
    together   the module is run on all tasks at once by `torch.vmap`, and one tape holds them all; on a CPU with several threads each
               takes a share of the tasks. Modules that `torch.vmap` can read, whose batch normalisation is written out (`exact_norm`)

Together, an operation is called once, not once per task, so that small tasks are not spent between operations. Only the module's forward
pass is under `vmap`; gradients of any order are those of the tape.

In: an `Assignment` and a schedule. Out: losses (B,), and the mean over tasks of gradients and buffers.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch
from torch import Tensor

from kshot.learners.inner_loop.assignment import Assignment
from kshot.learners.inner_loop.loop import Schedule
from kshot.learners.inner_loop.network import Network
from kshot.learners.inner_loop.parameters import Tensors
from kshot.learners.inner_loop.problem import TaskGradient
from kshot.learners.inner_loop.start import to_given

T = TypeVar("T")


def solve(assignment: Assignment, schedule: Schedule) -> TaskGradient:
    """The outer gradient of all tasks.

    Returns:
        Losses (B,) and (B, steps), and the rule's states (B, …) where the mode hands them on; the mean over tasks of the gradients and of
        floating buffers.

    Raises:
        RecipeError: The module cannot be run that way.
    """
    share = _together if schedule == "together" else _in_turn
    threads = torch.get_num_threads() if assignment.tasks.support_y.device.type == "cpu" and schedule != "in_turn" else 1
    return (share(assignment) if threads == 1 else _over_threads(share, assignment, threads)).mean()


def _together(assignment: Assignment) -> "_Total":
    return _Total().add(_of_problem(assignment, assignment.network(together=True)))


def _in_turn(assignment: Assignment) -> "_Total":
    network, total = assignment.network(), _Total()
    for number in range(len(assignment.tasks.number)):
        total.add(_of_problem(assignment.some(slice(number, number + 1)), network))
    return total


def _of_problem(assignment: Assignment, network: Network) -> TaskGradient:
    problem = assignment.problem(network)
    return to_given(assignment.loop.mode(problem), problem.origin)


def _over_threads(share: Callable[[Assignment], "_Total"], assignment: Assignment, threads: int) -> "_Total":
    """Each thread takes a run of tasks and adds up its own; sums are joined in order, so the numbers do not depend on who is first."""
    count = len(assignment.tasks.number)
    workers = min(threads, count)
    bounds = [count * worker // workers for worker in range(workers + 1)]
    totals = on_threads(lambda worker: share(assignment.some(slice(*bounds[worker : worker + 2]))), workers, threads)
    for more in totals[1:]:
        totals[0].join(more)
    return totals[0]


class _Total:
    """Losses of the tasks so far, the rule's states after them, and sums of the rest."""

    def __init__(self) -> None:
        self.losses: list[Tensor] = []
        self.paths: list[Tensor] = []
        self.states: list[Tensors] = []
        self.sums: list[Tensors] = []

    def add(self, found: TaskGradient) -> "_Total":
        """More tasks, whose `shared` and `learnt` are sums already."""
        self.losses.append(found.loss.detach())
        self.paths.append(found.path)
        self.states.append(found.state)
        self._add([_over(found.start), found.shared, found.learnt, _over(found.buffers)])
        return self

    def join(self, other: "_Total") -> None:
        self.losses += other.losses
        self.paths += other.paths
        self.states += other.states
        self._add(other.sums)

    @torch.no_grad()
    def _add(self, parts: list[Tensors]) -> None:
        if not self.sums:
            self.sums = [{name: value.detach().clone() for name, value in part.items()} for part in parts]
            return
        for mine, part in zip(self.sums, parts, strict=True):
            for name, value in part.items():
                if value.is_floating_point():
                    mine[name] += value

    @torch.no_grad()
    def mean(self) -> TaskGradient:
        losses, paths = torch.cat(self.losses), torch.cat(self.paths)
        states = {name: torch.cat([state[name] for state in self.states]) for name in self.states[0]}
        parts = [{name: value / len(losses) if value.is_floating_point() else value for name, value in part.items()} for part in self.sums]
        start, shared, learnt, buffers = parts
        return TaskGradient(losses, paths, start, shared, learnt, buffers, states)


def _over(part: Tensors) -> Tensors:
    """The sum over tasks; of whole numbers, which are the same for all, the first."""
    return {name: value.sum(0) if value.is_floating_point() else value[0] for name, value in part.items()}


def for_each_task(run: Callable[[int], T], tasks: int, device: torch.device) -> list[T]:
    """`run` of 0 … tasks - 1, in this order, for work that keeps nothing between tasks and draws no random numbers of PyTorch's.

    Args:
        run: One task, by its place.
        tasks: How many there are.
        device: Where the work is done; only on a CPU are there threads, as many as torch would use for one operation.
    """
    before = torch.get_num_threads()
    threads = min(before, tasks) if device.type == "cpu" else 1
    return [run(number) for number in range(tasks)] if threads <= 1 else on_threads(run, tasks, before)


def on_threads(run: Callable[[int], T], count: int, threads: int) -> list[T]:
    """`run` of 0 … count - 1 over threads of one core each; `threads` is put back as the process's setting afterwards."""
    try:
        with ThreadPoolExecutor(min(threads, count), initializer=torch.set_num_threads, initargs=(1,)) as pool:
            return list(pool.map(run, range(count)))
    finally:
        torch.set_num_threads(threads)  # a worker's own setting is also the default of threads that are yet to start
