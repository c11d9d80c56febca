"""Soft k-means refinement of class centres. It is transductive.

Mengye Ren, Eleni Triantafillou, Sachin Ravi, Jake Snell, Kevin Swersky, Joshua B. Tenenbaum, Hugo Larochelle, Richard S. Zemel,
"Meta-Learning for Semi-Supervised Few-Shot Classification", ICLR 2018, arXiv 1803.00676, section 3.1.1.

    p_c = Σ_i h(x_i) z_{i,c} / Σ_i z_{i,c}                                        z: one-hot labels of the support items
    z̃_{j,c} = exp(-‖h(x̃_j) - p_c‖²) / Σ_c' exp(-‖h(x̃_j) - p_c'‖²)
    p̃_c = (Σ_i h(x_i) z_{i,c} + Σ_j h(x̃_j) z̃_{j,c}) / (Σ_i z_{i,c} + Σ_j z̃_{j,c})

A query is compared with p̃ instead of p. Departures from the paper:
- x̃_j are the queries, so the answer to one query depends on the others. In the paper, they are other unlabelled items.
- The last two lines may be repeated (`iterations`). The paper runs them once, in training and in testing. Here the learner is trained
  without refinement and refined only when it predicts.
- -‖h - p‖² is the learner's own logit for a centre, times `scale`: a cosine for learners that compare by cosines.

Limits: classes that the first assignment confuses stay confused. Flat logits, for example cosines without a scale, assign every query to
all classes equally and pull the centres together: use a larger `scale`. Measured: docs/learners/refinement.md.
"""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from kshot.learners.heads.comparison_space import Compare
from kshot.learners.heads.item_scores import Examples
from kshot.learners.settings import MOST_STEPS, require_count, require_positive


@dataclass(frozen=True)
class SoftKMeans:
    """A refinement of class centres by soft k-means, as in the equations of this module.

    Attributes:
        iterations: How often the centres are moved, ≥ 0. The paper uses 1. With 0, the nearest centre of the support items is the answer.
        scale: Factor of the learner's logits in the assignments, > 0.

    Raises:
        RecipeError: A number is out of its range.
    """

    assumption: ClassVar[str] = ""
    iterations: int = 4
    scale: float = 1.0

    def __post_init__(self) -> None:
        require_count("iterations of a refinement", self.iterations, 0, MOST_STEPS)
        require_positive("scale of a refinement", self.scale)

    def __call__(self, compare: Compare, support: Examples, queries: Tensor) -> Tensor:
        """Return the logits of the queries; see `kshot.learners.refinement.refined.Refinement`."""
        centres = centres_of(support)
        for _ in range(self.iterations):
            assignment = (self.scale * compare(queries, centres)).softmax(-1)  # z̃, (B, Q, N)
            centres = centres_of(support, queries, assignment)
        return compare(queries, centres)


def centres_of(support: Examples, queries: Tensor | None = None, assignment: Tensor | None = None) -> Tensor:
    """Return p, or p̃ if queries are given: the mean of each class's support items and the queries, weighted by their assignment to it.

    Args:
        support: Vectors (B, S, D) and one-hot labels (B, S, N); classes need not be balanced.
        queries: Vectors (B, Q, D).
        assignment: z̃ ≥ 0, (B, Q, N).

    Returns:
        (B, N, D); 0 for a class to which nothing belongs.
    """
    sums, weights = support.labels.mT @ support.features, support.labels.sum(1)  # (B, N, D) and (B, N)
    if queries is not None and assignment is not None:
        sums, weights = sums + assignment.mT @ queries, weights + assignment.sum(1)
    return sums / weights.masked_fill(weights == 0, 1.0).unsqueeze(-1)
