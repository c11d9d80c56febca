"""Unchanged support items, and class logits from the scores of the items.

In: features, labels, and one score per pair of a query and a support item. Out: one-hot rows, sums and maxima per class. Next: the learners
that compare queries with every support item.
"""

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from kshot.learners.short_forms import repr_of_adapted


class Examples(NamedTuple):
    """An unchanged support set: what a learner that compares queries with every support item learns from a task.

    Attributes:
        features: g(x_i), (B, S, D).
        labels: y_i as one-hot rows, (B, S, N), in at least float32.
    """

    features: Tensor
    labels: Tensor

    def __repr__(self) -> str:
        return repr_of_adapted(self)


def one_hot(y: Tensor, way: int, like: Tensor) -> Tensor:
    """Labels 0 … way - 1, int64 (B, S) → one-hot rows (B, S, N) in the type of `like`, but at least float32."""
    return F.one_hot(y, way).to(torch.promote_types(like.dtype, torch.float32))


def class_log_sums(scores: Tensor, labels: Tensor) -> Tensor:
    """Compute the logarithm of Σ exp(score) over the items of each class.

    Each class subtracts its own largest score before the exponential. With one largest score for all classes, the sum of a class far
    below it would round to 0, and its logarithm to -∞.

    Args:
        scores: (B, Q, S).
        labels: One-hot rows (B, S, N).

    Returns:
        (B, Q, N) in the type of `scores`. A class without items has -∞ and no gradient.
    """
    with torch.autocast(scores.device.type, enabled=False):
        largest = class_maxima(scores.detach(), labels)  # (B, Q, N)
        own = largest.gather(2, labels.argmax(-1).unsqueeze(1).expand_as(scores))  # (B, Q, S)
        sums = (scores - own).exp() @ labels.to(scores.dtype)  # (B, Q, N), at least 1 except for a class without items
        empty = (labels.sum(1) == 0).unsqueeze(1)  # (B, 1, N)
        return (sums.masked_fill(empty, 1.0).log() + largest).masked_fill(empty, -math.inf)


def class_maxima(scores: Tensor, labels: Tensor) -> Tensor:
    """Return the largest score among the items of each class, (B, Q, S) and one-hot (B, S, N) → (B, Q, N); -∞ without items."""
    B, Q, _ = scores.shape
    index = labels.argmax(-1).unsqueeze(1).expand_as(scores)  # (B, Q, S)
    return scores.new_full((B, Q, labels.shape[-1]), -math.inf).scatter_reduce(2, index, scores, "amax")
