"""Verification: how well a learner tells whether two items have the same class, over the pairs of an episode set.

Each query forms a pair with each support item of its episode. The score of a pair is the learner's logit for that support item when it is
a class by itself, learned only from this item. For a Siamese network, this is the logit of the pair; for other learners, it is some number
that says how well the two match.

In: a learner and an `EpisodeSet`. Out: a `Verification`. All pairs are used, weighted as if they were drawn: all episodes weigh the same,
and within an episode the pairs of one class weigh half and those of different classes weigh half. Since no pair is drawn, only the choice
of episodes is random.
"""

from dataclasses import dataclass

import numpy as np
import torch

from kshot.device import pick_device
from kshot.errors import RecipeError
from kshot.learners.learner import Learner
from kshot.results.score.episode_set import EpisodeSet
from kshot.results.score.evaluate import evaluating
from kshot.results.score.features import with_features
from kshot.results.score.interval import mean_and_interval
from kshot.short_repr import repr_of_fields


@dataclass(frozen=True)
class Verification:
    """How well a learner tells pairs apart. All values but the threshold and the counts are fractions.

    Attributes:
        accuracy: Mean accuracy over episodes of answering `same` if the score is at least 0, which is a probability of ½. It is
            meaningful for learners whose score is the logit of a probability.
        interval: Half the width of the 95 % interval of the accuracy over episodes.
        best_accuracy: Accuracy of answering `same` if the score is at least `best_threshold`.
        best_threshold: The best threshold *on these pairs*, one number fitted to many pairs; ∞ if no threshold beats a constant answer.
        equal_error_rate: Error rate at the threshold where the same and the different pairs have the same error rate, interpolated
            between the two nearest thresholds.
        same: Number of pairs of one class.
        different: Number of pairs of two classes.
        episodes_hash: Hash of the episodes. An equal hash means equal pairs.
    """

    accuracy: float
    interval: float
    best_accuracy: float
    best_threshold: float
    equal_error_rate: float
    same: int
    different: int
    episodes_hash: str

    __repr__ = repr_of_fields

    def __str__(self) -> str:
        """Return one line."""
        return (
            f"verification accuracy {100 * self.accuracy:.2f} ± {100 * self.interval:.2f} % at probability 1/2, "
            f"{100 * self.best_accuracy:.2f} % at the best threshold ({self.best_threshold:.3g}), "
            f"equal error rate {100 * self.equal_error_rate:.2f} %; {self.same:,} same and {self.different:,} different pairs, "
            f"episodes {self.episodes_hash[:12]}"
        )


@torch.no_grad()
def verify(learner: Learner, episodes: EpisodeSet, *, device: torch.device | str = "cpu") -> Verification:
    """Score all pairs of a query and a support item.

    A pair takes 17 bytes of memory. A thousand 20-way 5-shot episodes with 15 queries per class have 30 million pairs.

    Args:
        learner: A learner that predicts inductively and whose logit of a class depends only on that class and the query, for example a
            Siamese, Relation or Prototypical Network. If the logits are normalised over the classes, or solved for together, the score
            of a pair depends on the other items, and so does the result.
        episodes: The episodes that give the pairs.
        device: Device for the computation. The learner is moved there.

    Returns:
        The accuracies.

    Raises:
        RecipeError: The learner has no classes, or no inductive mode.
        SetupError: There is no such device here.
    """
    if learner.family.name != "classification" or "inductive" not in learner.modes:
        raise RecipeError(
            f"verification asks whether two items have the same class; {type(learner).__name__} learns {learner.family.name} tasks and "
            f"offers {' and '.join(learner.modes)} prediction. Give a classification learner that predicts inductively."
        )
    device = pick_device(device)
    numbers, accuracies, scores, same, weights = [], [], [], [], []
    with evaluating(learner.to(device)):
        for drawn, features in with_features(learner, episodes, device):
            B, S = drawn.support_y.shape
            each_its_own = torch.arange(S, device=device).expand(B, S)
            with features.looked_at():
                adapted = learner.adapt(features.of(drawn.support_items, drawn.support_changes), each_its_own, way=S)
                logits = learner.predict(adapted, features.of(drawn.query_items, drawn.query_changes))  # (B, Q, S)
            found = np.nan_to_num(logits.cpu().numpy(), copy=False, nan=-np.inf, posinf=np.inf, neginf=-np.inf)
            truth = drawn.query_y[:, :, None] == drawn.support_y[:, None]
            share = _shares(truth)
            accuracies.append((((found >= 0) == truth) * share).sum((1, 2)))
            numbers.append(drawn.numbers)
            scores.append(found.reshape(-1))
            same.append(truth.reshape(-1))
            weights.append(share.reshape(-1).astype(np.float32))
    by_number = np.concatenate(accuracies)[np.argsort(np.concatenate(numbers))]
    truth = np.concatenate(same)
    values, accepted_same, accepted_different = acceptance(np.concatenate(scores), truth, np.concatenate(weights))
    accuracy, interval = mean_and_interval(by_number)
    best, threshold = best_accuracy(values, accepted_same, accepted_different)
    equal = equal_error_rate(accepted_same, accepted_different)
    return Verification(accuracy, interval, best, threshold, equal, int(truth.sum()), int((~truth).sum()), episodes.hash)


def acceptance(scores: np.ndarray, same: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Compute the share of each kind of pairs that is accepted at each threshold.

    Args:
        scores: Scores without NaN, (P,).
        same: Whether a pair has one class, bool (P,). Both kinds must occur.
        weights: Weight of each pair, > 0, (P,).

    Returns:
        Falling thresholds, from ∞ through all distinct scores; the share of same pairs whose score is at least the threshold; and the
        share of different pairs. Each is float64; the shares are from 0 to 1.
    """
    order = np.argsort(-scores, kind="stable")
    values, of_same = scores[order], same[order]
    accepted = [np.cumsum(np.where(kind, weights[order], 0.0)) for kind in (of_same, ~of_same)]
    last = np.append(values[1:] != values[:-1], True)  # equal scores are accepted together
    rates = [np.append(0.0, part[last] / part[-1]) for part in accepted]
    return np.append(np.inf, values[last].astype(np.float64)), rates[0], rates[1]


def best_accuracy(thresholds: np.ndarray, accepted_same: np.ndarray, accepted_different: np.ndarray) -> tuple[float, float]:
    """Return the best accuracy, with half the weight on each kind of pairs, and the largest threshold with it; from `acceptance`."""
    accuracy = (accepted_same + 1 - accepted_different) / 2
    place = int(np.argmax(accuracy))
    return float(accuracy[place]), float(thresholds[place])


def equal_error_rate(accepted_same: np.ndarray, accepted_different: np.ndarray) -> float:
    """Return the share at which the refused same pairs equal the accepted different pairs; from `acceptance`."""
    gap = 1 - accepted_same - accepted_different  # starts at 1, ends at -1, never rises
    after = int(np.argmax(gap <= 0))
    step = gap[after - 1] / (gap[after - 1] - gap[after])
    return float(accepted_different[after - 1] + step * (accepted_different[after] - accepted_different[after - 1]))


def _shares(truth: np.ndarray) -> np.ndarray:
    """Return the weight of each pair of B episodes, (B, Q, S): in every episode, each kind sums to ½."""
    same = truth.sum((1, 2), keepdims=True)
    shares: np.ndarray = np.where(truth, 0.5 / same, 0.5 / (truth[0].size - same))
    return shares
