"""Episodes of chosen difficulty: classes that lie near each other, or far apart.

In: the distance between each two classes (`ClassDistances`), and random words. Out: the classes of each episode. Next:
`kshot.episodes.draw`, which draws their items. `kshot.episodes.centres` measures the distances on the items.
"""

import hashlib
from dataclasses import dataclass
from typing import Literal

import numpy as np

from kshot.data.class_index import ClassIndex
from kshot.episodes.counter_random import below, words
from kshot.episodes.sample import sample_without_replacement
from kshot.errors import EpisodeError

Nearness = Literal["any", "near", "far"]

_NEAR, _FAR = 2, 4
"""Near classes are drawn from the 2·(N - 1) nearest to the first class; far ones are chosen from 4·(N - 1) random ones."""
_ROWS = 256
_CELLS = 1 << 22


@dataclass(frozen=True, eq=False)
class ClassDistances:
    """The distance between each two classes.

    Attributes:
        names: Names of the classes, in the order of the index that episodes are drawn from.
        table: Squared Euclidean distance between each two centres, in a unit that depends on the centres, float32 (C, C).
        fingerprint: SHA-256 of names and centres in hexadecimal; part of the identity of an episode.
    """

    names: tuple[str, ...]
    table: np.ndarray
    fingerprint: str

    @classmethod
    def of(cls, index: ClassIndex, centres: np.ndarray) -> "ClassDistances":
        """Compute the distances between centres.

        The centres are rounded to whole numbers that are small enough to make every sum below exact. Which of two classes is nearer
        is therefore the same on every machine, in whatever order it adds.

        Args:
            index: The classes that episodes are drawn from.
            centres: One row per class, in the order of `index`: real numbers (C, D).

        Raises:
            EpisodeError: There is not one row per class, a row is not finite, or all rows are the same.
        """
        rows = np.asarray(centres)
        if rows.ndim != 2 or len(rows) != len(index) or rows.shape[1] < 1 or not np.issubdtype(rows.dtype, np.number):
            raise EpisodeError(
                f"class centres must be one row of numbers per class, ({len(index)}, D) for these {len(index)} classes; "
                f"found {rows.dtype} {rows.shape}. Give the centres of the classes that episodes are drawn from."
            )
        rows = rows.astype(np.float64)
        if not (finite := np.isfinite(rows).all(1)).all():
            name = index.names[int(np.argmin(finite))]
            raise EpisodeError(
                f"class centres must be finite; the centre of class {name!r} is not ({int((~finite).sum())} of {len(rows)} are not). "
                "Look for NaN in the features."
            )
        rows = rows - rows[:1]  # distances do not change, and no digits are spent on what all centres share
        largest = float(np.abs(rows).max())
        if largest == 0:
            raise EpisodeError(f"the centres of all {len(rows)} classes are the same, so none is near or far. Use other features.")
        bits = (51 - int(np.ceil(np.log2(rows.shape[1])))) // 2  # 4·D·2^(2·bits) ≤ 2^53, the largest exact whole number
        whole = np.rint(rows / largest * 2.0**bits)
        digest = hashlib.sha256("\0".join(index.names).encode("utf-8", "surrogateescape"))
        digest.update(np.array(whole.shape, dtype="<i8").tobytes() + whole.astype("<i8").tobytes())
        return cls(index.names, _squared_distances(whole), digest.hexdigest())


def _squared_distances(whole: np.ndarray) -> np.ndarray:
    """Return the squared distances, float32 (C, C), between rows of whole numbers (C, D)."""
    C = len(whole)
    squares = np.square(whole).sum(1)
    table = np.empty((C, C), dtype=np.float32)
    rows = max(1, _CELLS // C)
    for start in range(0, C, rows):
        part = slice(start, start + rows)
        table[part] = squares[part, None] + squares[None] - 2 * (whole[part] @ whole.T)  # exact, then rounded once
    return table


def least_classes(way: int, nearness: Nearness) -> int:
    """Return how many classes are needed to draw `way` of them: twice as many for near or far classes."""
    return way if nearness == "any" else 2 * way


def check_distances(distances: ClassDistances | None, index: ClassIndex, nearness: Nearness) -> None:
    """Raise an error unless the distances are there and belong to these classes.

    Raises:
        EpisodeError: There are no distances, or they belong to other classes.
    """
    if distances is None:
        raise EpisodeError(
            f"nearness={nearness!r} needs the distances between the classes; none were given. "
            "Measure them with pixel_distances(dataset, index), or ClassDistances.of(index, centres)."
        )
    if distances.names != index.names:
        other = next((name for name in index.names if name not in set(distances.names)), None)
        what = "the order of the classes differs" if other is None else f"class {other!r} is not in the table"
        raise EpisodeError(
            f"the distances belong to other classes: {len(distances.names)} in the table, {len(index)} to draw from; {what}. "
            "Measure them for the classes that episodes are drawn from."
        )


@dataclass(frozen=True, eq=False)
class Candidates:
    """The classes from which each of B episodes may draw.

    Attributes:
        members: Class positions, one group after another, int64 (C,).
        starts: Where the group of each episode begins in `members`, int64 (B,).
        counts: Number of classes in that group, int64 (B,).
        smallest: A lower bound of all counts that does not depend on which episodes are drawn together.
        largest: An upper bound of all counts that does not depend on it either.
    """

    members: np.ndarray
    starts: np.ndarray
    counts: np.ndarray
    smallest: int
    largest: int

    def at(self, ranks: np.ndarray) -> np.ndarray:
        """Return the class positions (B, n) for the ranks (n, B) within each episode's group."""
        classes: np.ndarray = self.members[self.starts + ranks].T
        return classes


def draw_related(nearness: Nearness, candidates: Candidates, table: np.ndarray, seeds: np.ndarray, start: int, way: int) -> np.ndarray:
    """Draw different classes for each episode, near each other or far apart, in random order.

    Near: draw a first class at random, then N - 1 at random from its 2·(N - 1) nearest. Far: draw a first class and 4·(N - 1) more at
    random (all classes if there are fewer). Then choose from these, one after another, the class whose nearest chosen class is farthest
    away.

    Args:
        nearness: `near` or `far`.
        candidates: The classes from which each of B episodes draws, at least `least_classes`.
        table: From `ClassDistances`.
        seeds: The random stream of each episode, uint64 (B,).
        start: The first word of the stream to use.
        way: N.

    Returns:
        Class positions, int64 (B, N). Every order of the same classes is equally likely.
    """
    choose = _near if nearness == "near" else _far
    rows = [slice(row, row + _ROWS) for row in range(0, len(seeds), _ROWS)]
    parts = [choose(_rows(candidates, part), table, seeds[part], start, way) for part in rows]
    classes = np.concatenate(parts) if parts else np.empty((0, way), dtype=np.int64)
    order = sample_without_replacement(seeds, start + candidates.largest, way, np.full(len(seeds), way), way)
    shuffled: np.ndarray = np.take_along_axis(classes, order.T, axis=1)
    return shuffled


def _rows(candidates: Candidates, part: slice) -> Candidates:
    return Candidates(candidates.members, candidates.starts[part], candidates.counts[part], candidates.smallest, candidates.largest)


def _near(candidates: Candidates, table: np.ndarray, seeds: np.ndarray, start: int, way: int) -> np.ndarray:
    first = candidates.at(below(words(seeds, start, 1), candidates.counts))  # (B, 1)
    ranks = np.arange(candidates.largest)[:, None]
    there = (ranks < candidates.counts).T  # (B, L)
    classes = candidates.at(np.minimum(ranks, candidates.counts - 1))  # (B, L)
    distance = np.where(there & (classes != first), table[first, classes], np.float32(np.inf))
    k = _NEAR * (way - 1)
    nearest = np.argsort(distance, axis=1, kind="stable")[:, :k]  # at equal distances, the class that comes first wins
    pool = np.take_along_axis(classes, nearest, axis=1)
    chosen = sample_without_replacement(seeds, start + 1, way - 1, np.full(len(seeds), k), k).T
    return np.concatenate([first, np.take_along_axis(pool, chosen, axis=1)], axis=1)


def _far(candidates: Candidates, table: np.ndarray, seeds: np.ndarray, start: int, way: int) -> np.ndarray:
    size = min(_FAR * (way - 1) + 1, candidates.smallest)
    pool = candidates.at(sample_without_replacement(seeds, start, size, candidates.counts, candidates.largest))  # (B, size)
    each = np.arange(len(pool))
    chosen = np.zeros((len(pool), way), dtype=np.int64)  # places in the pool; the first class is the one in place 0
    nearest = np.full(pool.shape, np.inf, dtype=np.float32)  # from each class of the pool to the nearest chosen one
    for n in range(1, way):
        last = chosen[:, n - 1]
        nearest = np.minimum(nearest, table[pool[each, last][:, None], pool])
        nearest[each, last] = -1  # never chosen again: no distance is negative
        chosen[:, n] = nearest.argmax(1)
    return np.take_along_axis(pool, chosen, axis=1)
