"""Which items belong to which class: all that drawing an episode needs to know about a data set.

In: names and item numbers. Out: a `ClassIndex`, whole or divided into disjoint parts. Next: `kshot.episodes`.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from kshot.errors import DataError
from kshot.short_repr import short_repr
from kshot.value_types import LARGEST

_LONGEST = 60
"""Characters of a class name that are shown."""


@dataclass(frozen=True, eq=False)
class ClassIndex:
    """Classes in a fixed order, each with its name, its items and, where there is one, its group.

    Attributes:
        names: One name per class, all different.
        items: Item numbers of all classes, one class after another, int64.
        starts: Where the items of each class begin in `items`, int64 (N,).
        sizes: How many items each class has, int64 (N,).
        groups: The group of each class (an alphabet, a person), or None where classes have none.

    Example:
        >>> index = ClassIndex.build({"fox": [0, 2], "owl": [1, 3, 4]})
        >>> len(index), index.sizes.tolist(), index.items_of("owl").tolist()
        (2, [2, 3], [1, 3, 4])
    """

    names: tuple[str, ...]
    items: np.ndarray
    starts: np.ndarray
    sizes: np.ndarray
    groups: tuple[str, ...] | None = None

    @classmethod
    def build(cls, classes: Mapping[str, Sequence[int] | np.ndarray], groups: Mapping[str, str] | None = None) -> "ClassIndex":
        """Build a class index from class name → item numbers.

        Args:
            classes: The items of each class. The class index keeps their order.
            groups: The group of each class, by class name.

        Raises:
            DataError: There is no class, a class has no item or what is no item number, an item occurs twice, or `groups` misses a class.
        """
        if not classes:
            raise DataError("expected at least one class, found none. Check that the folder or the labels are the right ones.")
        names = tuple(classes)
        parts = [_item_numbers(name, classes[name]) for name in names]
        if groups is not None and (missing := [name for name in names if name not in groups]):
            raise DataError(f"every class needs a group; {_some(missing)} has none. Name its group or give no groups at all.")
        sizes = np.array([part.size for part in parts], dtype=np.int64)
        items = np.concatenate(parts)
        ordered = np.sort(items)
        if len(twice := ordered[1:][ordered[1:] == ordered[:-1]]):
            owners = [name for name, part in zip(names, parts, strict=True) for _ in range(int((part == twice[0]).sum()))]
            raise DataError(
                f"an item belongs to one class, once; item {twice[0]} occurs {len(owners)} times, in {_some(owners)}. "
                "Otherwise it could be support and query of one episode."
            )
        return cls(
            names=names,
            items=items,
            starts=np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(np.int64),
            sizes=sizes,
            groups=None if groups is None else tuple(groups[name] for name in names),
        )

    @classmethod
    def from_labels(cls, labels: Iterable[object]) -> "ClassIndex":
        """Build a class index from one label per item; classes are named by `str(label)` and sorted by label."""
        values = list(labels)
        items: dict[object, list[int]] = {}
        for number, label in enumerate(values):
            items.setdefault(label, []).append(number)
        ordered = sorted(items, key=lambda label: (str(type(label)), label))
        named = {str(label): items[label] for label in ordered}
        if len(named) != len(items):
            raise DataError("two different labels have the same name as text; make the labels all text or all numbers.")
        return cls.build(named)

    def __len__(self) -> int:
        return len(self.names)

    def __repr__(self) -> str:
        least, most = int(self.sizes.min()), int(self.sizes.max())
        sizes = f"{least:,}" if least == most else f"{least:,} to {most:,}"
        groups = [] if self.groups is None else [counted(len(set(self.groups)), "group", "groups")]
        names = [repr(name if len(name) <= _LONGEST else f"{name[:_LONGEST]}…") for name in self.names[:3]]
        counts = [counted(len(self), "class", "classes"), *groups, f"items per class: {sizes}"]
        return short_repr("ClassIndex", [*counts, *names, *(["…"] if len(self) > len(names) else [])])

    @cached_property
    def grouping(self) -> tuple[tuple[str, ...], np.ndarray]:
        """The names of the groups, sorted, and for each class the position of its group among them, int64 (N,).

        Drawing asks for it again and again. Without groups, both are empty.
        """
        names = tuple(sorted(set(self.groups or ())))
        position = {name: number for number, name in enumerate(names)}
        return names, np.array([position[name] for name in self.groups or ()], dtype=np.int64)

    def items_of(self, name: str) -> np.ndarray:
        """Give the item numbers of one class, by its name."""
        position = self.position(name)
        return self.items[self.starts[position] : self.starts[position] + self.sizes[position]]

    def position(self, name: str) -> int:
        """Find the position of a class in `names`.

        Raises:
            DataError: There is no class of that name.
        """
        try:
            return self.names.index(name)
        except ValueError:
            raise DataError(f"there is no class {name!r} among the {len(self)} classes ({_some(self.names)}).") from None

    def subset(self, names: Iterable[str]) -> "ClassIndex":
        """Choose the classes with these names, in this order.

        Raises:
            DataError: A name is unknown or occurs twice.
        """
        wanted = list(names)
        known = {name: position for position, name in enumerate(self.names)}
        if missing := [name for name in wanted if name not in known]:
            raise DataError(
                f"{len(missing)} of {len(wanted)} wanted classes are not in the data: {_some(missing)}. "
                f"It has {len(self)} classes: {_some(self.names)}."
            )
        if len(set(wanted)) != len(wanted):
            twice = sorted({name for name in wanted if wanted.count(name) > 1})
            raise DataError(f"each class may be named once; {_some(twice)} occurs more often.")
        groups = None if self.groups is None else {name: self.groups[known[name]] for name in wanted}
        return ClassIndex.build({name: self.items_of_position(known[name]) for name in wanted}, groups)

    def items_of_position(self, position: int) -> np.ndarray:
        """Give the item numbers of the class at one position."""
        return self.items[self.starts[position] : self.starts[position] + self.sizes[position]]


def counted(count: int, one: str, many: str) -> str:
    """Write a number of things: `1 class`, `4,112 classes`."""
    return f"{count:,} {one if count == 1 else many}"


def _some(names: Sequence[str], most: int = 5) -> str:
    """List the first few names, quoted, and how many more there are."""
    shown = ", ".join(repr(name) for name in names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"


def _item_numbers(name: str, given: Sequence[int] | np.ndarray) -> np.ndarray:
    """The items of a class, int64 (n,), n ≥ 1."""
    try:
        part = np.asarray(given)
    except ValueError:  # rows of different lengths
        part = np.asarray(given, dtype=object)
    if part.size == 0:
        raise DataError(f"class {name!r} has no items; a class needs at least one. Add items or drop the class.")
    if part.ndim != 1 or part.dtype.kind not in "iu":
        found = f"an array of {part.dtype} and shape {part.shape}"
    elif not 0 <= int(part.min()) <= int(part.max()) <= LARGEST:
        found = str(part.min() if part.min() < 0 else part.max())
    else:
        return part.astype(np.int64)
    raise DataError(f"the items of a class are whole numbers, 0 or more, in one dimension; class {name!r} has {found}.")
