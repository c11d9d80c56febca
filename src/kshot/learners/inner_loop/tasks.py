"""A batch of tasks: one after another, over threads of one core each, or all at once by `torch.vmap`.

Whichever way, each task's gradient is taken by itself and then averaged; no gradient is ever taken over `vmap` (see `derivative`).

    in_turn   any module; the only way where dropout draws, so that what a task drops depends on its number alone
    threads   one private copy of the module a thread, as many threads as torch would use; CPU
    vmap      one call for all tasks; modules that `torch.vmap` can read

The automatic choice: on a device `vmap`; on a CPU `vmap` for small tasks, whose time is spent between the operations (16 sinusoid tasks of
5 steps took 0.19 of the time in turn), and `threads` for others. Where the boundary lies, and what threads gain, is not measured yet.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from kshot.data.inputs import Inputs, map_inputs
from kshot.errors import RecipeError
from kshot.learners.inner_loop.derivative import Gradient, by_tape, by_transform
from kshot.learners.inner_loop.network import Network
from kshot.learners.inner_loop.parameters import Tensors
from kshot.learners.inner_loop.problem import TaskGradient

Way = Literal["in_turn", "threads", "vmap"]
WAYS: tuple[Way, ...] = ("in_turn", "threads", "vmap")
SMALL_STEP = 1 << 18
"""Bytes that the graph of a step keeps, below which `vmap` is taken on a CPU."""


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


Solve = Callable[[Network, Gradient, Tasks], TaskGradient]
"""One task, given without its first dimension."""


def over_tasks(solve: Solve, network: Callable[[], Network], tasks: Tasks, way: Way) -> TaskGradient:
    """Solve B tasks.

    Args:
        solve: One task, with a network that nobody else has.
        network: Makes one.
        tasks: All of them.
        way: How.

    Returns:
        Losses (B,) and (B, steps); the mean over tasks of the gradients and of floating buffers.

    Raises:
        RecipeError: The module cannot be run that way.
    """
    if way == "vmap":
        return _vectorised(solve, network(), tasks)
    if way == "threads":
        return _threaded(solve, network, tasks)
    total = _Total()
    own = network()
    for number in range(len(tasks.number)):
        total.add(solve(own, by_tape, tasks.some(number)))
    return total.mean()


def _vectorised(solve: Solve, network: Network, tasks: Tasks) -> TaskGradient:
    try:
        each = torch.vmap(lambda *task: solve(network, by_transform, Tasks(*task)), randomness="error")(*tasks)
    except RuntimeError as error:
        if "randomness" in str(error):
            raise RecipeError("the module draws random numbers, which are drawn task by task. Use tasks='in_turn'.") from error
        first = str(error).partition("\n")[0].rstrip(".")
        raise RecipeError(f"torch.vmap cannot run this module: {first}. Use tasks='in_turn' or tasks='threads'.") from error
    start, shared, rates = ({name: value.mean(0) for name, value in part.items()} for part in (each.start, each.shared, each.rates))
    buffers = {name: value.mean(0) if value.is_floating_point() else value[0] for name, value in each.buffers.items()}
    return TaskGradient(each.loss.detach(), each.path, start, shared, rates, buffers)


def _threaded(solve: Solve, network: Callable[[], Network], tasks: Tasks) -> TaskGradient:
    """Each thread takes a run of tasks and adds up its own; sums are joined in order, so the numbers do not depend on who is first."""
    before, count = torch.get_num_threads(), len(tasks.number)
    workers = max(1, min(before, count))
    bounds = [count * worker // workers for worker in range(workers + 1)]
    state = torch.get_rng_state()

    def share(worker: int) -> _Total:
        total, own = _Total(), network()
        for number in range(bounds[worker], bounds[worker + 1]):
            total.add(solve(own, by_tape, tasks.some(number)))
        return total

    try:
        with ThreadPoolExecutor(workers, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            totals = list(pool.map(share, range(workers)))
    finally:
        torch.set_num_threads(before)  # a worker's own setting is also the default of threads that are yet to start
    if not torch.equal(state, torch.get_rng_state()):
        raise RecipeError("the module draws random numbers, which threads would draw in no order. Use tasks='in_turn'.")
    total = totals[0]
    for more in totals[1:]:
        total.join(more)
    return total.mean()


class _Total:
    """Losses of the tasks so far, and sums of the rest."""

    def __init__(self) -> None:
        self.losses: list[Tensor] = []
        self.paths: list[Tensor] = []
        self.sums: list[Tensors] = []

    def add(self, task: TaskGradient) -> None:
        self.losses.append(task.loss.detach())
        self.paths.append(task.path)
        self._add([task.start, task.shared, task.rates, task.buffers])

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
        count = len(self.losses)
        parts = [{name: value / count if value.is_floating_point() else value for name, value in part.items()} for part in self.sums]
        start, shared, rates, buffers = parts
        return TaskGradient(torch.stack(self.losses), torch.stack(self.paths), start, shared, rates, buffers)
