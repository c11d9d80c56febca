"""What an episode looks like: way, shot, query, and the rules of drawing.

In: plain numbers. Out: a frozen `EpisodeShape`, part of an episode's identity. Next: `kshot.episodes.draw`.
"""

from dataclasses import asdict, dataclass
from typing import Any

from kshot.errors import EpisodeError

Range = tuple[int, int]
"""The smallest and the largest value, both included."""


@dataclass(frozen=True)
class EpisodeShape:
    """N-way K-shot with Q queries a class; each may be a range from which every episode draws its own.

    Attributes:
        way: Classes an episode, N.
        shot: Support items a class, K.
        query: Query items a class.
        balanced: True: all classes of an episode have the same shot and query. False: each class draws its own.
        within_groups: All classes of an episode come from one group, such as one alphabet.
        replacement: A class with too few items may give an item more than once. Its items are then divided at random in two,
            one part for support and one for query, so that the two still never share an item.
        augment: Name of an augmentation in `kshot.episodes.augment`; `none` changes nothing.

    Example:
        >>> EpisodeShape(way=5, shot=(1, 5), query=15).shot_range
        (1, 5)
    """

    way: int | Range = 5
    shot: int | Range = 1
    query: int | Range = 15
    balanced: bool = True
    within_groups: bool = False
    replacement: bool = False
    augment: str = "none"

    def __post_init__(self) -> None:
        for name, least in (("way", 2), ("shot", 1), ("query", 1)):
            low, high = _range(name, getattr(self, name))
            if low < least or high < low:
                wanted = f"at least {least}" + ("" if low == high else ", the smaller value first")
                raise EpisodeError(f"{name} must be {wanted}; found {getattr(self, name)}.")
            # One spelling of one shape: [1, 5] is (1, 5) and (5, 5) is 5, so that they give the same episodes.
            object.__setattr__(self, name, low if low == high else (low, high))

    @property
    def way_range(self) -> Range:
        """Smallest and largest way."""
        return _range("way", self.way)

    @property
    def shot_range(self) -> Range:
        """Smallest and largest shot."""
        return _range("shot", self.shot)

    @property
    def query_range(self) -> Range:
        """Smallest and largest number of queries a class."""
        return _range("query", self.query)

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values; part of what an episode is a function of."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}


def _range(name: str, value: Any) -> Range:
    pair = tuple(value) if isinstance(value, (tuple, list)) else (value, value)
    if len(pair) != 2 or not all(isinstance(item, int) and not isinstance(item, bool) for item in pair):
        raise EpisodeError(f"{name} must be a whole number or a pair of them (smallest, largest); found {value!r}.")
    return pair
