"""The space in which a learner compares items with the centres of classes.

A refinement of class centres (`kshot.learners.refinement.refined`) must know two things about a learner: which vectors to average, and how
to turn a query and centres into logits. In: features. Out: vectors and logits. A learner that compares in its own way has a method `space`.
For all other learners whose features are vectors, the space is `kshot.learners.refinement.refined.EUCLIDEAN`.
"""

from collections.abc import Callable
from typing import NamedTuple, Protocol, runtime_checkable

import torch.nn.functional as F
from torch import Tensor

from kshot.learners.heads.centres import cosines

Compare = Callable[[Tensor, Tensor], Tensor]
"""Queries (B, Q, D) and centres (B, N, D) → logits (B, Q, N)."""


class Space(NamedTuple):
    """A space of vectors with a comparison.

    Attributes:
        vectors: Features (…, D) → the vectors (…, D) of which class centres are means.
        logits: Vectors of queries (B, Q, D) and centres (B, N, D) → logits (B, Q, N); a larger logit means nearer.
    """

    vectors: Callable[[Tensor], Tensor]
    logits: Compare


@runtime_checkable
class HasSpace(Protocol):
    """A learner whose comparison is not minus the squared Euclidean distance of its features."""

    def space(self) -> Space:
        """Return the space, made from the present parameters."""
        ...


def as_they_are(features: Tensor) -> Tensor:
    """Return the features unchanged."""
    return features


def cosine_space(scale: Tensor | float = 1.0) -> Space:
    """Return a space of features divided by their length (0 stays 0), compared by scale · cosine."""
    return Space(lambda features: F.normalize(features, dim=-1), lambda queries, centres: scale * cosines(queries, centres))
