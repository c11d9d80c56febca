"""The difficulty of each episode, measured by its accuracy and by the uncertainty of the learner's answers.

In: a learner's `Answers`. Out: a `Difficulty`: two numbers per episode, their spread, and the numbers of the hardest and the easiest
episodes, with which they can be drawn again. Next: `kshot.results.inspect.task_report`.

An accuracy has few values, and for a good learner most of them are 1. The uncertainty grades these episodes as well, and needs no labels:

    u = 1/Q Σ_q H(softmax(β z_q)) / ln N          0: sure of every query;  1: all classes are equally likely

Here z_q are the logits of query q and H is the entropy. Logits of different learners have different scales (squared distances, cosines). β
gives them a common one: it is the inverse temperature at which the probabilities fit the answers of the whole set best (temperature
scaling: Guo et al., "On Calibration of Modern Neural Networks", ICML 2017, arXiv 1706.04599, section 4.2). Labels decide only this number.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from kshot.results.score.answers import Answers

QUANTILES = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)
_FITTED = 20_000
"""β is fitted to at most this many queries, evenly spread over all queries."""


@dataclass(frozen=True, eq=False)
class Difficulty:
    """The difficulty of E episodes, in the order of their numbers.

    Attributes:
        numbers: Numbers of the episodes in their stream, int64 (E,).
        accuracy: Accuracy of each episode, 0 … 1.
        uncertainty: u of each episode, 0 … 1.
        scale: β.
    """

    numbers: np.ndarray
    accuracy: np.ndarray
    uncertainty: np.ndarray
    scale: float

    def hardest(self, most: int = 5) -> np.ndarray:
        """Return at most `most` places of the hardest episodes, int64: lowest accuracy first; at equal accuracy, the least sure first."""
        order: np.ndarray = np.lexsort((self.numbers, -self.uncertainty, self.accuracy))[:most]
        return order

    def easiest(self, most: int = 5) -> np.ndarray:
        """Return at most `most` places of the easiest episodes, int64: the highest accuracy first; at equal accuracy, the surest first."""
        order: np.ndarray = np.lexsort((self.numbers, self.uncertainty, -self.accuracy))[:most]
        return order


def measure_difficulty(answers: Sequence[Answers]) -> Difficulty:
    """Measure the accuracy and uncertainty of each episode.

    Args:
        answers: From `answer_episodes`.
    """
    logits = [_below_best(block.logits) for block in answers]
    scale = fitted_scale(logits, [block.drawn.query_y for block in answers])
    numbers = np.concatenate([block.drawn.numbers for block in answers])
    accuracy = np.concatenate([(block.chosen == block.drawn.query_y).mean(1) for block in answers])
    uncertainty = np.concatenate([_entropies(block, scale).mean(1) for block in logits])
    order = np.argsort(numbers)
    return Difficulty(numbers[order], accuracy[order], uncertainty[order], scale)


def fitted_scale(logits: Sequence[np.ndarray], labels: Sequence[np.ndarray]) -> float:
    """Return the β > 0 at which softmax(β z) gives the labels the largest likelihood.

    The mean log-likelihood is concave in β, so its slope has one root. If all queries are right, or no better than chance, the slope has no
    root. β is then the point where the slope rounds to 0, or the end of the range, 10^±4 around the scale of the logits.

    Args:
        logits: Blocks (B, Q, N). The best logit of each query is 0, the others are below; -∞ for an impossible class.
        labels: Blocks (B, Q).

    Returns:
        β; 1 if the logits are all the same.
    """
    total = sum(block.shape[0] * block.shape[1] for block in logits)
    step = -(-total // _FITTED)
    flat = [block.reshape(-1, block.shape[-1])[::step].astype(np.float64) for block in logits]
    truth = [np.take_along_axis(z, y.reshape(-1)[::step, None], 1)[:, 0] for z, y in zip(flat, labels, strict=True)]
    possible = [np.isfinite(right) for right in truth]  # no β helps if the right class was ruled out
    flat, truth = ([part[keep] for part, keep in zip(parts, possible, strict=True)] for parts in (flat, truth))
    gaps = np.concatenate([-z[np.isfinite(z) & (z < 0)] for z in flat])
    if not len(gaps):
        return 1.0

    def slope(log_scale: float) -> float:
        return float(sum((right - _expected(z, np.exp(log_scale))).sum() for z, right in zip(flat, truth, strict=True)))

    middle = -float(np.log(np.median(gaps)))
    low, high = middle - 4 * np.log(10), middle + 4 * np.log(10)
    for _ in range(40):
        centre = (low + high) / 2
        low, high = (centre, high) if slope(centre) > 0 else (low, centre)
    return float(np.exp((low + high) / 2))


def _below_best(logits: np.ndarray) -> np.ndarray:
    """Subtract the best logit of each query, without NaN: if all are -∞ (or several are ∞), these are equally good."""
    best = logits.max(-1, keepdims=True)
    with np.errstate(invalid="ignore"):
        below = logits - best  # ∞ - ∞ is replaced below
    safe: np.ndarray = np.where(logits == best, np.float32(0), below)
    return safe


def _probabilities(z: np.ndarray, scale: float) -> np.ndarray:
    weights = np.exp(scale * z)
    shares: np.ndarray = weights / weights.sum(-1, keepdims=True)
    return shares


def _expected(z: np.ndarray, scale: float) -> np.ndarray:
    """Return the mean logit of each query under its own probabilities, (M,)."""
    mean: np.ndarray = (_probabilities(z, scale) * np.where(np.isfinite(z), z, 0)).sum(-1)
    return mean


def _entropies(z: np.ndarray, scale: float) -> np.ndarray:
    """Return the entropies of blocks (B, Q, N), as fractions of ln N: (B, Q)."""
    p = _probabilities(z.astype(np.float64), scale)
    entropy: np.ndarray = -(p * np.log(np.where(p > 0, p, 1))).sum(-1) / np.log(z.shape[-1])
    return entropy.clip(0, 1)
