"""Prototype rectification, BD-CSPN. Transductive, and by default it ASSUMES THAT THE QUERIES ARE MIXED AS THE SUPPORT SET IS.

Jinlu Liu, Liang Song, Yongqiang Qin, "Prototype Rectification for Few-Shot Learning", ECCV 2020, arXiv 1911.10713, section 3.2. With h the
support vectors, h̃ the queries' and p_n the class means:

    ξ = mean of all h - mean of all h̃;   h̃_j ← h̃_j + ξ                                   cross-class bias: the sets lie apart
    X'_n = support items of class n, and the Z queries that are most surely of class n    intra-class bias: few items
    w_x,n = exp(ε cos(x, p_n)) / Σ_{x' in X'_n} exp(ε cos(x', p_n))
    p'_n = Σ_{x in X'_n} w_x,n x

A query is compared with p' instead of p. The shift is the assumption in capitals above: if the queries are of other classes in other
shares than the support set, their mean differs for that reason, and the shift does harm. `shift=False` assumes nothing.

Departures from the paper:
- How sure a query is, and the last comparison, are the learner's own logits: cosines only for learners that compare by cosines.
- p is the class mean as it is, and x is not scaled to unit length before the sums.

Measured: docs/learners/refinement.md.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import normalize, one_hot

from kshot.errors import RecipeError
from kshot.learners.heads.comparison_space import Compare
from kshot.learners.heads.item_scores import Examples
from kshot.learners.refinement.soft_k_means import centres_of
from kshot.learners.settings import require_count, require_positive
from kshot.value_types import LARGEST_COUNT


@dataclass(frozen=True)
class PrototypeRectification:
    """A refinement of class centres by the surest queries, as in the equations of this module.

    Attributes:
        surest: Z ≥ 0, the most queries per class that count; 0 leaves the class means as they are. The paper uses 8.
        scale: ε > 0, the factor of the cosines in the weights. The paper uses 10.
        shift: Whether the queries are moved by ξ. False assumes nothing about their classes.

    Raises:
        RecipeError: A number is out of its range.
    """

    surest: int = 8
    scale: float = 10.0
    shift: bool = True

    def __post_init__(self) -> None:
        require_count("surest of a refinement", self.surest, 0, LARGEST_COUNT)
        require_positive("scale of a refinement", self.scale)
        if type(self.shift) is not bool:
            raise RecipeError(f"shift of a refinement must be true or false; found {self.shift!r}.")

    @property
    def assumption(self) -> str:
        """Says, with the shift, that the queries are taken to be of the support set's classes in its shares."""
        if not self.shift:
            return ""
        return (
            "bd_cspn assumes that the queries are of the support set's classes in the same shares, which drawn episodes have and real "
            "tasks hardly ever have. bd_cspn:shift=false assumes nothing."
        )

    def __call__(self, compare: Compare, support: Examples, queries: Tensor) -> Tensor:
        """Return the logits of the queries; see `kshot.learners.refinement.refined.Refinement`."""
        if self.shift:
            queries = queries + (support.features.mean(1, keepdim=True) - queries.mean(1, keepdim=True))
        means = centres_of(support)
        logits = compare(queries, means)  # (B, Q, N)
        chosen = one_hot(logits.argmax(-1), logits.shape[-1]) > 0
        sureness = logits.log_softmax(-1).masked_fill(~chosen, -torch.inf)
        rank = sureness.argsort(dim=1, descending=True, stable=True).argsort(dim=1)
        member = torch.cat([support.labels > 0, chosen & (rank < self.surest)], 1)  # X', (B, S + Q, N)
        items = torch.cat([support.features, queries], 1)
        cosines = normalize(items, dim=-1) @ normalize(means, dim=-1).mT  # (B, S + Q, N)
        weights = (self.scale * cosines).masked_fill(~member, -torch.inf).softmax(1)
        absent = ~member.any(1, keepdim=True)  # a class without support items: compare gives it -∞, and no query is of it
        near = items[:, :1]  # sums of differences from an item are exact where all items are alike
        return compare(queries, near + weights.masked_fill(absent, 0.0).mT @ (items - near))
