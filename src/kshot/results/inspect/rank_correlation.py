"""Spearman's rank correlation with its interval: whether two quantities rise and fall together."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class RankCorrelation:
    """Spearman's ρ with its interval.

    Attributes:
        rho: ρ, -1 … 1.
        interval: 95 % interval of ρ.
        n: Number of pairs of values.
    """

    rho: float
    interval: tuple[float, float]
    n: int

    def __str__(self) -> str:
        """Return one phrase."""
        return f"Spearman's ρ {self.rho:.2f}, 95 % interval {self.interval[0]:.2f} to {self.interval[1]:.2f}, {self.n:,} classes"


def rank_correlation(a: np.ndarray, b: np.ndarray) -> RankCorrelation | None:
    """Compute Spearman's rank correlation: Pearson's correlation of the ranks. Equal values share their mean rank.

    The interval is Fisher's, tanh(artanh ρ ± 1.96 √((1 + ρ²/2) / (n - 3))), with the variance of D. G. Bonett and T. A. Wright, "Sample
    size requirements for estimating Pearson, Kendall and Spearman correlations", Psychometrika 65, 2000. It assumes that the pairs are
    independent of each other.

    Args:
        a: Numbers (n,).
        b: Numbers (n,).

    Returns:
        The correlation; None for fewer than four pairs, or if all numbers of one side are equal.

    Example:
        >>> import numpy as np
        >>> round(rank_correlation(np.array([1, 2, 3, 4, 5]), np.array([10, 30, 20, 40, 90])).rho, 2)
        0.9
    """
    n = len(a)
    if n < 4:
        return None
    ranks = np.stack([_ranks(a), _ranks(b)]).astype(np.float64)
    ranks -= ranks.mean(1, keepdims=True)
    spread = np.sqrt(np.square(ranks).sum(1))
    if not spread.all():
        return None
    rho = float(np.clip((ranks[0] * ranks[1]).sum() / spread.prod(), -1, 1))
    if abs(rho) > 1 - 1e-12:
        return RankCorrelation(round(rho), (round(rho), round(rho)), n)
    half = 1.96 * np.sqrt((1 + rho**2 / 2) / (n - 3))
    low, high = np.tanh(np.arctanh(rho) + np.array([-half, half]))
    return RankCorrelation(rho, (float(low), float(high)), n)


def _ranks(values: np.ndarray) -> np.ndarray:
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    mean_rank = np.cumsum(counts) - (counts - 1) / 2
    ranks: np.ndarray = mean_rank[place.reshape(-1)]
    return ranks
