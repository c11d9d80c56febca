"""Counts of errors: the exact interval of a rate, the quick intervals of many rates, and the exact test of two rates.

A test of few trials, such as Lake's 400, has a rate near 0 or 1, where the interval of a mean (`kshot.results.score.interval`) is too
narrow and may pass 0. The exact ones use the binomial and the hypergeometric distribution themselves. Next:
`kshot.workflows.lake_challenge`, `kshot.results.inspect.confusion`, `kshot.tasks.estimate`.
"""

import math
from collections.abc import Callable

import numpy as np

_Z = 1.96


def clopper_pearson(count: int, trials: int, level: float = 0.95) -> tuple[float, float]:
    """Return the exact interval of a rate (Clopper & Pearson 1934, Biometrika 26).

    The lower end is the rate at which `count` or more of the trials have probability (1 - level) / 2; at the upper end, `count` or fewer
    have this probability. The interval holds the true rate with at least the probability `level`.

    Args:
        count: Number of events, from 0 to `trials`.
        trials: Number of independent trials, at least 1.
        level: Probability between 0 and 1, both excluded.

    Returns:
        Both ends of the interval, from 0 to 1.

    Raises:
        ValueError: A number is out of its range.

    Example:
        >>> low, high = clopper_pearson(7, 400)
        >>> round(100 * low, 1), round(100 * high, 1)
        (0.7, 3.6)
    """
    _check(count, trials)
    if not 0 < level < 1:
        raise ValueError(f"level is {level}; it must be between 0 and 1")
    tail = (1 - level) / 2
    low = 0.0 if count == 0 else _crossing(lambda rate: 1 - _at_most(count - 1, trials, rate) < tail)
    high = 1.0 if count == trials else _crossing(lambda rate: _at_most(count, trials, rate) > tail)
    return low, high


def wilson(right: np.ndarray, asked: np.ndarray, effect: float = 1.0) -> np.ndarray:
    """Return the 95 % intervals of the rates right / asked.

    Args:
        right: Counts (M,).
        asked: Counts (M,); 0 gives the interval 0 … 1.
        effect: The design effect. The intervals are those of asked / effect independent queries.

    Returns:
        float64 (M, 2).
    """
    n = np.maximum(asked / effect, 1e-12)
    p = right / np.maximum(asked, 1)
    z2 = _Z**2
    centre = (p + z2 / (2 * n)) / (1 + z2 / n)
    half = _Z * np.sqrt(p * (1 - p) / n + z2 / (4 * n**2)) / (1 + z2 / n)
    ends: np.ndarray = np.stack([centre - half, centre + half], axis=1).clip(0, 1)
    ends[asked == 0] = 0, 1
    return ends


def fisher_exact(count: int, trials: int, other_count: int, other_trials: int) -> float:
    """Return the two-sided p-value of Fisher's exact test: could two counts come from one rate?

    It is the probability, given the sum of both counts, of all divisions of this sum that are at most as likely as the one found.

    Args:
        count: Number of events, from 0 to `trials`.
        trials: Number of independent trials, at least 1.
        other_count: The same for the other count.
        other_trials: The same for the other count.

    Returns:
        The p-value, above 0 and at most 1.

    Raises:
        ValueError: A count is out of its range.

    Example:
        >>> round(fisher_exact(3, 4, 1, 4), 4)  # 34 of 70 divisions
        0.4857
    """
    _check(count, trials)
    _check(other_count, other_trials)
    both = count + other_count
    ways = [math.comb(trials, mine) * math.comb(other_trials, both - mine) for mine in range(both + 1)]
    return sum(way for way in ways if way <= ways[count]) / sum(ways)


def _check(count: int, trials: int) -> None:
    if not 0 <= count <= trials or trials < 1:
        raise ValueError(f"count is {count} of {trials} trials; it must be from 0 to the number of trials, of which there must be one")


def _at_most(count: int, trials: int, rate: float) -> float:
    """The probability of at most `count` events, 0 < rate < 1."""
    logs = (
        math.lgamma(trials + 1) - math.lgamma(k + 1) - math.lgamma(trials - k + 1) + k * math.log(rate) + (trials - k) * math.log1p(-rate)
        for k in range(count + 1)
    )
    return min(1.0, math.fsum(map(math.exp, logs)))


def _crossing(before: Callable[[float], bool]) -> float:
    """Halve the interval from 0 to 1 until its ends are neighbours: `before` is true of rates below the crossing."""
    low, high = 0.0, 1.0
    while low < (middle := (low + high) / 2) < high and high - low > 1e-15:
        low, high = (middle, high) if before(middle) else (low, middle)
    return (low + high) / 2
