"""The things that an encoder learns from, read once and kept in memory, or read again each time if they are too many.

In: a `Tunable` and things. Out: a sequence of items, with their costs. Next: `kshot.tasks.tune.stages`.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import overload

import numpy as np

from kshot.data.reading import in_order
from kshot.encoders.encoder import Tunable

_MOST_BYTES = 2**29
"""Of the items that are kept: about 2,700 photographs at the size of `efficientnet_lite0`."""


class Items(Sequence[np.ndarray]):
    """Things as a network learns from them.

    Args:
        tunable: Reads them.
        things: The things, all of which can be read.
        done: Called with the number of things read since the last call.

    Attributes:
        costs: What each item costs, int64 (m,).
    """

    def __init__(self, tunable: Tunable, things: Sequence[object], done: Callable[[int], None]) -> None:
        self._tunable, self._things = tunable, things
        self._kept: dict[int, np.ndarray] = {}
        left = _MOST_BYTES
        costs = []
        for place, item in enumerate(in_order(tunable.read, things)):
            costs.append(tunable.cost(item))
            left -= item.nbytes
            if left >= 0:
                self._kept[place] = item
            done(1)
        self.costs = np.array(costs, dtype=np.int64)

    def __len__(self) -> int:
        return len(self._things)

    @overload
    def __getitem__(self, place: int) -> np.ndarray: ...

    @overload
    def __getitem__(self, place: slice) -> list[np.ndarray]: ...

    def __getitem__(self, place: int | slice) -> np.ndarray | list[np.ndarray]:
        """Return an item, from memory or read again."""
        if isinstance(place, slice):
            return [self[one] for one in range(*place.indices(len(self)))]
        kept = self._kept.get(place)
        return self._tunable.read(self._things[place]) if kept is None else kept

    def __iter__(self) -> Iterator[np.ndarray]:
        return (self[place] for place in range(len(self)))
