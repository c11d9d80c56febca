"""Things of no known class, told by how near they are to the examples, and by how undecided the answer is. numpy alone.

    familiarity(x) = a(x) + b(x) + ½ c(x)
    a = -‖f(x) - c_k‖² to the nearest class mean,   b = -‖f(x) - f(x_i)‖² to the nearest example,   c = max_k log p(k | x)

each less its mean over the left-out examples and divided by its spread there. f is unit length for vectors of `_DIRECTIONS` numbers and
more; others are compared as they are. A thing is unknown if it is less familiar than all but a stated share of the examples are, each
without itself. In: vectors. Out: familiarity, high for what is usual. Next: `kshot.tasks.certainty.certainty`.

The sum was chosen among these three, the energy (W. Liu et al., "Energy-based out-of-distribution detection", NeurIPS 2020), the cosine
with class means, and sums of them, at 5 examples per class (area under the ROC curve): on the validation parts of CLINC150 and of
BANKING77-OOS (in domain, out of domain), on grocery_store with 21 of its 81 classes unknown, and on scikit-learn's digits with 3 of 10
unknown. It gave 0.977, 0.814, 0.997, 0.757, 0.900; the class mean alone 0.982, 0.818, 0.997, 0.706, 0.887; the nearest example 0.967,
0.781, 0.997, 0.741, 0.895; the probability 0.934, 0.749, 0.967, 0.765, 0.832.
"""

from functools import cached_property

import numpy as np

from kshot.tasks.heads.answer import squared_distances
from kshot.tasks.heads.feature_map import AS_THEY_ARE, UNIT, fit_map
from kshot.tasks.heads.given import sample_of

MEASURES = 3
_WEIGHTS = np.array([1.0, 1.0, 0.5])
_DIRECTIONS = 10
_CHUNK = 2**22
"""Distances in memory at once."""


class Surroundings:
    """Examples that things are compared with.

    Args:
        x: Their vectors, (n, D). Of very many, a sample is taken, as heads are compared on.
        y: Their classes, int64 (n,).
        way: N.
    """

    def __init__(self, x: np.ndarray, y: np.ndarray, way: int) -> None:
        self._examples = x, y
        self._sample = sample_of(y, way)
        self._map = fit_map(UNIT if x.shape[1] >= _DIRECTIONS else AS_THEY_ARE, x)

    @cached_property
    def _seen(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """F of the examples (n, D), their places among the classes that occur (n,), and mean and number of examples of these."""
        x, y = self._examples
        z = self._map(x[self._sample])
        _, places, counts = np.unique(y[self._sample], return_inverse=True, return_counts=True)
        sums = np.zeros((len(counts), z.shape[1]))
        np.add.at(sums, places, z)
        return z, places, sums / counts[:, None], counts

    def nearness(self, x: np.ndarray) -> np.ndarray:
        """Return a and b of M vectors (M, D), float64 (M, 2)."""
        z, _, means, _ = self._seen
        asked = self._map(np.asarray(x, dtype=np.float32))
        found = np.empty((len(x), 2))
        step = max(1, _CHUNK // len(z))
        for start in range(0, len(x), step):
            part = asked[start : start + step]
            found[start : start + step, 0] = -squared_distances(part.astype(np.float64), means).min(1)
            found[start : start + step, 1] = -squared_distances(part, z).min(1)
        return found

    def nearness_left_out(self) -> np.ndarray:
        """Return a and b of the examples, each without itself, float64 (n, 2); NaN for the only one of its class."""
        z, places, means, counts = self._seen
        n = len(z)
        found = np.full((n, 2), np.nan)
        for start in range(0, n, step := max(1, _CHUNK // max(n, 1))):
            rows = np.arange(start, min(n, start + step))
            part, own = z[rows].astype(np.float64), places[rows]
            far = squared_distances(part, means)
            left = np.maximum(counts[own] - 1, 1)[:, None]
            without = (counts[own][:, None] * means[own] - part) / left
            far[np.arange(len(rows)), own] = np.square(part - without).sum(1)
            among = squared_distances(z[rows], z)
            among[np.arange(len(rows)), rows] = np.inf
            found[rows, 0], found[rows, 1] = -far.min(1), -among.min(1)
        found[counts[places] < 2] = np.nan
        return found


def scale_of(measures: np.ndarray) -> np.ndarray:
    """Return the mean and the spread of each measure of left-out examples, (m, 3) → float32 (2, 3)."""
    spread = measures.std(0)
    return np.stack([measures.mean(0), np.where(spread > 0, spread, 1)]).astype(np.float32)


def familiarity(measures: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """Return the familiarity of things by their measures a, b, c, (M, 3) → float32 (M,).

    Args:
        measures: The measures.
        scale: From `scale_of`.
    """
    found: np.ndarray = ((measures - scale[0]) / scale[1]) @ _WEIGHTS
    return found.astype(np.float32)
