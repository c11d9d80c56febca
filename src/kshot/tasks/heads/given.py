"""The examples as all heads see them: checked once, and what several heads need computed once.

    a `Given`                 the examples, and the sample of them on which heads are compared
    `Given.seen_through(f)`   the same under one feature map: vectors, inner products, class means, scatters

Of more than `MOST` examples, a sample answers for all: `MOST` of them, each class in proportion and with at least two, drawn with a fixed
seed. A head whose form is a sum over examples (means, discriminant, ridge) learns from all of them, in blocks of bounded memory; kernels
and nearest neighbours, whose time grows faster, learn from the sample. Either is tested on the sample, each example without itself.

In: vectors and labels. Out: numbers that heads ask for. Next: `kshot.tasks.heads.search`.
"""

from collections.abc import Callable, Hashable, Iterator
from functools import cached_property
from threading import Lock, RLock
from typing import Any, TypeVar, cast

import numpy as np

from kshot.errors import DataError
from kshot.tasks.heads.blocks import Blocks, blocks_of
from kshot.tasks.heads.feature_map import FeatureMap, default_map, fit_map, fitting_maps

MOST = 2_000
"""Examples on which heads are compared."""
_ROWS_AT_ONCE = 2**15
Value = TypeVar("Value")


class Given:
    """Examples, checked.

    Args:
        x: Vectors (n, D).
        y: Labels 0 … way - 1, (n,).
        way: N ≥ 2.
        anchors: So many examples at the end are never left out: they describe classes.

    Attributes:
        x: float32 (n, D).
        y: int64 (n,).
        way: N.
        anchors: As given.
        sample: The numbers of the m examples on which heads are compared, ascending; all, if there are at most `MOST`.

    Raises:
        DataError: They are no examples of `way` classes, or a number is not finite.
    """

    def __init__(self, x: np.ndarray, y: np.ndarray, way: int, anchors: int = 0) -> None:
        self.x, self.y = checked(x, y, way)
        self.way, self.anchors = way, anchors
        described = np.arange(len(self.y) - anchors, len(self.y))
        self.sample = np.concatenate([sample_of(self.y[: len(self.y) - anchors], way), described])
        self._known: dict[Hashable, Any] = {}
        self._lock, self._computing = Lock(), dict[Hashable, Any]()

    @property
    def whole(self) -> bool:
        """Whether the sample is all examples."""
        return len(self.sample) == len(self.y)

    @cached_property
    def sample_x(self) -> np.ndarray:
        """The vectors of the sample, float32 (m, D)."""
        return self.x if self.whole else self.x[self.sample]

    @cached_property
    def sample_y(self) -> np.ndarray:
        """The labels of the sample, int64 (m,)."""
        return self.y if self.whole else self.y[self.sample]

    @cached_property
    def counts(self) -> np.ndarray:
        """The number of examples of each class, int64 (N,)."""
        return np.bincount(self.y, minlength=self.way)

    @cached_property
    def maps(self) -> tuple[str, ...]:
        """The feature maps that the examples allow."""
        return fitting_maps(self.x)

    def default_map(self, maps: tuple[str, ...]) -> str:
        """Choose one of some feature maps where nothing can be measured."""
        return default_map(self.x, maps)

    def full(self) -> "Given":
        """Return the same examples.

        Raises:
            DataError: A class has no example.
        """
        if not self.counts.all():
            empty = int(np.flatnonzero(self.counts == 0)[0])
            raise DataError(f"every class needs an example; class {empty} has none. Give it one, or drop it.")
        return self

    def blocks(self, known: np.ndarray | None = None) -> Blocks:
        """Choose which examples of the sample are left out together, by their places in it. See `blocks_of`."""
        key = ("blocks", None if known is None else known.tobytes())
        return self.once(key, lambda: blocks_of(self.sample_x, self.sample_y, self.way, anchors=self.anchors, known=known))

    def seen_through(self, feature_map: str) -> "Seen":
        """Return the examples under a feature map."""
        return self.once(("seen", feature_map), lambda: Seen(self, feature_map))

    def once(self, key: Hashable, compute: Callable[[], Value]) -> Value:
        """Return what was computed under this key, or compute it. Of threads that ask at once, one computes and the others wait."""
        with self._lock:
            computing = self._computing.setdefault(key, RLock())
        with computing:
            if key not in self._known:
                self._known[key] = compute()
        return cast("Value", self._known[key])


class Seen:
    """Examples under a feature map f.

    Attributes:
        given: The examples.
        feature_map: f.
        z: f of the sample, float32 (m, D).
    """

    def __init__(self, given: Given, feature_map: str) -> None:
        self.given = given
        self.feature_map: FeatureMap = fit_map(feature_map, given.x)
        self.z = self.feature_map(given.sample_x)

    @property
    def by_examples(self) -> bool:
        """Whether there are no more examples than features, all of them in the sample: then their inner products say everything."""
        return self.given.whole and len(self.z) <= self.z.shape[1]

    @cached_property
    def products(self) -> np.ndarray:
        """The inner products of the sample, float64 (m, m)."""
        return self._products()

    def distances(self) -> np.ndarray:
        """Compute the squared distances of the sample, float64 (m, m), at least 0. They are not kept: of 2,000 examples, they are 32 MB."""
        found: np.ndarray = -2 * (self.products if self.by_examples else self._products())
        squares = np.diag(found) / -2
        found += squares[:, None]
        found += squares
        np.maximum(found, 0, out=found)
        return found

    def _products(self) -> np.ndarray:
        wide = self.z.astype(np.float64)
        result: np.ndarray = wide @ wide.T
        return result

    @cached_property
    def means(self) -> np.ndarray:
        """The mean of each class, float64 (N, D); 0 for a class without examples."""
        sums = np.zeros((self.given.way, self.z.shape[1]))
        for z, y in self._blocks():
            order = np.argsort(y, kind="stable")
            starts = np.flatnonzero(np.diff(y[order], prepend=-1))
            sums[y[order][starts]] += np.add.reduceat(z[order].astype(np.float64), starts, axis=0)
        sums /= np.maximum(self.given.counts, 1)[:, None]
        return sums

    @cached_property
    def origin(self) -> np.ndarray:
        """The mean of all examples, float64 (D,)."""
        result: np.ndarray = self.given.counts @ self.means / max(len(self.given.y), 1)
        return result

    @cached_property
    def scatter(self) -> np.ndarray:
        """Σ (f(x_i) - c_{y_i}) (f(x_i) - c_{y_i})ᵀ over all examples, float64 (D, D)."""
        D = self.z.shape[1]
        found = np.zeros((D, D))
        for z, y in self._blocks():
            residuals = z - self.means[y]
            found += residuals.T @ residuals
        return found

    @cached_property
    def scatter_of_means(self) -> np.ndarray:
        """Σ_k n_k (c_k - origin) (c_k - origin)ᵀ, float64 (D, D)."""
        spread = (self.means - self.origin) * np.sqrt(self.given.counts)[:, None]
        result: np.ndarray = spread.T @ spread
        return result

    @cached_property
    def mean_square(self) -> float:
        """The mean squared length of f(x) over all examples."""
        total = sum(float(np.einsum("nd,nd->", z, z, dtype=np.float64)) for z, _ in self._blocks())
        return total / max(len(self.given.y), 1)

    def _blocks(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield f of all examples, and their labels, some rows at a time."""
        if not len(self.given.y):
            return
        if self.given.whole:
            yield self.z, self.given.y
            return
        for start in range(0, len(self.given.y), _ROWS_AT_ONCE):
            part = slice(start, start + _ROWS_AT_ONCE)
            yield self.feature_map(self.given.x[part]), self.given.y[part]


def sample_of(y: np.ndarray, way: int, most: int = MOST) -> np.ndarray:
    """Draw the examples on which heads are compared, with a fixed seed: each class in proportion, and with two if it has two.

    Args:
        y: Labels, int64 (n,).
        way: N.
        most: About how many to draw.

    Returns:
        Their numbers, int64 (m,), ascending; all, if there are at most `most`.
    """
    if len(y) <= most:
        return np.arange(len(y))
    rng = np.random.default_rng(0)
    counts = np.bincount(y, minlength=way)
    wanted = np.maximum(counts * most // len(y), np.minimum(counts, 2))
    order = rng.permutation(len(y))
    order = order[np.argsort(y[order], kind="stable")]  # by class, in a random order within each
    rank = np.arange(len(y)) - np.repeat(np.cumsum(counts) - counts, counts)
    return np.sort(order[rank < np.repeat(wanted, counts)])


def checked(x: np.ndarray, y: np.ndarray, way: int) -> tuple[np.ndarray, np.ndarray]:
    """Return examples as float32 (n, D) and int64 (n,).

    Args:
        x: Vectors.
        y: Labels.
        way: N.

    Raises:
        DataError: They are no examples of `way` classes, or a number is not finite.
    """
    x, y = np.asarray(x), np.asarray(y)
    if way < 2:
        raise DataError(f"telling classes apart needs at least 2 of them; found {way}. Give examples of another class.")
    if x.ndim != 2 or x.dtype.kind not in "fiub" or x.shape[1] == 0:
        raise DataError(f"examples must be vectors of numbers (n, D); found {x.dtype} {x.shape}.")
    if y.shape != x.shape[:1] or y.dtype.kind not in "iu":
        raise DataError(f"labels must be whole numbers, one per example ({len(x)}); found {y.dtype} {y.shape}.")
    x, y = x.astype(np.float32, copy=False), y.astype(np.int64, copy=False)
    if len(y) and (y.min() < 0 or y.max() >= way):
        raise DataError(f"labels of {way} classes are 0 to {way - 1}; found {y.min()} to {y.max()}.")
    if not np.isfinite(x).all():
        row = int(np.flatnonzero(~np.isfinite(x).all(1))[0])
        raise DataError(f"every number must be finite; found NaN or infinity in example {row}. Repair or drop it.")
    return x, y
