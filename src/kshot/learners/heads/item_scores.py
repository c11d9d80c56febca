"""Support items as they are, and the logits of classes from the scores of their items.

In: features, labels, and a score of every query with every support item. Out: one-hot rows, sums and maxima by class. Next: the learners
that compare with every support item.
"""

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor


class Examples(NamedTuple):
    """A support set as it is: what a learner that compares with every support item learns of a task.

    Attributes:
        features: g(x_i), (B, S, D).
        labels: y_i as one-hot rows, (B, S, N), in at least float32.
    """

    features: Tensor
    labels: Tensor


def one_hot(y: Tensor, way: int, like: Tensor) -> Tensor:
    """Labels 0 … way - 1, int64 (B, S) → one-hot rows (B, S, N) in the type of `like`, or float32 where that is narrower."""
    return F.one_hot(y, way).to(torch.promote_types(like.dtype, torch.float32))


def class_log_sums(scores: Tensor, labels: Tensor) -> Tensor:
    """The logarithm of Σ exp(score) over the items of each class.

    The largest score of a class is taken out before the exponential, class by class: with one largest score for all, the sum of a
    class far below it would round to 0 and its logarithm to -∞.

    Args:
        scores: (B, Q, S).
        labels: One-hot rows (B, S, N).

    Returns:
        (B, Q, N) in the type of `scores`; -∞ where a class has no item, with no gradient there.
    """
    with torch.autocast(scores.device.type, enabled=False):
        largest = class_maxima(scores.detach(), labels)  # (B, Q, N)
        own = largest.gather(2, labels.argmax(-1).unsqueeze(1).expand_as(scores))  # (B, Q, S)
        sums = (scores - own).exp() @ labels.to(scores.dtype)  # (B, Q, N), at least 1 but for a class without items
        empty = (labels.sum(1) == 0).unsqueeze(1)  # (B, 1, N)
        return (sums.masked_fill(empty, 1.0).log() + largest).masked_fill(empty, -math.inf)


def class_maxima(scores: Tensor, labels: Tensor) -> Tensor:
    """The largest score among the items of each class, (B, Q, S) and one-hot (B, S, N) → (B, Q, N); -∞ where there is no item."""
    B, Q, _ = scores.shape
    index = labels.argmax(-1).unsqueeze(1).expand_as(scores)  # (B, Q, S)
    return scores.new_full((B, Q, labels.shape[-1]), -math.inf).scatter_reduce(2, index, scores, "amax")
