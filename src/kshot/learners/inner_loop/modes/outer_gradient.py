"""An outer gradient as a value: a way from a `Problem` to a `TaskGradient`, and what it keeps in memory on the way.

Next: `unrolled`, `flat`, `first_order`, `implicit`, `displacement`; MAML++ has one of its own.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from kshot.learners.inner_loop.problem import Problem, TaskGradient


class Kept(NamedTuple):
    """What is held in memory for one task.

    Attributes:
        graphs: (inner steps, query losses) whose graphs are held together, for each part of the way; the largest part counts.
        places: Copies of the adapting parameters and of the rule's state that are kept along the way.
        rules: Steps of which the graph of the update rule alone is held, beside those graphs.
    """

    graphs: tuple[tuple[int, int], ...]
    places: int = 0
    rules: int = 0


@dataclass(frozen=True, eq=False)
class OuterGradient:
    """A way to the outer gradient; called with a `Problem`.

    Attributes:
        solve: The way.
        keeps: Number of inner steps → what is held in memory.
        twice: Whether the slopes of the steps are differentiated again.
        less: What needs less memory and gives the same or a similar gradient, in words; empty where nothing does.
        learns: Whether the gradient reaches what the update rule learns.
    """

    solve: Callable[[Problem], TaskGradient]
    keeps: Callable[[int], Kept]
    twice: bool = True
    less: str = ""
    learns: bool = True

    def __call__(self, problem: Problem) -> TaskGradient:
        """The gradient."""
        return self.solve(problem)


def one_at_a_time(steps: int) -> Kept:
    """The graph of a step, or that of the queries."""
    return Kept(((1, 0), (0, 1)))


def keeping(
    keeps: Callable[[int], Kept], *, twice: bool = True, less: str = "", learns: bool = True
) -> Callable[[Callable[[Problem], TaskGradient]], OuterGradient]:
    """Makes a function an outer gradient; the arguments are those of `OuterGradient`."""
    return lambda solve: OuterGradient(solve, keeps, twice, less, learns)
