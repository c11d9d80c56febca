"""Mean and 95 % interval of scores, one score per episode, and what is said where equal scores have no interval."""

import math

import numpy as np

from kshot.results.score.counts import clopper_pearson


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


def exact_interval(scores: np.ndarray) -> tuple[float, float] | None:
    """Return the 95 % interval of an accuracy if all episodes are without a mistake, or all without a right answer.

    There, the interval of `mean_and_interval` has no width, however few the episodes are. Queries of one episode are not independent, so an
    episode is one trial: the exact interval (Clopper-Pearson) of the share of such episodes bounds the mean accuracy, because an accuracy
    lies between 0 and 1.

    Args:
        scores: One accuracy per episode, a fraction, (E,).

    Returns:
        Both ends, fractions; None if the accuracies are neither all 1 nor all 0.

    Example:
        >>> import numpy as np
        >>> low, high = exact_interval(np.ones(30))
        >>> round(low, 4), high
        (0.8843, 1.0)
    """
    E = len(scores)
    if np.all(scores == 1):
        return clopper_pearson(E, E)
    return clopper_pearson(0, E) if np.all(scores == 0) else None


def caution(scores: np.ndarray, *, fraction: bool) -> str | None:
    """Say in words why ± 0 is no interval; None if the scores differ.

    Args:
        scores: One score per episode, (E,).
        fraction: Whether the scores are accuracies.
    """
    E = len(scores)
    if fraction and (ends := exact_interval(scores)) is not None:
        which = "no mistake" if scores[0] == 1 else "no right answer"
        told = f"all {E:,} episodes have {which}" if E > 1 else f"the one episode has {which}"
        return (
            f"± 0 stands for no interval, because {told}; the exact 95 % interval, with one trial per episode, is "
            f"{100 * ends[0]:.2f} to {100 * ends[1]:.2f} %"
        )
    if E == 1:
        return "± 0 stands for no interval, because there is one episode; ask for more"
    if np.ptp(scores) == 0:
        return f"± 0 stands for no interval, because all {E:,} episodes have the same score; ask for more"
    return None
