"""Mean and 95 % interval of scores, one score per episode."""

import math

import numpy as np


def mean_and_interval(scores: np.ndarray) -> tuple[float, float]:
    """Return the mean, and half the width of its 95 % interval.

    The interval follows the convention of the field: 1.96 s / √E with s the standard deviation over E episodes (E - 1 in its denominator).
    It is over the draw of episodes from these classes for this one set of parameters. It says nothing about other classes or seeds.

    Args:
        scores: One score per episode, (E,).

    Returns:
        Mean and half width. The half width of a single episode, which has no interval, is 0.

    Example:
        >>> import numpy as np
        >>> mean, half = mean_and_interval(np.array([0.8, 1.0, 0.9, 0.9]))
        >>> round(mean, 3), round(half, 3)
        (0.9, 0.08)
    """
    E = len(scores)
    half = 1.96 * float(np.std(scores, ddof=1)) / math.sqrt(E) if E > 1 else 0.0
    return float(np.mean(scores)), half
