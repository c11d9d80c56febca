"""Shift: how far classes lie from the training classes of a learner, in a space of vectors: its features, or the pixels.

In: centres of training classes and of other classes. Out: a `Shift`. It has, for each class, the distance from its centre to the nearest
centre of a training class; and for each part of the classes, one number that compares it with the training classes as a whole. Next:
`kshot.results.inspect.task_report`.

The unit of all distances is the median distance among the training classes (from each to the nearest *other* one). Turned copies of one
character are kin. A class is never compared with its own kin: otherwise the training classes, which have kin among each other, would look
closer together than they are.

The one number is the maximum mean discrepancy of the centres, with a permutation test (A. Gretton, K. M. Borgwardt, M. J. Rasch, B.
Schölkopf, A. Smola, "A Kernel Two-Sample Test", Journal of Machine Learning Research 13, 2012, equation 5; the width of the Gaussian kernel
is the median distance, as in section 8 there):

    MMD² = mean k(x, x') + mean k(y, y') - 2 mean k(x, y),    k(x, y) = exp(-‖x - y‖² / 2σ²),  0 ≤ MMD² ≤ 2

It says whether the classes look as if drawn from one distribution; p says how often a random division of the same classes is as far apart.
It does not say that the learner does worse on them, or on which of them. With more classes it becomes more certain, not larger. It has no
unit, so values of different spaces or data sets cannot be compared.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from kshot.errors import DataError

_PERMUTATIONS = 199
_MOST = 1000
"""The discrepancy uses at most this many classes of a part, evenly spread."""


@dataclass(frozen=True)
class Discrepancy:
    """How differently two sets of centres are spread.

    Attributes:
        mmd2: MMD², 0 … 2.
        by_chance: Mean of MMD² over random divisions of the same classes.
        p: Share of the divisions, with this one among them, that have at least this MMD²; at least 1/200.
    """

    mmd2: float
    by_chance: float
    p: float


@dataclass(frozen=True, eq=False)
class Centres:
    """Classes of one part in one space.

    Attributes:
        names: Names of the classes.
        kin: For each class, a name that it shares with its turned copies and with no other class. As many as `names`.
        rows: Centres, float64 (C, D).
    """

    names: tuple[str, ...]
    kin: tuple[str, ...]
    rows: np.ndarray


@dataclass(frozen=True, eq=False)
class Shift:
    """The distances of parts of the classes from the training classes.

    Attributes:
        space: `features` or `pixels`.
        unit: Median distance from a training class to the nearest other one, as measured in this space.
        names: Names of the classes of each part; `train` comes first.
        nearest: Distance from each class to the nearest training class, in units of `unit`, float64 (C,), by part.
        discrepancy: Discrepancy of each part except `train`.
    """

    space: str
    unit: float
    names: Mapping[str, tuple[str, ...]]
    nearest: Mapping[str, np.ndarray]
    discrepancy: Mapping[str, Discrepancy]

    def median(self, part: str) -> float:
        """Return the median of the distances of a part. It is 1 for `train`."""
        return float(np.median(self.nearest[part]))

    def beyond(self, part: str) -> float:
        """Return the share of a part's classes that lie farther out than 95 % of the training classes."""
        return float((self.nearest[part] > np.quantile(self.nearest["train"], 0.95)).mean())


def kin_of(names: Sequence[str], groups: Sequence[str] | None) -> tuple[str, ...]:
    """Return the name that each class shares with its turned copies: its name without the last part, if this is more than the group.

    Example:
        >>> kin_of(["Greek/character01/rot000", "Greek/character01/rot090", "Greek/character02"], ["Greek", "Greek", "Greek"])
        ('Greek/character01', 'Greek/character01', 'Greek/character02')
    """
    groups = [""] * len(names) if groups is None else groups
    beginnings = [name.rpartition("/")[0] for name in names]
    return tuple(
        beginning if group and beginning.startswith(f"{group}/") else name
        for name, beginning, group in zip(names, beginnings, groups, strict=True)
    )


def measure_shift(space: str, train: Centres, others: Mapping[str, Centres]) -> Shift:
    """Measure distances and discrepancies from the training classes.

    Args:
        space: The space of the centres, `features` or `pixels`.
        train: The training classes. At least two must not be kin.
        others: Other parts, by name.

    Raises:
        DataError: There are too few training classes, or most of them share their centre with another one.
    """
    if len(set(train.kin)) < 2:
        raise DataError(
            f"distances from training classes need at least two of these that are not copies of each other; found "
            f"{len(set(train.kin))}: {', '.join(train.names[:4])}."
        )
    kin, code = np.unique(np.array(train.kin), return_inverse=True)
    codes = {name: position for position, name in enumerate(kin.tolist())}
    distances = {part: _nearest(one, train.rows, code.reshape(-1), codes) for part, one in {"train": train, **others}.items()}
    unit = float(np.median(distances["train"]))
    if unit == 0:
        raise DataError(
            f"more than half of the {len(train.names)} training classes share their centre with another one, so distances have no unit."
        )
    return Shift(
        space,
        unit,
        {"train": train.names, **{part: one.names for part, one in others.items()}},
        {part: values / unit for part, values in distances.items()},
        {part: discrepancy(train, one) for part, one in others.items()},
    )


def discrepancy(a: Centres, b: Centres, *, permutations: int = _PERMUTATIONS, seed: int = 0) -> Discrepancy:
    """Compute MMD² of two sets of centres, with its permutation test. Kin stay together in every division."""
    places = [_spread(len(one.names)) for one in (a, b)]
    rows = np.concatenate([one.rows[place] for one, place in zip((a, b), places, strict=True)])
    kin = [np.array(one.kin)[place] for one, place in zip((a, b), places, strict=True)]
    units, unit = np.unique(
        np.concatenate([np.char.add(f"{side} ", names) for side, names in zip("ab", kin, strict=True)]), return_inverse=True
    )
    unit = unit.reshape(-1)
    in_b = np.arange(len(rows)) >= len(places[0])
    n_b = len(np.unique(unit[in_b]))
    random = np.random.Generator(np.random.Philox(seed))
    divisions = [in_b]
    for _ in range(permutations):
        chosen = np.zeros(len(units), dtype=bool)
        chosen[random.permutation(len(units))[:n_b]] = True
        divisions.append(chosen[unit])
    sides = np.stack(divisions, axis=1)  # (n, 1 + permutations)
    weights = np.where(sides, 1 / sides.sum(0), -1 / (~sides).sum(0))
    squares = squared_distances(rows, rows)
    width = float(np.median(squares[np.triu_indices(len(rows), 1)]))
    kernel = np.exp(squares / (-2 * width if width > 0 else -1.0))
    values = (weights * (kernel @ weights)).sum(0)
    return Discrepancy(float(values[0]), float(values[1:].mean()), float((values >= values[0] * (1 - 1e-9)).mean()))


def squared_distances(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the squared distances between rows (m, D) and (n, D), float64 (m, n)."""
    squares: np.ndarray = np.maximum(np.square(a).sum(1)[:, None] + np.square(b).sum(1)[None] - 2 * (a @ b.T), 0)
    return squares


def _nearest(one: Centres, train: np.ndarray, train_kin: np.ndarray, codes: Mapping[str, int]) -> np.ndarray:
    """Return the distance from each class to the nearest training class that is not its kin, (C,)."""
    own = np.array([codes.get(name, -1) for name in one.kin])
    found = np.empty(len(own))
    for start in range(0, len(own), 512):
        part = slice(start, start + 512)
        squares = np.where(own[part, None] == train_kin[None], np.inf, squared_distances(one.rows[part], train))
        found[part] = np.sqrt(squares.min(1))
    return found


def _spread(size: int) -> np.ndarray:
    count = min(size, _MOST)
    return np.arange(count) * size // count
