"""Ridge regression in closed form, its strength chosen by left-out answers in closed form.

A. E. Hoerl, R. W. Kennard, "Ridge regression: biased estimation for nonorthogonal problems", Technometrics 12, 1970:

    (b, w) = argmin ‖y - b - X w‖² + λ ‖w‖²

The intercept b is not penalised, so X and y are centred. With X - mean = U S Vᵀ, the residual of example i that was not fitted to it is
its fitted residual over 1 - hᵢ, the identity of D. M. Allen, "The relationship between variable selection and data augmentation and a
method for prediction", Technometrics 16, 1974:

    hᵢ = 1/n + Σⱼ Uᵢⱼ² sⱼ² / (sⱼ² + λ)

Both are summed here as what lies outside of U and what λ leaves inside of it, which keeps the digits where hᵢ is almost 1. The columns'
means and deviations, which no target enters, are those of all examples. Of very many examples, S and V are those of the triangle R of
X - mean = Q R, which is found in blocks of rows (G. H. Golub, C. F. Van Loan, "Matrix Computations", 2013, section 5.2), and the rows of U
follow from them for those examples that are tested. In: standardised columns. Out: a `FittedRegressor`.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from kshot.tasks.regression.regressor import FittedRegressor, LeftOutValues

STRENGTHS = tuple(10.0 ** (half / 2) for half in range(-12, 7))
"""λ / n, the strength per example; a standardised column has the sum of squares n."""
_RANK = 1e-10
"""A direction whose singular value is below this share of the largest one is none."""
_AT_ONCE = 16_384
"""Rows that are decomposed at once."""


class Ridge:
    """Ridge regression."""

    name = "ridge"

    def left_out(self, x: np.ndarray, y: np.ndarray, sample: np.ndarray | None = None) -> LeftOutValues:
        """Answer every example of the sample without itself, under every strength; all examples are learned from."""
        n = len(x)
        found = _decomposed(x, y)
        rows = np.arange(n) if sample is None else sample
        U, s, target = found.rows(x, rows), found.singular, y[rows] - y.mean()
        outside, free = target - U @ found.along, np.maximum(1 - 1 / n - np.square(U).sum(1), 0)  # (m,), (m,)
        free[free < 1e-12] = 0
        outside[free == 0] = 0
        answers = np.empty((len(rows), len(STRENGTHS)))
        for place, strength in enumerate(STRENGTHS):
            shrunk = strength * n / (s**2 + strength * n)  # (r,)
            answers[:, place] = y[rows] - (outside + U @ (shrunk * found.along)) / (free + np.square(U) @ shrunk)
        return LeftOutValues(answers, [{"strength": strength} for strength in STRENGTHS])

    def fit(self, x: np.ndarray, y: np.ndarray, settings: Mapping[str, float], sample: np.ndarray | None = None) -> FittedRegressor:
        """Fit to all examples under one strength."""
        found = _decomposed(x, y)
        s = found.singular
        weights = found.directions.T @ (s / (s**2 + settings["strength"] * len(x)) * found.along)  # (D,)
        intercept = np.array([y.mean() - found.mean @ weights])
        return FittedRegressor("linear", {"weights": weights, "intercept": intercept}, dict(settings))


@dataclass(frozen=True, eq=False)
class _Decomposed:
    """X - mean = U S Vᵀ, of rank r.

    Attributes:
        mean: (D,).
        singular: The diagonal of S, (r,).
        directions: Vᵀ, (r, D).
        along: Uᵀ (y - the mean of y), (r,).
        left: U, (n, r); None of very many examples.
    """

    mean: np.ndarray
    singular: np.ndarray
    directions: np.ndarray
    along: np.ndarray
    left: np.ndarray | None

    def rows(self, x: np.ndarray, numbers: np.ndarray) -> np.ndarray:
        """Return rows of U, (m, r)."""
        if self.left is not None:
            found: np.ndarray = self.left[numbers]
            return found
        result: np.ndarray = (x[numbers] - self.mean) @ self.directions.T / self.singular
        return result


def _decomposed(x: np.ndarray, y: np.ndarray) -> _Decomposed:
    mean, target = x.mean(0, dtype=np.float64), y - y.mean()
    if len(x) <= _AT_ONCE:
        U, s, V = np.linalg.svd(x - mean, full_matrices=False)
        kept = s > _RANK * s.max(initial=0)
        return _Decomposed(mean, s[kept], V[kept], U[:, kept].T @ target, U[:, kept])
    D = x.shape[1]
    triangle: np.ndarray = np.empty((0, D))
    crossed = np.zeros(D)
    for start in range(0, len(x), _AT_ONCE):
        block = x[start : start + _AT_ONCE] - mean
        triangle = np.asarray(np.linalg.qr(np.concatenate([triangle, block]), mode="r"))
        crossed += block.T @ target[start : start + _AT_ONCE]
    _, s, V = np.linalg.svd(triangle)
    kept = s > _RANK * s.max(initial=0)
    return _Decomposed(mean, s[kept], V[: len(s)][kept], V[: len(s)][kept] @ crossed / s[kept], None)
