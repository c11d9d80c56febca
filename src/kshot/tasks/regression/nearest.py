"""Nearest neighbours for a quantity: the mean target of the k nearest examples, k chosen by left-out answers.

T. M. Cover, "Estimation by the nearest neighbor rule", IEEE Transactions on Information Theory 14, 1968. All neighbours count the same.
In: standardised columns. Out: a `FittedRegressor`, which keeps the examples.
"""

from collections.abc import Mapping

import numpy as np

from kshot.tasks.regression.regressor import FittedRegressor, LeftOutValues, neighbour_means

COUNTS = (1, 2, 3, 4, 5, 7, 10, 14, 20, 30, 45, 70, 100)
"""The k that are tried, as far as there are other examples."""


class Nearest:
    """Nearest neighbours."""

    name = "nearest"

    def left_out(self, x: np.ndarray, y: np.ndarray) -> LeftOutValues:
        """Answer every example by its neighbours without itself, under every k."""
        counts = [k for k in COUNTS if k < len(x)]
        return LeftOutValues(neighbour_means(x, x, y, counts, without_itself=True), [{"k": k} for k in counts])

    def fit(self, x: np.ndarray, y: np.ndarray, settings: Mapping[str, float]) -> FittedRegressor:
        """Keep all examples and one k."""
        return FittedRegressor("nearest", {"examples": np.asarray(x, np.float32), "targets": np.asarray(y, np.float64)}, dict(settings))
