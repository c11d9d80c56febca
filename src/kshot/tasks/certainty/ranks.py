"""Ranks among scores of things that were not seen: what both guarantees are made of. numpy alone.

    at most α of new things score below the ⌊α (m + 1)⌋-th smallest of m scores

This holds on average over the m things and the new one, if all m + 1 come in an order that means nothing (V. Vovk, A. Gammerman, G. Shafer,
"Algorithmic Learning in a Random World", 2005). In: scores, high for what is usual. Out: a threshold. Next: `kshot.tasks.certainty.sets`,
`kshot.tasks.certainty.unknown`.
"""

import math

import numpy as np


def least_rate(scores: int) -> float:
    """Return the smallest α that a number of scores can tell: 1 / (m + 1)."""
    return 1 / (scores + 1)


def threshold(scores: np.ndarray, rate: float) -> float:
    """Return the threshold below which at most a share `rate` of new things score; -∞ if there are too few scores to tell.

    Args:
        scores: Scores of things that were not seen, ascending, (m,).
        rate: α, above 0 and below 1.

    Example:
        >>> threshold(np.arange(1.0, 20.0), 0.1), threshold(np.arange(1.0, 9.0), 0.1)
        (2.0, -inf)
    """
    place = math.floor(rate * (len(scores) + 1) + 1e-9)  # 0.1 · 30 is 3, not 2.9999…
    return float(scores[place - 1]) if place else -math.inf
