"""Things of no known class, told by how near they are to the examples. numpy alone.

    familiarity(x) = max over the examples i of cos(f(x), f(x_i))

f is the feature map of the model's head. A thing is unknown if it is less familiar than all but a stated share of the examples are to the
others. In: vectors. Out: familiarity, high for what is usual. Next: `kshot.tasks.certainty.certainty`.
"""

from functools import cached_property

import numpy as np

from kshot.tasks.heads.feature_map import UNIT, FeatureMap
from kshot.tasks.heads.given import sample_of
from kshot.tasks.heads.head import FittedHead

_CHUNK = 2**22
"""Cosines in memory at once."""


class Neighbours:
    """Examples that things are compared with.

    Args:
        head: The fitted head, whose feature map is used; unit length for a head that is another library's object.
        x: Their vectors, (n, D). Of very many, a sample is taken, as heads are compared on.
        y: Their classes, int64 (n,).
        way: N.
    """

    def __init__(self, head: FittedHead, x: np.ndarray, y: np.ndarray, way: int) -> None:
        name, arrays = (head.feature_map, head.arrays) if isinstance(head, FittedHead) else (UNIT, {})
        self._map = FeatureMap(name, arrays)
        self._examples = x, y, way

    @cached_property
    def _units(self) -> np.ndarray:
        x, y, way = self._examples
        return _units(self._map(x[sample_of(y, way)]))

    def familiarity(self, x: np.ndarray) -> np.ndarray:
        """Return the familiarity of vectors (M, D), float32 (M,)."""
        units = _units(self._map(x))
        found = np.empty(len(units), dtype=np.float32)
        step = max(1, _CHUNK // len(self._units))
        for start in range(0, len(units), step):
            found[start : start + step] = (units[start : start + step] @ self._units.T).max(1)
        return found

    def to_each_other(self) -> np.ndarray:
        """Return the familiarity of each example with the others, float32 (n,); nothing of a single example."""
        n = len(self._units)
        if n < 2:
            return np.empty(0, np.float32)
        found = np.empty(n, dtype=np.float32)
        step = max(1, _CHUNK // n)
        for start in range(0, n, step):
            cosines = self._units[start : start + step] @ self._units.T
            cosines[np.arange(len(cosines)), start + np.arange(len(cosines))] = -np.inf
            found[start : start + step] = cosines.max(1)
        return found


def _units(x: np.ndarray) -> np.ndarray:
    x = np.asarray(x, dtype=np.float32)
    lengths = np.sqrt(np.einsum("md,md->m", x, x))[:, None]
    result: np.ndarray = x / np.where(lengths > 0, lengths, 1)
    return result
