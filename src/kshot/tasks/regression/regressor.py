"""What a fitted regressor is, and how it answers: numpy alone.

    linear     value = intercept + x · weights
    nearest    value = the mean target of the k nearest examples, by Euclidean distance; of two at one distance, the earlier example

In: vectors (M, D), as `kshot.tasks.numbers` makes them. Out: values, float64 (M,), in the target's units. Next:
`kshot.tasks.regression.ridge` and `.nearest`, which fit regressors.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np

Form = Literal["linear", "nearest"]
_BLOCK = 2**20
"""Distances that are held at once."""


@dataclass(frozen=True, eq=False)
class FittedRegressor:
    """A fitted regressor.

    Attributes:
        form: How it answers.
        arrays: Of `linear`, `weights` float64 (D,) and `intercept` float64 (1,); of `nearest`, `examples` float32 (m, D) and `targets`
            float64 (m,), of all examples or of a sample.
        settings: What was chosen: `strength` of `linear`, `k` of `nearest`.
    """

    form: Form
    arrays: Mapping[str, np.ndarray]
    settings: Mapping[str, float]


@dataclass(frozen=True, eq=False)
class LeftOutValues:
    """The answer to each example by a regressor that has not seen it, under S settings.

    Attributes:
        values: float64 (m, S), of all examples or of a sample.
        settings: The S settings.
    """

    values: np.ndarray
    settings: Sequence[Mapping[str, float]]


class Regressor(Protocol):
    """What can be fitted to vectors float32 (n, D) and targets float64 (n,), n ≥ 3."""

    name: str

    def left_out(self, x: np.ndarray, y: np.ndarray, sample: np.ndarray | None = None) -> LeftOutValues:
        """Answer every example of a sample, int64 (m,), without itself, under every setting; None: all examples.

        What is linear in time is learned from all examples, the rest from the sample.
        """

    def fit(self, x: np.ndarray, y: np.ndarray, settings: Mapping[str, float], sample: np.ndarray | None = None) -> FittedRegressor:
        """Fit under one setting, to the same examples as `left_out`."""


def values(fitted: FittedRegressor, x: np.ndarray) -> np.ndarray:
    """Return the values of vectors (M, D): float64 (M,)."""
    if fitted.form == "linear":
        linear: np.ndarray = fitted.arrays["intercept"][0] + x.astype(np.float64) @ fitted.arrays["weights"]
        return linear
    return neighbour_means(x, fitted.arrays["examples"], fitted.arrays["targets"], [int(fitted.settings["k"])])[:, 0]


def neighbour_means(
    x: np.ndarray, examples: np.ndarray, targets: np.ndarray, counts: Sequence[int], *, without_itself: bool = False
) -> np.ndarray:
    """Return the mean target of the nearest examples.

    Args:
        x: Vectors (M, D).
        examples: Vectors (n, D).
        targets: float64 (n,).
        counts: Several k, 1 … n (n - 1 without itself), ascending.
        without_itself: Whether x are the examples, and each is answered without itself.

    Returns:
        float64 (M, number of k).
    """
    n, x, examples = len(examples), x.astype(np.float64), examples.astype(np.float64)
    found = np.empty((len(x), len(counts)))
    step = max(1, _BLOCK // n)
    for start in range(0, len(x), step):
        block = x[start : start + step]
        distances = np.zeros((len(block), n))
        for column, known in zip(block.T, examples.T, strict=True):  # one by one: equal rows are at a distance of exactly 0
            distances += np.square(column[:, None] - known)
        if without_itself:
            distances[np.arange(len(block)), start + np.arange(len(block))] = np.inf
        ordered = np.partition(distances, [k - 1 for k in counts], axis=1)
        for place, k in enumerate(counts):
            furthest = ordered[:, k - 1 : k]
            nearer, level = distances < furthest, distances == furthest
            taken = nearer | (level & (level.cumsum(1) <= k - nearer.sum(1, keepdims=True)))
            found[start : start + step, place] = taken @ targets / k
    return found
