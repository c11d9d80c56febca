"""Nearest neighbours for a quantity: the mean target of the k nearest examples, k chosen by left-out answers.

T. M. Cover, "Estimation by the nearest neighbor rule", IEEE Transactions on Information Theory 14, 1968. All neighbours count the same.
In: standardised columns. Out: a `FittedRegressor`, which keeps the examples; of very many, a sample.
"""

from collections.abc import Mapping

import numpy as np

from kshot.tasks.regression.regressor import FittedRegressor, LeftOutValues, neighbour_means

COUNTS = (1, 2, 3, 4, 5, 7, 10, 14, 20, 30, 45, 70, 100)
"""The k that are tried, as far as there are other examples."""


class Nearest:
    """Nearest neighbours."""

    name = "nearest"

    def left_out(self, x: np.ndarray, y: np.ndarray, sample: np.ndarray | None = None) -> LeftOutValues:
        """Answer every example of the sample by its neighbours there without itself, under every k."""
        x, y = _of(x, y, sample)
        counts = [k for k in COUNTS if k < len(x)]
        return LeftOutValues(neighbour_means(x, x, y, counts, without_itself=True), [{"k": k} for k in counts])

    def fit(self, x: np.ndarray, y: np.ndarray, settings: Mapping[str, float], sample: np.ndarray | None = None) -> FittedRegressor:
        """Keep the examples of the sample and one k."""
        x, y = _of(x, y, sample)
        return FittedRegressor("nearest", {"examples": np.asarray(x, np.float32), "targets": np.asarray(y, np.float64)}, dict(settings))


def _of(x: np.ndarray, y: np.ndarray, sample: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    return (x, y) if sample is None else (x[sample], y[sample])
