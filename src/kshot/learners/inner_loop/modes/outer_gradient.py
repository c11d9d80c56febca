"""What a mode is: a way from a `Problem` to a `TaskGradient`, and what it keeps in memory on the way.

Next: `unrolled`, `flat`, `first_order`, `implicit`; MAML++ has one of its own.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from kshot.learners.inner_loop.problem import Problem, TaskGradient


class Kept(NamedTuple):
    """What is held in memory for one task.

    Attributes:
        graphs: (inner steps, query losses) whose graphs are held together, for each part of the way; the largest part counts.
        copies: Of the adapting parameters, kept along the way.
    """

    graphs: tuple[tuple[int, int], ...]
    copies: int = 0


@dataclass(frozen=True, eq=False)
class OuterGradient:
    """A way to a meta-gradient; called with a `Problem`.

    Attributes:
        solve: The way.
        keeps: What it holds, of the number of steps.
        twice: Whether the slopes of the steps are differentiated again.
        less: What needs less memory and gives the same or a like gradient, in words; empty where nothing does.
    """

    solve: Callable[[Problem], TaskGradient]
    keeps: Callable[[int], Kept]
    twice: bool = True
    less: str = ""

    def __call__(self, problem: Problem) -> TaskGradient:
        """The gradient."""
        return self.solve(problem)


def one_at_a_time(steps: int) -> Kept:
    """The graph of a step, or that of the queries."""
    return Kept(((1, 0), (0, 1)))


def keeping(
    keeps: Callable[[int], Kept], *, twice: bool = True, less: str = ""
) -> Callable[[Callable[[Problem], TaskGradient]], OuterGradient]:
    """Make a function a mode; arguments as of `OuterGradient`."""
    return lambda solve: OuterGradient(solve, keeps, twice, less)
