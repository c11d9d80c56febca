"""How well probabilities say how often answers are right: calibration, and what remains if unsure answers are left out. numpy alone.

In: log-probabilities of things, and their right classes. Out: plain numbers, and the points of two diagrams. Next:
`kshot.workflows.model_report`, `scripts/measure_certainty.py`.

The probabilities of a model are calibrated by one temperature, fitted to left-out answers (`kshot.tasks.heads.temperature`).
"""

from typing import NamedTuple

import numpy as np

BINS = 15


class Bin(NamedTuple):
    """The things whose most probable class has a probability in one range.

    Attributes:
        things: How many there are.
        probability: Their mean probability.
        accuracy: Share of them that is labelled rightly.
    """

    things: int
    probability: float
    accuracy: float


def reliability(log_probabilities: np.ndarray, y: np.ndarray, bins: int = BINS) -> list[Bin]:
    """Return the bins of equal widths, ascending, that hold a thing.

    Args:
        log_probabilities: Answers, (M, N).
        y: The right classes, int64 (M,).
        bins: How many ranges there are from 0 to 1.

    Example:
        >>> reliability(np.log([[0.9, 0.1], [0.8, 0.2], [0.4, 0.6]]), np.array([0, 1, 1]), bins=2)[0].things
        3
    """
    sure, right = _sureness(log_probabilities, y)
    place = np.minimum((sure * bins).astype(np.int64), bins - 1)
    found = []
    for number in np.unique(place):
        inside = place == number
        found.append(Bin(int(inside.sum()), float(sure[inside].mean()), float(right[inside].mean())))
    return found


def calibration_error(log_probabilities: np.ndarray, y: np.ndarray, bins: int = BINS) -> float:
    """Return the expected calibration error: the mean gap between probability and accuracy of the bins, weighted by their things.

    M. P. Naeini, G. F. Cooper, M. Hauskrecht, "Obtaining well calibrated probabilities using Bayesian binning", AAAI 2015. Arguments are
    those of `reliability`. NaN without things.
    """
    found = reliability(log_probabilities, y, bins)
    total = sum(one.things for one in found)
    return sum(one.things * abs(one.probability - one.accuracy) for one in found) / total if total else float("nan")


def risk_by_coverage(log_probabilities: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return how often answers are wrong if only the surest ones are given, (M,): place i is the share of errors among the i + 1 surest.

    Arguments are those of `reliability`.

    Example:
        >>> risk_by_coverage(np.log([[0.9, 0.1], [0.8, 0.2], [0.4, 0.6]]), np.array([0, 1, 1])).round(2).tolist()
        [0.0, 0.5, 0.33]
    """
    sure, right = _sureness(log_probabilities, y)
    wrong = ~right[np.argsort(-sure, kind="stable")]
    result: np.ndarray = np.cumsum(wrong) / np.arange(1, len(wrong) + 1)
    return result


def _sureness(log_probabilities: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the probability of the most probable class, (M,), and whether it is the right one, bool (M,)."""
    best = log_probabilities.argmax(1) if len(y) else np.empty(0, np.int64)
    return np.exp(log_probabilities[np.arange(len(y)), best]), best == y
