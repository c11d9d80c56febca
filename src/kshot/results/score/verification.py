"""Are two items of the same class? How well a learner answers that, over the pairs of an episode set.

Every query with every support item of its episode is a pair. Its score is the learner's logit for that support item as a class of
its own, learned from it alone: for a Siamese network the logit of the pair, for others any number that says how well they match.

In: a learner and an `EpisodeSet`. Out: a `Verification`. Everything is weighted as if the pairs were drawn: an episode counts like
any other, and within one the pairs of the same class count half and those of different classes half. Nothing is drawn, though, so
nothing is left to chance but the episodes.
"""

from dataclasses import dataclass

import numpy as np
import torch

from kshot.errors import RecipeError
from kshot.learners.learner import Learner
from kshot.results.score.episode_set import EpisodeSet
from kshot.results.score.evaluate import evaluating
from kshot.results.score.features import with_features
from kshot.results.score.interval import mean_and_interval
from kshot.short_repr import repr_of_fields


@dataclass(frozen=True)
class Verification:
    """How well pairs are told apart; all but the threshold and the counts are fractions.

    Attributes:
        accuracy: Of answering `same` where the score is at least 0, which is a probability of ½: the mean over episodes. It means
            something for learners whose score is the logit of a probability.
        interval: Half the width of its 95 % interval over episodes.
        best_accuracy: Of answering `same` where the score is at least `best_threshold`.
        best_threshold: The threshold that does best *on these pairs*, one number fitted to many of them; ∞ where nothing
            beats a constant answer.
        equal_error_rate: The rate of errors at the threshold where as many of the same as of the different pairs are wrong,
            interpolated between the two thresholds nearest to that.
        same: Pairs of one class.
        different: Pairs of two classes.
        episodes_hash: Which episodes; equal hash, equal pairs.
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
        """One line."""
        return (
            f"verification accuracy {100 * self.accuracy:.2f} ± {100 * self.interval:.2f} % at probability 1/2, "
            f"{100 * self.best_accuracy:.2f} % at the best threshold ({self.best_threshold:.3g}), "
            f"equal error rate {100 * self.equal_error_rate:.2f} %; {self.same:,} same and {self.different:,} different pairs, "
            f"episodes {self.episodes_hash[:12]}"
        )


@torch.no_grad()
def verify(learner: Learner, episodes: EpisodeSet, *, device: torch.device | str = "cpu") -> Verification:
    """Score all pairs of a query and a support item.

    A pair takes 17 bytes of memory: a thousand 20-way 5-shot episodes of 15 queries a class are 30 million pairs.

    Args:
        learner: One that predicts inductively and whose logit of a class depends on that class and the query alone, as with
            siamese, relation and prototypical networks. Where the logits are normalised over the classes, or solved for
            together, a pair's score depends on the other items, and so does the result.
        episodes: Where the pairs are from.
        device: Where to compute; the learner is moved there.

    Returns:
        The accuracies.

    Raises:
        RecipeError: The learner has no classes, or no inductive mode.
    """
    if learner.family.name != "classification" or "inductive" not in learner.modes:
        raise RecipeError(
            f"verification asks whether two items are of the same class; {type(learner).__name__} predicts {learner.family.name} tasks, "
            f"{' and '.join(learner.modes)}. Give a learner of classification that predicts inductively."
        )
    device = torch.device(device)
    numbers, accuracies, scores, same, weights = [], [], [], [], []
    with evaluating(learner.to(device)):
        for drawn, features in with_features(learner, episodes, device):
            B, S = drawn.support_y.shape
            each_its_own = torch.arange(S, device=device).expand(B, S)
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
    """Which part of either kind of pairs is accepted at each threshold.

    Args:
        scores: (P,), no NaN.
        same: Whether a pair is of one class, bool (P,); both kinds are there.
        weights: Of each pair, > 0, (P,).

    Returns:
        Thresholds, falling, from ∞ through all distinct scores; the part of the same pairs whose score is at least that, and the
        part of the different pairs; each float64, from 0 to 1.
    """
    order = np.argsort(-scores, kind="stable")
    values, of_same = scores[order], same[order]
    accepted = [np.cumsum(np.where(kind, weights[order], 0.0)) for kind in (of_same, ~of_same)]
    last = np.append(values[1:] != values[:-1], True)  # of equal scores, all are accepted or none
    rates = [np.append(0.0, part[last] / part[-1]) for part in accepted]
    return np.append(np.inf, values[last].astype(np.float64)), rates[0], rates[1]


def best_accuracy(thresholds: np.ndarray, accepted_same: np.ndarray, accepted_different: np.ndarray) -> tuple[float, float]:
    """The best accuracy, same and different pairs counting half each, and the largest threshold that has it; from `acceptance`."""
    accuracy = (accepted_same + 1 - accepted_different) / 2
    place = int(np.argmax(accuracy))
    return float(accuracy[place]), float(thresholds[place])


def equal_error_rate(accepted_same: np.ndarray, accepted_different: np.ndarray) -> float:
    """Where the part of same pairs refused equals the part of different pairs accepted; from `acceptance`."""
    gap = 1 - accepted_same - accepted_different  # 1 at first, -1 in the end, never rising
    after = int(np.argmax(gap <= 0))
    step = gap[after - 1] / (gap[after - 1] - gap[after])
    return float(accepted_different[after - 1] + step * (accepted_different[after] - accepted_different[after - 1]))


def _shares(truth: np.ndarray) -> np.ndarray:
    """The weight of each pair of B episodes, (B, Q, S): same and different sum to ½ each in every episode."""
    same = truth.sum((1, 2), keepdims=True)
    shares: np.ndarray = np.where(truth, 0.5 / same, 0.5 / (truth[0].size - same))
    return shares
