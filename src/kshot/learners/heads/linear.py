"""Linear heads for many tasks at once.

In: features. Out: features with a column of ones for the intercept, and the type that holds heads. Next: `softmax_regression`, and the
learners that end in a linear head.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from kshot.learners.short_forms import repr_of_adapted


class LinearHeads(NamedTuple):
    """One linear head per task; T is N for classification.

    Attributes:
        weights: The last row is the intercept, (B, D + 1, T).
        known: Whether the class has a support item, bool (B, T); True for real targets.
    """

    weights: Tensor
    known: Tensor

    def __repr__(self) -> str:
        return repr_of_adapted(self)


def with_ones(features: Tensor) -> Tensor:
    """Append a column of ones for the intercept: (B, n, D) → (B, n, D + 1) in at least float32."""
    features = features.to(torch.promote_types(features.dtype, torch.float32))
    return torch.cat([features, torch.ones_like(features[..., :1])], -1)
