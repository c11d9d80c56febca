"""The space in which a learner compares items with the centres of classes.

What a refinement of class centres (`kshot.learners.refinement.refined`) must know of a learner: which vectors to average, and how to turn a
query and centres into logits. In: features. Out: vectors and logits. A learner that compares in its own way says so with a method
`space`; of all others, whose features are vectors, the space is `kshot.learners.refinement.refined.EUCLIDEAN`.
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
        logits: Vectors of queries (B, Q, D) and centres (B, N, D) → logits (B, Q, N); the larger, the nearer.
    """

    vectors: Callable[[Tensor], Tensor]
    logits: Compare


@runtime_checkable
class HasSpace(Protocol):
    """A learner whose comparison is not minus the squared Euclidean distance of its features."""

    def space(self) -> Space:
        """Its space, made of its parameters as they are."""
        ...


def as_they_are(features: Tensor) -> Tensor:
    """The features are the vectors."""
    return features


def cosine_space(scale: Tensor | float = 1.0) -> Space:
    """Features divided by their length (0 stays 0), compared by scale · cosine."""
    return Space(lambda features: F.normalize(features, dim=-1), lambda queries, centres: scale * cosines(queries, centres))
