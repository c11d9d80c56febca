"""A batch of tasks: one after another, over threads of one core each, or together in one call.

Each task's gradient is its own, and they are averaged; a task's numbers do not depend on the others, to rounding.

    in_turn    any module; the only way where dropout draws, so that what a task drops depends on its number alone
    threads    one private copy of the module a thread, as many threads as torch would use; CPU
    together   the module is run on all tasks at once by `torch.vmap`, and one tape holds them all; on a CPU with several threads each
               takes a share of the tasks. Modules that `torch.vmap` can read, whose batch normalisation is written out (`written_norm`)

Together, an operation is called once, not once a task, so that small tasks are not spent between operations. Only the module's forward
pass is under `vmap`; gradients of any order are those of the tape.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Literal, NamedTuple, Protocol, TypeVar

import torch
from torch import Tensor

from kshot.data.inputs import Inputs, map_inputs
from kshot.learners.inner_loop.network import Network
from kshot.learners.inner_loop.parameters import Tensors
from kshot.learners.inner_loop.problem import TaskGradient

T = TypeVar("T")
Schedule = Literal["in_turn", "threads", "together"]
SCHEDULES: tuple[Schedule, ...] = ("in_turn", "threads", "together")
SMALL_STEP = 10 << 20
"""Bytes that the graph of a step keeps, below which tasks are taken together on a CPU."""


class Tasks(NamedTuple):
    """B tasks; the first dimension of everything counts them. `number` is int64 (B,)."""

    support_x: Inputs
    support_y: Tensor
    query_x: Inputs
    query_y: Tensor
    buffers: Tensors
    number: Tensor

    def some(self, chosen: int | slice) -> "Tasks":
        """One task, without its first dimension, or several with it."""
        cut: Callable[[Tensor], Tensor] = lambda value: value[chosen]  # noqa: E731
        x, q, b = (map_inputs(cut, part) for part in (self.support_x, self.query_x, self.buffers))
        return Tasks(x, cut(self.support_y), q, cut(self.query_y), dict(b), cut(self.number))


Solve = Callable[[Network, Tasks], TaskGradient]
"""One task, given without its first dimension, with a network for one; or all of them, with a network for many."""


class MakeNetwork(Protocol):
    """Makes a network that nobody else has."""

    def __call__(self, *, many: bool = False) -> Network:
        """For one task, or for many at once."""
        ...


def over_tasks(solve: Solve, network: MakeNetwork, tasks: Tasks, way: Schedule) -> TaskGradient:
    """Solve B tasks.

    Args:
        solve: Solves them.
        network: Makes a network.
        tasks: All of them.
        way: How.

    Returns:
        Losses (B,) and (B, steps); the mean over tasks of the gradients and of floating buffers.

    Raises:
        RecipeError: The module cannot be run that way.
    """
    if way == "together":
        share: Share = lambda part: _Total().add(solve(network(many=True), part), many=True)  # noqa: E731
    else:
        share = lambda part: _in_turn(solve, network(), part)  # noqa: E731
    alone = way == "in_turn" or (way == "together" and (tasks.support_y.device.type != "cpu" or torch.get_num_threads() == 1))
    return (share(tasks) if alone else _shared(share, tasks, torch.get_num_threads())).mean()


Share = Callable[[Tasks], "_Total"]


def _in_turn(solve: Solve, network: Network, tasks: Tasks) -> "_Total":
    total = _Total()
    for number in range(len(tasks.number)):
        total.add(solve(network, tasks.some(number)))
    return total


def _shared(share: Share, tasks: Tasks, threads: int) -> "_Total":
    """Each thread takes a run of tasks and adds up its own; sums are joined in order, so the numbers do not depend on who is first."""
    count = len(tasks.number)
    workers = min(threads, count)
    bounds = [count * worker // workers for worker in range(workers + 1)]
    parts = [tasks.some(slice(*bounds[worker : worker + 2])) for worker in range(workers)]
    try:
        with ThreadPoolExecutor(workers, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            totals = list(pool.map(share, parts))
    finally:
        torch.set_num_threads(threads)  # a worker's own setting is also the default of threads that are yet to start
    for more in totals[1:]:
        totals[0].join(more)
    return totals[0]


class _Total:
    """Losses of the tasks so far, and sums of the rest."""

    def __init__(self) -> None:
        self.losses: list[Tensor] = []
        self.paths: list[Tensor] = []
        self.sums: list[Tensors] = []

    def add(self, found: TaskGradient, *, many: bool = False) -> "_Total":
        """One task, or many whose `shared` and `rates` are sums already."""
        loss, path = found.loss.detach(), found.path
        self.losses.append(loss if many else loss.unsqueeze(0))
        self.paths.append(path if many else path.unsqueeze(0))
        start, buffers = (_over(part) for part in (found.start, found.buffers)) if many else (found.start, found.buffers)
        self._add([start, found.shared, found.rates, buffers])
        return self

    def join(self, other: "_Total") -> None:
        self.losses += other.losses
        self.paths += other.paths
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
        parts = [{name: value / len(losses) if value.is_floating_point() else value for name, value in part.items()} for part in self.sums]
        start, shared, rates, buffers = parts
        return TaskGradient(losses, paths, start, shared, rates, buffers)


def _over(part: Tensors) -> Tensors:
    """The sum over tasks; of whole numbers, which are the same for all, the first."""
    return {name: value.sum(0) if value.is_floating_point() else value[0] for name, value in part.items()}


def for_each_task(solve: Callable[[int], T], tasks: int, device: torch.device) -> list[T]:
    """`solve` of 0 … tasks - 1, in this order, whichever thread was first.

    Args:
        solve: One task, by its place.
        tasks: How many there are.
        device: Where the work is done; only on a CPU are there threads, as many as torch would use for one operation.
    """
    before = torch.get_num_threads()
    threads = min(before, tasks) if device.type == "cpu" else 1
    if threads <= 1:
        return [solve(number) for number in range(tasks)]
    try:
        with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            return list(pool.map(solve, range(tasks)))
    finally:
        torch.set_num_threads(before)  # a thread's own setting is also the default of threads that are yet to start
