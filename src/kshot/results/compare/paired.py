"""The best of several learners on one set of episodes, and the difference of each other learner from it.

In: scores on the same episodes, one array per learner. Out: `Standing`s, best first. Next: `kshot.results.compare.sentence`,
`kshot.results.compare.comparison`.

Differences are paired: taken episode by episode, then averaged. An episode that is hard for one learner is hard for the others too, so the
difference varies less than the scores, and its interval is narrower.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from kshot.errors import RecipeError
from kshot.results.score.interval import mean_and_interval
from kshot.short_repr import repr_of_fields


@dataclass(frozen=True)
class Difference:
    """A paired difference of two learners' scores.

    Attributes:
        mean: Mean of the first learner's scores minus the second learner's.
        interval: Half the width of the 95 % interval of the mean over the episodes.
        episodes: Number of episodes.
    """

    mean: float
    interval: float
    episodes: int

    __repr__ = repr_of_fields

    @property
    def differs(self) -> bool:
        """Whether the interval excludes 0. It never does with a single episode, which has no interval."""
        return self.episodes > 1 and abs(self.mean) > self.interval


@dataclass(frozen=True)
class Standing:
    """A learner among others.

    Attributes:
        name: Name of the learner.
        mean: Mean of its scores.
        interval: Half the width of the 95 % interval of the mean.
        difference: Its scores minus those of the best learner; 0 ± 0 for the best learner.
    """

    name: str
    mean: float
    interval: float
    difference: Difference

    __repr__ = repr_of_fields


def paired_difference(first: np.ndarray, second: np.ndarray) -> Difference:
    """Return the paired difference of two learners.

    Args:
        first: Scores of one learner, (E,).
        second: Scores of another learner on the same episodes, in the same order, (E,).

    Raises:
        RecipeError: The numbers of episodes differ, or there are none.

    Example:
        >>> import numpy as np
        >>> difference = paired_difference(np.array([0.9, 0.7, 0.8, 0.6]), np.array([0.8, 0.6, 0.8, 0.6]))
        >>> round(difference.mean, 3), round(difference.interval, 3), difference.differs
        (0.05, 0.057, False)
    """
    if first.shape != second.shape or first.ndim != 1 or len(first) == 0:
        raise RecipeError(f"a paired difference needs the scores of the same episodes; found shapes {first.shape} and {second.shape}.")
    return Difference(*mean_and_interval(first - second), len(first))


def rank(scores: Mapping[str, np.ndarray], *, higher_is_better: bool) -> tuple[Standing, ...]:
    """Order learners by their means, each with its difference from the best.

    Args:
        scores: Scores on the same episodes in the same order, (E,) each, by the name of the learner.
        higher_is_better: Whether the higher of two means is the better one. Learners with equal means are ordered by name, so the order
            in which they are given does not matter.

    Raises:
        RecipeError: The numbers of episodes differ, there are no episodes, or there is no learner.
    """
    if not scores:
        raise RecipeError("there are no learners to rank. Give at least one.")
    summaries = {name: mean_and_interval(values) for name, values in scores.items()}
    order = sorted(scores, key=lambda name: (-summaries[name][0] if higher_is_better else summaries[name][0], name))
    return tuple(Standing(name, *summaries[name], paired_difference(scores[name], scores[order[0]])) for name in order)
