"""Refinement of class centres by optimal transport. Transductive, and by default it ASSUMES EQUALLY MANY QUERIES OF EACH CLASS.

Yuqing Hu, Vincent Gripon, Stéphane Pateux, "Leveraging the Feature Distribution in Transfer-based Few-Shot Learning", ICANN 2021,
arXiv 2006.03806: the MAP part of PT+MAP. With h(x_i) the support items and their one-hot labels z, h(x̃_j) the Q queries:

    M = argmax Σ_jc M_jc ℓ_jc + H(M)       over M ≥ 0 with rows that sum to 1 and columns that sum to Q / N        (Sinkhorn)
    μ_c = (Σ_i h(x_i) z_{i,c} + Σ_j h(x̃_j) M_jc) / (Σ_i z_{i,c} + Σ_j M_jc)
    c ← c + α (μ - c)

These steps are repeated, with ℓ = -λ ‖h(x̃) - c‖², starting from the class means. The sums of the columns are the assumption in capitals
above: M gives every class exactly its share of the queries. This holds in drawn episodes and hardly ever elsewhere. Where it does not hold,
queries are forced into classes that they do not belong to, and the answer is far worse than without refinement (measured in
docs/learners/refinement.md). `balanced=False` drops the condition on the columns and assumes nothing: M is the softmax of ℓ, and the steps
are those of soft k-means, shortened by α.

Departures from the paper:
- There is no power transform and no scaling to unit length before: ℓ is the learner's own logit for a centre, times `scale` (λ).
- Each step runs `ROUNDS` rounds of Sinkhorn's iteration from where the last step ended, instead of rounds until the columns fit. The
  centres move little from step to step, and the answer to a task is the same in any batch. All numbers are logarithms, so nothing is
  divided by 0.
- The answer is ℓ / λ with the column potentials of the last step added; a softmax turns it into M.

Limits: the same as those of soft k-means. Fewer queries than classes cannot be balanced, which is an error. Measured:
docs/learners/refinement.md.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from kshot.errors import RecipeError
from kshot.learners.heads.comparison_space import Compare
from kshot.learners.heads.item_scores import Examples
from kshot.learners.refinement.soft_k_means import centres_of
from kshot.learners.settings import MOST_STEPS, require_count, require_positive

ROUNDS = 5


@dataclass(frozen=True)
class OptimalTransport:
    """A refinement of class centres by optimal transport, as in the equations of this module.

    Attributes:
        steps: How often the centres are moved, ≥ 0. With 0, the nearest centre of the support items is the answer.
        rate: α, in (0, 1].
        scale: λ > 0, the factor of the learner's logits.
        balanced: Whether to assume that every class has the same number of queries. False assumes nothing.

    Raises:
        RecipeError: A number is out of its range.
    """

    steps: int = 20
    rate: float = 0.2
    scale: float = 1.0
    balanced: bool = True

    def __post_init__(self) -> None:
        require_count("steps of a refinement", self.steps, 0, MOST_STEPS)
        require_positive("rate of a refinement", self.rate)
        require_positive("scale of a refinement", self.scale)
        if self.rate > 1:
            raise RecipeError(f"rate of a refinement must be 1 or less; found {self.rate!r}.")
        if type(self.balanced) is not bool:
            raise RecipeError(f"balanced of a refinement must be true or false; found {self.balanced!r}.")

    @property
    def assumption(self) -> str:
        """Says, if balanced, that equal shares are assumed."""
        if not self.balanced:
            return ""
        return (
            "optimal_transport assumes equally many queries of each class, which drawn episodes have and real tasks hardly ever have; "
            "otherwise it does great harm. optimal_transport:balanced=false assumes nothing."
        )

    def __call__(self, compare: Compare, support: Examples, queries: Tensor) -> Tensor:
        """Return the logits of the queries; see `kshot.learners.refinement.refined.Refinement`.

        Raises:
            RecipeError: The assignment is balanced and there are fewer queries than classes.
        """
        Q, N = queries.shape[1], support.labels.shape[-1]
        if self.balanced and Q < N:
            raise RecipeError(
                f"a balanced assignment gives each of the {N} classes the same number of queries, so it needs at least {N}; found {Q}. "
                "Ask more queries together, or refine with balanced=false, which assumes nothing."
            )
        centres = centres_of(support)
        potentials = torch.zeros_like(centres[..., 0])  # (B, N)
        for _ in range(self.steps):
            logits = self.scale * compare(queries, centres)  # ℓ, (B, Q, N)
            potentials = column_potentials(logits, potentials) if self.balanced else potentials
            assignment = (logits + potentials.unsqueeze(1)).softmax(-1)  # M
            centres = centres + self.rate * (centres_of(support, queries, assignment) - centres)
        return compare(queries, centres) + potentials.unsqueeze(1) / self.scale


def column_potentials(logits: Tensor, start: Tensor, rounds: int = ROUNDS) -> Tensor:
    """Run Sinkhorn's iteration: find v such that the softmax of ℓ + v over the classes gives each class the same share of the queries.

    Args:
        logits: ℓ, (B, Q, N). A class that is left out has -∞ throughout.
        start: Starting value of v, (B, N).
        rounds: Number of rounds.

    Returns:
        v, (B, N); 0 for a class that is left out.
    """
    part = logits[:, 0].isfinite()  # (B, N)
    share = math.log(logits.shape[1]) - part.sum(1, keepdim=True).to(logits.dtype).log()  # (B, 1), the logarithm of Q / N
    v = start
    for _ in range(rounds):
        rows = (logits + v.unsqueeze(1)).logsumexp(-1, keepdim=True)  # (B, Q, 1)
        columns = (logits - rows).masked_fill(~part.unsqueeze(1), 0.0).logsumexp(1)  # (B, N)
        v = (share - columns).masked_fill(~part, 0.0)
    return v
