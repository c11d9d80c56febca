"""Soft k-means refinement of class centres. Transductive.

Mengye Ren, Eleni Triantafillou, Sachin Ravi, Jake Snell, Kevin Swersky, Joshua B. Tenenbaum, Hugo Larochelle, Richard S. Zemel,
"Meta-Learning for Semi-Supervised Few-Shot Classification", ICLR 2018, arXiv 1803.00676, section 3.1.1.

    p_c = Σ_i h(x_i) z_{i,c} / Σ_i z_{i,c}                                        z: one-hot labels of the support items
    z̃_{j,c} = exp(-‖h(x̃_j) - p_c‖²) / Σ_c' exp(-‖h(x̃_j) - p_c'‖²)
    p̃_c = (Σ_i h(x_i) z_{i,c} + Σ_j h(x̃_j) z̃_{j,c}) / (Σ_i z_{i,c} + Σ_j z̃_{j,c})

and a query is compared with p̃ in place of p. Departures from the paper:
- x̃_j are the queries themselves, so the answer to one depends on the others; in the paper they are other unlabelled items.
- The last two lines may be repeated (`iterations`); the paper takes them once, in training and in testing. Here the learner is
  trained as it always was, and refined only when it predicts.
- -‖h - p‖² is the learner's own logit for a centre, times `scale`: a cosine for learners that compare by cosines.

Limits: classes that the first assignment mixes up stay mixed up. Logits that are flat, such as cosines without a scale, give every
query to all classes alike and draw the centres together: give a larger `scale`. Measured: docs/learners/refinement.md.
"""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from kshot.learners.heads.comparison_space import Compare
from kshot.learners.heads.item_scores import Examples
from kshot.learners.settings import require_count, require_positive


@dataclass(frozen=True)
class SoftKMeans:
    """The equations above.

    Attributes:
        iterations: How often the centres are moved, ≥ 0; 1 is the paper, 0 leaves the nearest centre of the support items.
        scale: Times the learner's logits, in the assignments, > 0.

    Raises:
        RecipeError: A number is out of its range.
    """

    assumption: ClassVar[str] = ""
    iterations: int = 4
    scale: float = 1.0

    def __post_init__(self) -> None:
        require_count("iterations of a refinement", self.iterations, 0)
        require_positive("scale of a refinement", self.scale)

    def __call__(self, compare: Compare, support: Examples, queries: Tensor) -> Tensor:
        """Logits of the queries; see `kshot.learners.refinement.refined.Refinement`."""
        centres = centres_of(support)
        for _ in range(self.iterations):
            assignment = (self.scale * compare(queries, centres)).softmax(-1)  # z̃, (B, Q, N)
            centres = centres_of(support, queries, assignment)
        return compare(queries, centres)


def centres_of(support: Examples, queries: Tensor | None = None, assignment: Tensor | None = None) -> Tensor:
    """p, or with queries p̃: the mean of each class's support items and of the queries, weighted by how much they belong to it.

    Args:
        support: Vectors (B, S, D) and one-hot labels (B, S, N); classes need not be balanced.
        queries: Vectors (B, Q, D).
        assignment: z̃ ≥ 0, (B, Q, N).

    Returns:
        (B, N, D); 0 for a class that nothing belongs to.
    """
    sums, weights = support.labels.mT @ support.features, support.labels.sum(1)  # (B, N, D) and (B, N)
    if queries is not None and assignment is not None:
        sums, weights = sums + assignment.mT @ queries, weights + assignment.sum(1)
    return sums / weights.masked_fill(weights == 0, 1.0).unsqueeze(-1)
