"""The layout in memory in which a module's convolutions are quickest on a CPU: channels innermost.

It holds the same numbers; convolution, pooling and normalisation then hand it on from one to the next. Pooling is up to ten times as fast
there, and a whole second-order update of a plain convolution network takes 0.8 of the time. A module that cannot read such items, because
it calls `view` on maps, gets them as they are.

In: an `Assignment`. Out: the same, in the quicker layout where there is one. Next: `plan`.
"""

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from kshot.errors import KshotError
from kshot.learners.inner_loop.assignment import Assignment
from kshot.learners.inner_loop.network import convolves


def in_quick_layout(assignment: Assignment, remember: Callable[[Callable[[], bool]], bool]) -> Assignment:
    """The tasks with channels innermost, where the module convolves on a CPU and makes the same of them.

    Args:
        assignment: The tasks as they are.
        remember: Asks whether the module reads the other layout; it may know the answer from an earlier time.
    """
    if assignment.tasks.support_y.device.type != "cpu" or not convolves(assignment.module):
        return assignment
    quick = replace(assignment, tasks=assignment.tasks.with_items(channels_innermost))
    return quick if remember(lambda: _same_loss(assignment, quick)) else assignment


def channels_innermost(x: Tensor) -> Tensor:
    """Images (B, n, C, H, W) on a CPU with the channels of a pixel side by side in memory; anything else as it is."""
    if x.ndim != 5 or x.device.type != "cpu" or not x.is_floating_point():
        return x
    return x.movedim(2, -1).clone(memory_format=torch.contiguous_format).movedim(-1, 2)  # `contiguous` leaves one channel's strides


def _same_loss(assignment: Assignment, quick: Assignment) -> bool:
    """Whether the first task's support loss is the same in both layouts; False where it cannot be computed."""
    losses = []
    try:
        with torch.no_grad():
            for some in (assignment, quick):
                problem = replace(some.first(), seed=0).problem(some.network())  # the same numbers twice, where any are drawn
                losses.append(problem.support({**problem.shared, **problem.start}, 0)[0])
    except (KshotError, RuntimeError, ValueError, TypeError):
        return False  # whatever is wrong with the items as they are will be said when they are used
    return bool(torch.isclose(losses[0], losses[1], rtol=1e-3, equal_nan=True))
