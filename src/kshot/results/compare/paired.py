"""Which of several learners is the best on one set of episodes, and how far each of the others is from it.

In: scores of the same episodes, one array a learner. Out: `Standing`s, best first. Next: `kshot.results.compare.sentence`,
`kshot.results.compare.compare`.

Differences are paired: episode by episode, then averaged. An episode that is hard for one learner is hard for the others too, so their
difference varies less than the scores do, and its interval is the narrower for it.
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
        mean: Of the first learner's scores minus the second's.
        interval: Half the width of its 95 % interval over the episodes.
        episodes: How many.
    """

    mean: float
    interval: float
    episodes: int

    __repr__ = repr_of_fields

    @property
    def differs(self) -> bool:
        """Whether the interval leaves 0 out; never with a single episode, which has no interval."""
        return self.episodes > 1 and abs(self.mean) > self.interval


@dataclass(frozen=True)
class Standing:
    """A learner among others.

    Attributes:
        name: Of the learner.
        mean: Of its scores.
        interval: Half the width of the mean's 95 % interval.
        difference: Its scores minus those of the best learner; of the best itself 0 ± 0.
    """

    name: str
    mean: float
    interval: float
    difference: Difference

    __repr__ = repr_of_fields


def paired_difference(first: np.ndarray, second: np.ndarray) -> Difference:
    """How far apart two learners are.

    Args:
        first: Scores of one learner, (E,).
        second: Scores of another on the same episodes, in the same order, (E,).

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
    """Learners in the order of their means, each with its difference to the best.

    Args:
        scores: Of the same episodes in the same order, (E,) each, by the learner's name.
        higher_is_better: Which of two means wins. Equal means stand in the order of the names, so that the order in which the
            learners are given makes no difference.

    Raises:
        RecipeError: As of `paired_difference`, or there is no learner.
    """
    if not scores:
        raise RecipeError("there are no learners to rank. Give at least one.")
    summaries = {name: mean_and_interval(values) for name, values in scores.items()}
    order = sorted(scores, key=lambda name: (-summaries[name][0] if higher_is_better else summaries[name][0], name))
    return tuple(Standing(name, *summaries[name], paired_difference(scores[name], scores[order[0]])) for name in order)
