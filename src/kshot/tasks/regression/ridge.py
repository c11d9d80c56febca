"""Ridge regression in closed form, its strength chosen by left-out answers in closed form.

A. E. Hoerl, R. W. Kennard, "Ridge regression: biased estimation for nonorthogonal problems", Technometrics 12, 1970:

    (b, w) = argmin ‖y - b - X w‖² + λ ‖w‖²

The intercept b is not penalised, so X and y are centred. With X - mean = U S Vᵀ, the residual of example i that was not fitted to it is
its fitted residual over 1 - hᵢ, the identity of D. M. Allen, "The relationship between variable selection and data augmentation and a
method for prediction", Technometrics 16, 1974:

    hᵢ = 1/n + Σⱼ Uᵢⱼ² sⱼ² / (sⱼ² + λ)

Both are summed here as what lies outside of U and what λ leaves inside of it, which keeps the digits where hᵢ is almost 1. The columns'
means and deviations, which no target enters, are those of all examples. In: standardised columns. Out: a `FittedRegressor`.
"""

from collections.abc import Mapping

import numpy as np

from kshot.tasks.regression.regressor import FittedRegressor, LeftOutValues

STRENGTHS = tuple(10.0 ** (half / 2) for half in range(-12, 7))
"""λ / n, the strength per example; a standardised column has the sum of squares n."""
_RANK = 1e-10
"""A direction whose singular value is below this share of the largest one is none."""


class Ridge:
    """Ridge regression."""

    name = "ridge"

    def left_out(self, x: np.ndarray, y: np.ndarray) -> LeftOutValues:
        """Answer every example without itself, under every strength."""
        n = len(x)
        centred, target = x.astype(np.float64) - x.mean(0, dtype=np.float64), y - y.mean()
        U, s, _ = _decomposed(centred)
        along = U.T @ target  # (r,)
        outside, free = target - U @ along, np.maximum(1 - 1 / n - np.square(U).sum(1), 0)  # (n,), (n,)
        free[free < 1e-12] = 0
        outside[free == 0] = 0
        found = np.empty((n, len(STRENGTHS)))
        for place, strength in enumerate(STRENGTHS):
            shrunk = strength * n / (s**2 + strength * n)  # (r,)
            found[:, place] = y - (outside + U @ (shrunk * along)) / (free + np.square(U) @ shrunk)
        return LeftOutValues(found, [{"strength": strength} for strength in STRENGTHS])

    def fit(self, x: np.ndarray, y: np.ndarray, settings: Mapping[str, float]) -> FittedRegressor:
        """Fit to all examples under one strength."""
        mean = x.mean(0, dtype=np.float64)
        U, s, V = _decomposed(x.astype(np.float64) - mean)
        weights = V.T @ (s / (s**2 + settings["strength"] * len(x)) * (U.T @ (y - y.mean())))  # (D,)
        return FittedRegressor("linear", {"weights": weights, "intercept": np.array([y.mean() - mean @ weights])}, dict(settings))


def _decomposed(centred: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the singular vectors and values of rank r: U (n, r), s (r,), Vᵀ (r, D)."""
    U, s, V = np.linalg.svd(centred, full_matrices=False)
    kept = s > _RANK * s.max(initial=0)
    return U[:, kept], s[kept], V[kept]
