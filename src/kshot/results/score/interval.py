"""Mean and 95 % interval of scores, one an episode."""

import math

import numpy as np


def mean_and_interval(scores: np.ndarray) -> tuple[float, float]:
    """The mean, and half the width of its 95 % interval.

    The field's convention: 1.96 s / √E with s the standard deviation over E episodes (E - 1 in its denominator). The interval is
    over the draw of episodes from these classes for this one set of parameters; it says nothing of other classes or seeds.

    Args:
        scores: One an episode, (E,).

    Returns:
        Mean, half width; the half width is 0 for a single episode, for which there is none.

    Example:
        >>> import numpy as np
        >>> mean, half = mean_and_interval(np.array([0.8, 1.0, 0.9, 0.9]))
        >>> round(mean, 3), round(half, 3)
        (0.9, 0.08)
    """
    E = len(scores)
    half = 1.96 * float(np.std(scores, ddof=1)) / math.sqrt(E) if E > 1 else 0.0
    return float(np.mean(scores)), half
