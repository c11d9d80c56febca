"""The shape of an episode: way, shot, query, and the rules of drawing.

In: plain numbers. Out: a frozen `EpisodeShape`, part of an episode's identity. Next: `kshot.episodes.draw`.
"""

from dataclasses import asdict, dataclass, fields
from typing import Any, get_args

from kshot.episodes.nearness import Nearness
from kshot.errors import EpisodeError
from kshot.short_repr import short_repr
from kshot.value_types import shortened

Range = tuple[int, int]
"""The smallest and the largest value, both inclusive."""
MOST_ITEMS = 1_000_000
"""Support and query items of one episode."""

_LATER = {"same_positions": False, "nearness": "any"}
"""Rules that were added later, with the value that changes nothing."""


@dataclass(frozen=True)
class EpisodeShape:
    """N-way K-shot episodes with Q queries per class. Each number may be a range, from which every episode draws its own value.

    Attributes:
        way: Classes per episode, N. It is 1 if items have real targets (`kshot.data.target_dataset`): each class is then a separate task.
        shot: Support items per class, K.
        query: Query items per class.
        balanced: If True, all classes of an episode have the same shot and query. If False, each class draws its own.
        within_groups: Whether all classes of an episode come from one group, for example one alphabet.
        replacement: Whether a class with too few items may give an item more than once. Its items are then divided at random in two
            parts, one for support and one for query, so that the two still never share an item.
        same_positions: Whether all classes of an episode give the items at the same positions in their lists. If the items of a class
            are in the order of who made them, as in Omniglot, support then comes from one person and queries from others.
        augment: Name of an augmentation in `kshot.episodes.augment`; `none` changes nothing.
        nearness: With `any`, all choices of classes are equally likely. With `near`, the classes of an episode lie near each other, which
            makes it hard. With `far`, they lie far apart. Both need distances between the classes (`kshot.episodes.nearness`).

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
    same_positions: bool = False
    nearness: Nearness = "any"

    def __post_init__(self) -> None:
        for name, least in (("way", 1 if self.way in (1, (1, 1)) else 2), ("shot", 1), ("query", 1)):
            low, high = _range(name, getattr(self, name))
            if low < least or high < low:
                wanted = f"at least {least}" + ("" if low == high else ", the smaller value first")
                raise EpisodeError(f"{name} must be {wanted}; found {getattr(self, name)}.")
            # Each shape has one spelling: [1, 5] becomes (1, 5), and (5, 5) becomes 5, so that both give the same episodes.
            object.__setattr__(self, name, low if low == high else (low, high))
        for name in ("balanced", "within_groups", "replacement", "same_positions"):
            if not isinstance(getattr(self, name), bool):
                raise EpisodeError(f"{name} must be True or False; found {getattr(self, name)!r}.")
        if (items := self.way_range[1] * (self.shot_range[1] + self.query_range[1])) > MOST_ITEMS:
            raise EpisodeError(
                f"an episode has at most {MOST_ITEMS:,} items; way, shot and query ask for {shortened(items)}. Lower one of them."
            )
        if self.nearness not in get_args(Nearness):
            raise EpisodeError(f"nearness must be one of {', '.join(get_args(Nearness))}; found {self.nearness!r}.")
        if self.same_positions and self.replacement:
            raise EpisodeError("same_positions uses each position once; replacement=True uses some twice. Drop one of the two.")

    def __repr__(self) -> str:
        """Return way, shot and query, and the rules that differ from their defaults."""
        told = [one for one in fields(self) if one.name in ("way", "shot", "query") or getattr(self, one.name) != one.default]
        return short_repr("EpisodeShape", (f"{one.name}={getattr(self, one.name)!r}" for one in told))

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
        """Smallest and largest number of queries per class."""
        return _range("query", self.query)

    def as_dict(self) -> dict[str, Any]:
        """Return plain JSON values, which are part of the identity of an episode.

        A rule that was added later is left out if it changes nothing, so that episodes drawn before keep their identity.
        """
        plain = {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}
        return {name: value for name, value in plain.items() if name not in _LATER or value != _LATER[name]}


def check_way(shape: EpisodeShape, *, real_targets: bool) -> None:
    """Raise an error if tasks of this kind cannot have this number of classes.

    Args:
        shape: Shape of the episodes.
        real_targets: Whether the items have real targets, so that each class is a separate task.

    Raises:
        EpisodeError: There are two or more classes with real targets, or there is one class without real targets.
    """
    if not real_targets and shape.way == 1:
        raise EpisodeError("way must be at least 2; found 1. With one class there is nothing to tell apart.")
    if real_targets and (shape.way != 1 or shape.nearness != "any"):
        found = f"way={shape.way}" + (f" nearness={shape.nearness!r}" if shape.nearness != "any" else "")
        raise EpisodeError(f"these items have real targets, so each class is a separate task: way must be 1; found {found}.")


def _range(name: str, value: Any) -> Range:
    pair = tuple(value) if isinstance(value, (tuple, list)) else (value, value)
    if len(pair) != 2 or not all(isinstance(item, int) and not isinstance(item, bool) for item in pair):
        raise EpisodeError(f"{name} must be a whole number or a pair of whole numbers (smallest, largest); found {value!r}.")
    return pair


def chance(way: int | Range) -> float:
    """Return the accuracy of guessing, a fraction: the mean of 1 / way over the ways of a range.

    Example:
        >>> chance(5), chance((2, 4))
        (0.2, 0.3611111111111111)
    """
    low, high = way if isinstance(way, tuple) else (way, way)
    return sum(1 / each for each in range(low, high + 1)) / (high - low + 1)
