"""How far classes lie from those a learner was trained on, in a space of vectors: its own features, or the pixels.

In: centres of training classes and of other classes. Out: a `Shift`: of each class, the distance from its centre to the nearest centre of
a training class, and for each part of the classes one number that compares it with the training classes as a whole. Next:
`kshot.results.inspect.task_report`.

The distances of the training classes among themselves (each to the nearest *other* one) are the measure: all distances are given in
units of their median. Turned copies of one character are kin, not strangers: a class is compared with no kin of its own, or training
classes, which have kin among each other, would look closer together than they are.

The one number is the maximum mean discrepancy of the centres, with a permutation test (A. Gretton, K. M. Borgwardt, M. J. Rasch, B.
Schölkopf, A. Smola, "A Kernel Two-Sample Test", Journal of Machine Learning Research 13, 2012, equation 5; the Gaussian kernel has the
median distance as its width, as there in section 8):

    MMD² = mean k(x, x') + mean k(y, y') - 2 mean k(x, y),    k(x, y) = exp(-‖x - y‖² / 2σ²),  0 ≤ MMD² ≤ 2

It says whether the classes look drawn from one distribution, and p how often a random division of the same classes is as far apart. It
does not say that the learner does worse on them, nor on which; it grows more certain, not larger, with more classes; and it has no unit,
so that values of different spaces or data sets are not to be compared.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from kshot.errors import DataError

_PERMUTATIONS = 199
_MOST = 1000
"""The discrepancy looks at most at this many classes of a part, evenly spread."""


@dataclass(frozen=True)
class Discrepancy:
    """How differently two sets of centres are spread.

    Attributes:
        mmd2: MMD², 0 … 2.
        by_chance: Its mean over random divisions of the same classes.
        p: The part of the divisions, this one included, with at least as much; at least 1/200.
    """

    mmd2: float
    by_chance: float
    p: float


@dataclass(frozen=True, eq=False)
class Centres:
    """Classes of one part in one space.

    Attributes:
        names: Of the classes.
        kin: Of each class, what it shares with its turned copies: different for strangers. As many as names.
        rows: float64 (C, D).
    """

    names: tuple[str, ...]
    kin: tuple[str, ...]
    rows: np.ndarray


@dataclass(frozen=True, eq=False)
class Shift:
    """How far parts of the classes lie from the training classes.

    Attributes:
        space: `features` or `pixels`.
        unit: The median distance from a training class to the nearest other one, in the space's own measure.
        names: Of the classes of each part; `train` comes first.
        nearest: From each class to the nearest training class, in units of `unit`, float64 (C,), by part.
        discrepancy: Of each part but `train`.
    """

    space: str
    unit: float
    names: Mapping[str, tuple[str, ...]]
    nearest: Mapping[str, np.ndarray]
    discrepancy: Mapping[str, Discrepancy]

    def median(self, part: str) -> float:
        """The median of a part's distances; that of `train` is 1."""
        return float(np.median(self.nearest[part]))

    def beyond(self, part: str) -> float:
        """Which part of its classes lies farther out than 95 in 100 training classes."""
        return float((self.nearest[part] > np.quantile(self.nearest["train"], 0.95)).mean())


def kin_of(names: Sequence[str], groups: Sequence[str] | None) -> tuple[str, ...]:
    """What classes share with their turned copies: the name without its last part, where this is more than the group.

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
    """Distances and discrepancies from the training classes.

    Args:
        space: What the centres are of.
        train: The training classes; at least two that are no kin.
        others: Other parts, by name.

    Raises:
        DataError: The training classes are too few, or all in one place.
    """
    if len(set(train.kin)) < 2:
        raise DataError(
            f"how far classes lie from training classes needs two of these; found {len(set(train.kin))}: {', '.join(train.names[:4])}."
        )
    kin, code = np.unique(np.array(train.kin), return_inverse=True)
    codes = {name: position for position, name in enumerate(kin.tolist())}
    distances = {part: _nearest(one, train.rows, code.reshape(-1), codes) for part, one in {"train": train, **others}.items()}
    unit = float(np.median(distances["train"]))
    if unit == 0:
        raise DataError(
            f"more than half of the {len(train.names)} training classes share their centre with another, so that distances have no measure."
        )
    return Shift(
        space,
        unit,
        {"train": train.names, **{part: one.names for part, one in others.items()}},
        {part: values / unit for part, values in distances.items()},
        {part: discrepancy(train, one) for part, one in others.items()},
    )


def discrepancy(a: Centres, b: Centres, *, permutations: int = _PERMUTATIONS, seed: int = 0) -> Discrepancy:
    """MMD² of two sets of centres, with its permutation test; kin stay together in every division."""
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
    """Of rows (m, D) and (n, D), float64 (m, n)."""
    squares: np.ndarray = np.maximum(np.square(a).sum(1)[:, None] + np.square(b).sum(1)[None] - 2 * (a @ b.T), 0)
    return squares


def _nearest(one: Centres, train: np.ndarray, train_kin: np.ndarray, codes: Mapping[str, int]) -> np.ndarray:
    """From each class to the nearest training class that is no kin of it, (C,)."""
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
