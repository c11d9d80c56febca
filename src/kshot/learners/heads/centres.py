"""Class centres, and the distances of queries from them.

In: features and labels. Out: class means, distances or cosines, all in at least float32. Next: the learners that compare with centres.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from kshot.learners.short_forms import repr_of_adapted


class Prototypes(NamedTuple):
    """The centres of the classes of a task.

    Attributes:
        centres: c_k, (B, N, D). NaN for a class without support items.
        known: Whether the class has a support item, bool (B, N).
    """

    centres: Tensor
    known: Tensor

    def __repr__(self) -> str:
        return repr_of_adapted(self)


def class_means(features: Tensor, y: Tensor, way: int) -> Tensor:
    """Compute the mean of each class: equation (1) of Prototypical Networks.

    Args:
        features: (B, S, D).
        y: Labels 0 … way - 1, int64 (B, S); classes need not be balanced.
        way: N.

    Returns:
        (B, N, D) in at least float32; NaN where a class has no item.
    """
    with torch.autocast(features.device.type, enabled=False):
        member = F.one_hot(y, way).to(_wide(features))  # (B, S, N)
        sums = member.mT @ features.to(member.dtype)  # (B, N, D)
        return sums / member.sum(1).unsqueeze(-1)


def prototypes(features: Tensor, y: Tensor, way: int) -> Prototypes:
    """Return `class_means`, and which classes have any item."""
    return Prototypes(class_means(features, y, way), F.one_hot(y, way).any(1))


def only_known(logits: Tensor, adapted: Prototypes) -> Tensor:
    """Set logits (B, Q, N) to -∞ for classes without support items, so that they are never chosen."""
    return logits.masked_fill(~adapted.known.unsqueeze(1), -torch.inf)


def squared_distances(queries: Tensor, centres: Tensor) -> Tensor:
    """Compute ‖q - c‖² for all pairs, as ‖q‖² - 2 q·c + ‖c‖² (one matrix product).

    Args:
        queries: (B, Q, D).
        centres: (B, N, D).

    Returns:
        (B, Q, N) in at least float32, also under autocast: the three terms cancel, and bfloat16 would lose too many digits.
    """
    with torch.autocast(queries.device.type, enabled=False):
        q, c = queries.to(_wide(queries)), centres.to(_wide(centres))
        return q.square().sum(-1, keepdim=True) - 2 * (q @ c.mT) + c.square().sum(-1).unsqueeze(1)


def cosines(queries: Tensor, centres: Tensor) -> Tensor:
    """Compute the cosine of all pairs, (B, Q, D) and (B, N, D) → (B, Q, N) in at least float32."""
    with torch.autocast(queries.device.type, enabled=False):
        q, c = F.normalize(queries.to(_wide(queries)), dim=-1), F.normalize(centres.to(_wide(centres)), dim=-1)
        return q @ c.mT


def _wide(x: Tensor) -> torch.dtype:
    return torch.promote_types(x.dtype, torch.float32)
