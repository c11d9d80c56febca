"""How far a mean accuracy depends on which classes the test happened to have: a bootstrap over classes, or over groups of classes.

The usual interval is over the draw of episodes from the classes at hand. With enough episodes it becomes as narrow as one likes, although
the test has 20 alphabets and no more. Here the test's own groups are drawn again with replacement, and the mean accuracy is computed anew.

In: right answers and queries per class. Out: a `ClassSpread`. Next: `kshot.results.score.result`.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

_DRAWS = 2000
_LEAST = 5
"""Below this number, a bootstrap over groups says nothing."""
_TURN = re.compile(r"/rot\d{3}$")


@dataclass(frozen=True)
class ClassSpread:
    """The interval of a mean accuracy over other classes of the same kind.

    Attributes:
        interval: Half width of the 95 % interval, a fraction.
        count: Number of groups, or of classes, that were drawn again.
        unit: `groups of classes` or `classes`.
    """

    interval: float
    count: int
    unit: str


def class_spread(right: np.ndarray, asked: np.ndarray, groups: Sequence[str] | None) -> ClassSpread | None:
    """Return the spread over groups of classes, or over classes if they have no groups or too few.

    A group's mistakes are those of its queries. Turned copies of a group (`Greek/rot090`) count as one group. The interval is the
    percentile bootstrap's: half the distance between the 2.5th and the 97.5th percentile of the means of 2,000 resamples.

    Args:
        right: Right answers to queries of each class, (C,).
        asked: Queries of each class, (C,). Classes that no episode used are left out.
        groups: Group of each class, or None.

    Returns:
        None if there are fewer than 5 classes.

    Example:
        >>> import numpy as np
        >>> spread = class_spread(np.array([9, 5, 7, 9, 10, 8]), np.full(6, 10), None)
        >>> round(spread.interval, 2), spread.count, spread.unit
        (0.12, 6, 'classes')
    """
    used = asked > 0
    unit, member = "classes", np.arange(used.sum())
    if groups is not None:
        names, of_group = np.unique([_TURN.sub("", group) for group, use in zip(groups, used, strict=True) if use], return_inverse=True)
        if len(names) >= _LEAST:
            unit, member = "groups of classes", of_group.reshape(-1)
    right, asked = np.bincount(member, right[used]), np.bincount(member, asked[used])
    if len(asked) < _LEAST:
        return None
    drawn = np.random.default_rng(0).integers(len(asked), size=(_DRAWS, len(asked)))
    low, high = np.percentile(right[drawn].sum(1) / asked[drawn].sum(1), [2.5, 97.5])
    return ClassSpread(float(high - low) / 2, len(asked), unit)


class ClassCounts:
    """Counts right answers and queries of each class, while episodes are scored.

    Args:
        classes: C, the number of classes of the test.
    """

    def __init__(self, classes: int) -> None:
        self.right, self.asked = np.zeros(classes), np.zeros(classes)

    def add(self, classes: np.ndarray, query_y: np.ndarray, right: np.ndarray) -> None:
        """Add the answers of B episodes.

        Args:
            classes: Classes of each episode, int64 (B, N).
            query_y: Labels of the queries, int64 (B, Q).
            right: Whether each answer is right, bool (B, Q).
        """
        asked = np.take_along_axis(classes, query_y, 1).reshape(-1)
        self.asked += np.bincount(asked, minlength=len(self.asked))
        self.right += np.bincount(asked, right.reshape(-1), minlength=len(self.right))
