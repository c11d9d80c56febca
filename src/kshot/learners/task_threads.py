"""The tasks of a batch over threads of one core each.

Small operations do not divide well among cores; tasks do. For work that keeps nothing between tasks and draws no random numbers of
PyTorch's.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch

T = TypeVar("T")


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
