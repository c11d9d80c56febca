"""The choice of a regressor: by the squared error of its left-out answers.

In: examples and regressors. Out: a `RegressorChoice`: the fitted winner, its left-out answers, and whether it is really better than the
next one, paired row by row. Next: `kshot.tasks.regression.fit`.

The best of many settings looks a little better than it is. By how much is measured as in `kshot.tasks.heads.choose` (Tsamardinos and
others, 2018): choose on a resample of the rows, and score the choice on the rows that are not in it.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from kshot.errors import RecipeError, known_ones
from kshot.results.compare.paired import Difference, paired_difference
from kshot.tasks.heads.blas_threads import on_one_thread
from kshot.tasks.regression.nearest import Nearest
from kshot.tasks.regression.regressor import FittedRegressor, Regressor
from kshot.tasks.regression.ridge import Ridge

REGRESSORS: dict[str, Regressor] = {"ridge": Ridge(), "nearest": Nearest()}
MOST = 5_000
"""Rows on which regressors are compared; of more, they are drawn with a fixed seed."""
_RESAMPLES = 200


@dataclass(frozen=True)
class RegressorStanding:
    """What one regressor reached.

    Attributes:
        name: Its name.
        settings: Its best settings.
        rmse: Root of the mean squared error of its left-out answers, in the target's units.
        behind: Its squared errors less those of the chosen one, paired row by row; 0 ± 0 for the chosen one. A row takes the place of an
            episode in its counts.
    """

    name: str
    settings: dict[str, float]
    rmse: float
    behind: Difference


@dataclass(frozen=True, eq=False)
class RegressorChoice:
    """The chosen regressor.

    Attributes:
        name: Its name.
        fitted: The regressor, fitted to all examples.
        left_out: Its left-out answers for the rows of `sample`, float64 (m,).
        sample: The numbers of the m rows that regressors were compared on, int64 (m,), ascending: all n, unless there are very many.
        total: n.
        standings: All regressors, the one of the smallest error first.
        optimism: By how much the RMSE is too small because it was chosen, at least 0.
    """

    name: str
    fitted: FittedRegressor
    left_out: np.ndarray
    sample: np.ndarray
    total: int
    standings: tuple[RegressorStanding, ...]
    optimism: float

    def as_dict(self) -> dict[str, Any]:
        """Return what a record holds, in values that JSON has."""
        return {
            "name": self.name,
            "standings": [asdict(one) for one in self.standings],
            "examples": len(self.sample),
            "total": self.total,
            "optimism": self.optimism,
        }

    def __str__(self) -> str:
        """Say in a sentence which one was chosen, and whether the next one differs; and of very many rows, on which."""
        if len(self.sample) == self.total:
            return self._reason()
        learned = "learned from all of them" if self.fitted.form == "linear" else "holds these alone"
        return f"{self._reason()} It was chosen on {len(self.sample):,} of {self.total:,} rows, and {learned}."

    def _reason(self) -> str:
        first, *others = self.standings
        settings = ", ".join(f"{name} {value:.3g}" for name, value in first.settings.items())
        told = f"{self.name} ({settings})"
        if not others:
            return f"{told}, the only one that was tried."
        second = others[0]
        real = "a real difference" if second.behind.differs else "no real difference"
        return (
            f"{told}, whose left-out answers have the smallest error (RMSE {first.rmse:.4g}, next {second.name} {second.rmse:.4g}; {real})."
        )


def regressor_named(name: str) -> Regressor:
    """Return the regressor of a name.

    Raises:
        RecipeError: There is none.
    """
    if name not in REGRESSORS:
        raise RecipeError(f"there is no regressor {name!r}.{known_ones(name, REGRESSORS)}")
    return REGRESSORS[name]


@on_one_thread
def choose_regressor(x: np.ndarray, y: np.ndarray, regressors: Sequence[Regressor] = ()) -> RegressorChoice:
    """Choose a regressor by its left-out answers, and fit it to all examples.

    Args:
        x: Finite vectors, float32 (n, D), n ≥ 3.
        y: Finite targets, float64 (n,).
        regressors: Those to try; if there are none, all of `REGRESSORS`.
    """
    regressors = tuple(regressors) or tuple(REGRESSORS.values())
    n, sample = len(x), np.arange(len(x))
    if n > MOST:
        sample = np.sort(np.random.default_rng(0).permutation(n)[:MOST])
    part = None if n <= MOST else sample
    answers = [one.left_out(x, y, part) for one in regressors]
    squares = [np.square(y[sample, None] - one.values) for one in answers]
    bests = [int(one.mean(0).argmin()) for one in squares]
    errors = [square[:, best] for square, best in zip(squares, bests, strict=True)]
    order = sorted(range(len(regressors)), key=lambda place: float(errors[place].mean()))
    first = order[0]
    standings = tuple(
        RegressorStanding(
            regressors[place].name,
            dict(answers[place].settings[bests[place]]),
            math.sqrt(errors[place].mean()),
            paired_difference(errors[place], errors[first]),
        )
        for place in order
    )
    chosen = regressors[first]
    fitted = chosen.fit(x, y, standings[0].settings, part)
    left_out = answers[first].values[:, bests[first]]
    optimism = _optimism(np.concatenate(squares, axis=1))
    return RegressorChoice(chosen.name, fitted, left_out, sample, n, standings, optimism)


def _optimism(squares: np.ndarray) -> float:
    """Return by how much the smallest RMSE of S settings is too small for having been chosen, from squared errors (n, S).

    It is the RMSE of choices on the rows that they were not made on, over all resamples, less the smallest RMSE, and at least 0.
    """
    n, S = squares.shape
    if S < 2:
        return 0.0
    rng = np.random.default_rng(0)
    total, asked = 0.0, 0
    for _ in range(_RESAMPLES):
        counts = np.bincount(rng.integers(0, n, n), minlength=n)
        outside = squares[counts == 0, int((counts @ squares).argmin())]
        total, asked = total + float(outside.sum()), asked + len(outside)
    return max(0.0, math.sqrt(total / asked) - math.sqrt(squares.mean(0).min())) if asked else 0.0
