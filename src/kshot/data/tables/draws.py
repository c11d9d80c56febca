"""Random numbers that are a function of (seed, number) alone, in every version of NumPy.

The raw words of Philox are the same in every version; NumPy's distributions need not be. They are therefore made here. In: a seed and a
number. Out: uniform and normal numbers, choices, orders. Next: `kshot.data.tables.prior`.
"""

import math
from collections.abc import Sequence

import numpy as np


class Draws:
    """A stream of random numbers. It is used up as it is read: two readers need two streams.

    Args:
        seed: 0 or more.
        number: Which of the streams of that seed, 0 or more.
    """

    def __init__(self, seed: int, number: int) -> None:
        self._words = np.random.Philox(key=np.array([seed, number], dtype=np.uint64))

    def uniform(self, *shape: int) -> np.ndarray:
        """Return numbers in [0, 1), float64."""
        words = self._words.random_raw(math.prod(shape))
        uniform: np.ndarray = (np.asarray(words) >> np.uint64(11)).astype(np.float64).reshape(shape) * 2.0**-53
        return uniform

    def normal(self, *shape: int) -> np.ndarray:
        """Return normal numbers, by Box and Muller, float64."""
        count = math.prod(shape)
        radius, angle = self.uniform(2, (count + 1) // 2)
        radius = np.sqrt(-2 * np.log1p(-radius))
        both = np.concatenate([radius * np.cos(2 * np.pi * angle), radius * np.sin(2 * np.pi * angle)])
        normal: np.ndarray = both[:count].reshape(shape)
        return normal

    def order(self, count: int) -> np.ndarray:
        """Return a permutation of 0 … count - 1, int64."""
        return np.argsort(self.uniform(count), kind="stable")

    def number(self) -> float:
        """Return one number in [0, 1)."""
        return float(self.uniform(1)[0])

    def chance(self, probability: float) -> bool:
        """Return True with this probability."""
        return self.number() < probability

    def whole(self, low: int, high: int) -> int:
        """Return a whole number, low … high, all equally likely."""
        return low + int(self.number() * (high - low + 1))

    def magnitude(self, low: float, high: float) -> float:
        """Return a number in [low, high), all magnitudes equally likely."""
        return low * math.exp(math.log(high / low) * self.number())

    def place(self, weights: Sequence[float]) -> int:
        """Return a position in `weights`, drawn in proportion to them."""
        share = np.cumsum(weights) / np.sum(weights)
        return min(int(np.searchsorted(share, self.number(), side="right")), len(weights) - 1)
