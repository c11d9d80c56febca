"""Ranks among scores of things that were not seen: what both guarantees are made of. numpy alone.

    at most α of new things score below t, the ⌊α (m + 1)⌋-th smallest of m scores

This holds on average over the m things and the new one, if all m + 1 come in an order that means nothing (V. Vovk, A. Gammerman, G.
Shafer, "Algorithmic Learning in a Random World", 2005). Scores of examples that were left out come from heads with k - 1 examples per
class, and the model has k, so new things score higher. `carried_on` corrects that from scores with k - 2, as if the share F below t changed
with 1 / k:

    F_k = F_{k-1} + δ r (F_{k-1} - F_{k-2}),   r = (1/(k-1) - 1/k) / (1/(k-2) - 1/(k-1))

δ = 2/3 damps it, because the settings of a head suit the examples that it was chosen on. δ was chosen on Omniglot alone (pixels, and the
features of `omniglot-protonet`; validation characters, 100 classes, 3 and 5 per class, 12 draws): with it, sets cover 0.91 where 0.9 is
asked, without it 0.93 to 0.94, and with δ = 1 0.89 to 0.90. In: scores, high for what is usual. Out: a threshold. Next:
`kshot.tasks.certainty.sets`, `kshot.tasks.certainty.unknown`.
"""

import math

import numpy as np

_DAMPING = 2 / 3
_ROUNDING = 1e-9
"""0.1 · 30 is 3, not 2.9999…"""


def least_rate(scores: int) -> float:
    """Return the smallest α that a number of scores can tell: 1 / (m + 1)."""
    return 1 / (scores + 1)


def needed(rate: float) -> int:
    """Return the fewest scores that can tell α: the smallest m with α (m + 1) ≥ 1."""
    return math.ceil(1 / rate - _ROUNDING) - 1


def threshold(scores: np.ndarray, rate: float) -> float:
    """Return the threshold below which at most a share `rate` of new things score; -∞ if there are too few scores to tell.

    Args:
        scores: Scores of things that were not seen, ascending, (m,).
        rate: α, above 0 and below 1.

    Example:
        >>> threshold(np.arange(1.0, 20.0), 0.1), threshold(np.arange(1.0, 9.0), 0.1)
        (2.0, -inf)
    """
    place = math.floor(rate * (len(scores) + 1) + _ROUNDING)
    return float(scores[place - 1]) if place else -math.inf


def carried_on(scores: np.ndarray, fewer: np.ndarray, shot: float, rate: float) -> float:
    """Return the threshold for a model with k examples per class, from scores with fewer.

    Args:
        scores: With k - 1 examples per class, ascending, (m,).
        fewer: With k - 2, ascending, (m',); none: nothing is corrected.
        shot: k, more than 2.
        rate: α, above 0 and below 1.
    """
    if not len(fewer) or rate < least_rate(len(scores)):
        return threshold(scores, rate)
    candidates = np.unique(np.concatenate([scores, fewer]))
    allowed = np.flatnonzero(carried_share(scores, fewer, shot, candidates) <= rate + _ROUNDING)
    return float(candidates[allowed[-1]]) if len(allowed) else threshold(scores, rate)


def carried_share(scores: np.ndarray, fewer: np.ndarray, shot: float, thresholds: np.ndarray) -> np.ndarray:
    """Return the share of new things below each of some thresholds, (t,), a little too high as `threshold` is. Arguments are its own."""
    share = _below(scores, thresholds)
    if not len(fewer):
        return share
    r = (1 / (shot - 1) - 1 / shot) / (1 / (shot - 2) - 1 / (shot - 1))
    result: np.ndarray = share + _DAMPING * r * (share - _below(fewer, thresholds))
    return result


def _below(scores: np.ndarray, thresholds: np.ndarray) -> np.ndarray:
    return np.asarray((np.searchsorted(scores, thresholds, side="left") + 1) / (len(scores) + 1))
