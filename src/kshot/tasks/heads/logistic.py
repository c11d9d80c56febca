"""Logistic regression, its strength cross-validated, by scikit-learn.

    minimise over W, b:  -Σ_i log softmax(f(x_i) W + b)_{y_i} + ‖W‖² / (2 C)

It has no closed form, so examples are left out in stratified folds that are drawn several times; of very many, those of a sample. C is the
one under which these answers are most likely; the head is then fitted to all examples. Fitting needs scikit-learn; the fitted head is
affine and needs it no more. In: examples. Out: an affine head.
"""

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np

from kshot.errors import missing_extra
from kshot.tasks.heads.answer import log_softmax
from kshot.tasks.heads.feature_map import AS_THEY_ARE
from kshot.tasks.heads.folds import by_folds, fold_count
from kshot.tasks.heads.given import Given
from kshot.tasks.heads.head import FittedHead, LeftOut, Settled, Settling
from kshot.tasks.heads.search import not_alone

STRENGTHS = tuple(float(one) for one in np.logspace(-2, 4, 7))
"""C, as a multiple of 1 / the mean squared length of f(x)."""
DEFAULT_STRENGTH = 10.0
FOLDS = 5
_MOST_STEPS = 1000


@dataclass(frozen=True)
class Logistic(Settling):
    """Logistic regression.

    Attributes:
        feature_map: The feature map.
        repeats: How often the folds are drawn.
    """

    feature_map: str = AS_THEY_ARE
    repeats: int = 2
    name = "logistic"

    @property
    def side_by_side(self) -> bool:
        """False: scikit-learn's warnings are silenced while it fits, for all threads."""
        return False

    def settle(self, given: Given) -> Settled:
        """Choose C. See `Head.settle`; descriptions at the end are dealt into the folds as examples are.

        Raises:
            DataError: As for every head.
            SetupError: scikit-learn is not installed.
        """
        seen = given.full().seen_through(self.feature_map)
        mapped, way = seen.feature_map, given.way
        left_out, strengths, T = self._left_out(seen.z, given.sample_y, way)

        def fit() -> FittedHead:
            z, y = (seen.z if given.whole else mapped(given.x)), given.y
            C = strengths[left_out.kept] / _size(z)
            weights, bias = _fit(z, y, way, [C])[0]
            arrays = {"weights": weights.astype(np.float32), "bias": bias.astype(np.float32), **mapped.arrays}
            return FittedHead("affine", mapped.name, arrays, T, {"inverse_regularisation": C})

        return Settled(left_out, fit)

    def _left_out(self, z: np.ndarray, y: np.ndarray, way: int) -> tuple[LeftOut, tuple[float, ...], float]:
        """Return the left-out answers, the strengths that were tried, and T = 1: the answers are probabilities as they are."""
        scored, n = not_alone(y, way), len(y)
        strengths = STRENGTHS if scored.any() else (DEFAULT_STRENGTH,)
        inverse = [one / _size(z) for one in strengths]

        def answers(fit_on: np.ndarray, rows: np.ndarray) -> np.ndarray:
            fits = _fit(z[fit_on], y[fit_on], way, inverse)
            return np.stack([log_softmax(z[rows] @ weights + bias) for weights, bias in fits], axis=1)  # (m, S, N)

        sums, times = np.zeros((n, len(strengths), way)), np.zeros(n)
        for rows, found in by_folds(y, way, FOLDS, self.repeats, answers):
            sums[rows] += found
            times[rows] += 1
        rows = np.flatnonzero(scored)
        means = sums[rows] / times[rows][:, None, None]  # of log-probabilities: a geometric mean, brought back to sum 1
        means = np.stack([log_softmax(means[:, place]) for place in range(len(strengths))], axis=1)
        own = means[np.arange(len(rows)), :, y[rows]]  # (m, S)
        kept = int(own.mean(0).argmax()) if len(rows) else 0
        log_probabilities = np.full((n, way), np.nan)
        log_probabilities[rows] = means[:, kept]
        how = f"{fold_count(y, FOLDS)} stratified folds, drawn {self.repeats} times"
        return LeftOut(log_probabilities, scored, how, rows, own, means.argmax(2) == y[rows][:, None], kept), strengths, 1.0


def _size(z: np.ndarray) -> float:
    return float(np.square(z, dtype=np.float64).sum(1).mean()) or 1.0


def _fit(z: np.ndarray, y: np.ndarray, way: int, inverse: list[float]) -> list[tuple[np.ndarray, np.ndarray]]:
    """Fit one regression per C, ascending: weights float64 (D, N) and intercepts (N,), for each.

    W lies in the span of the examples, so the problem is solved there: with fewer examples than features it is smaller.
    """
    LogisticRegression = _scikit_learn()
    wide = z.astype(np.float64)
    basis = np.linalg.qr(wide.T)[0] if len(wide) < wide.shape[1] else None  # (D, n)
    inside = wide if basis is None else wide @ basis
    fits = []
    model = LogisticRegression(max_iter=_MOST_STEPS, warm_start=True)
    for C in inverse:
        model.set_params(C=C)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a fit cut off at the most steps is judged by its left-out answers like any other
            model.fit(inside, y)
        slopes, intercepts = (model.coef_, model.intercept_) if len(model.classes_) > 2 else _of_two(model.coef_, model.intercept_)
        weights, bias = np.zeros((wide.shape[1], way)), np.full(way, -np.inf)
        weights[:, model.classes_] = slopes.T if basis is None else basis @ slopes.T
        bias[model.classes_] = intercepts
        fits.append((weights, bias))
    return fits


def _of_two(slopes: np.ndarray, intercepts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the sigmoid of two classes as a softmax: logits (0, s) become (-s/2, s/2)."""
    return np.concatenate([-slopes, slopes]) / 2, np.concatenate([-intercepts, intercepts]) / 2


def _scikit_learn() -> Any:
    try:
        from sklearn.linear_model import LogisticRegression
    except ImportError:
        raise missing_extra("scikit-learn", "tables", "Logistic regression") from None
    return LogisticRegression
