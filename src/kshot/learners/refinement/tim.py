"""Transductive information maximisation, TIM. It PREFERS EQUALLY MANY QUERIES OF EACH CLASS.

Malik Boudiaf, Imtiaz Masud Ziko, Jérôme Rony, José Dolz, Pablo Piantanida, Ismail Ben Ayed, "Transductive Information Maximization For
Few-Shot Learning", NeurIPS 2020, arXiv 2008.11297, section 2. With p_jn = softmax over n of ℓ(h̃_j, w_n):

    p̂_n = 1/|Q| Σ_j p_jn
    w ← argmin  λ CE(support) + Σ_n p̂_n log p̂_n - α/|Q| Σ_jn p_jn log p_jn         from the class means on, by Adam

The second term is the negative entropy of the classes' shares, and the third the entropy of each answer: queries should be of all classes,
and each surely of one. The second is the preference in capitals above; where it does not hold, `balance` between 0 and 1 weakens it.

Departures from the paper:
- ℓ is the learner's own logit for a centre, times `scale`; in the paper -τ/2 ‖h̃ - w‖² of vectors of unit length, with τ = 15.
- Vectors may have any length: Adam's rate is given as a share of the mean length of the support vectors, which is 1 in the paper.
- The default is 100 steps of 0.001 in place of 1,000 steps of 0.0001, by which a centre gets as far. This is the paper's TIM-GD; its
  TIM-ADM, which the authors report to be as good and faster, needs squared distances.

Measured: docs/learners/refinement.md.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from kshot.errors import RecipeError
from kshot.learners.heads.comparison_space import Compare
from kshot.learners.heads.item_scores import Examples
from kshot.learners.refinement.soft_k_means import centres_of
from kshot.learners.settings import MOST_STEPS, require_count, require_positive


@dataclass(frozen=True)
class InformationMaximisation:
    """A refinement of class centres by the information that the queries' answers give, as in the equations of this module.

    Attributes:
        steps: Steps of Adam, ≥ 0. With 0, the nearest class mean is the answer.
        rate: Adam's rate > 0, as a share of the mean length of the support vectors.
        scale: Factor of the learner's logits, > 0.
        support: λ > 0, the weight of the support set's cross-entropy.
        sureness: α > 0, the weight of the entropy of each answer.
        balance: Weight of the entropy of the classes' shares, 0 to 1. The paper uses 1; 0 assumes nothing about the shares.

    Raises:
        RecipeError: A number is out of its range.
    """

    steps: int = 100
    rate: float = 1e-3
    scale: float = 1.0
    support: float = 0.1
    sureness: float = 0.1
    balance: float = 1.0

    def __post_init__(self) -> None:
        require_count("steps of a refinement", self.steps, 0, MOST_STEPS)
        for name in ("rate", "scale", "support", "sureness"):
            require_positive(f"{name} of a refinement", getattr(self, name))
        if isinstance(self.balance, bool) or not isinstance(self.balance, int | float) or not 0 <= self.balance <= 1:
            raise RecipeError(f"balance of a refinement must be a number from 0 to 1; found {self.balance!r}.")

    @property
    def assumption(self) -> str:
        """Says that equal shares are preferred, unless `balance` is 0."""
        if not self.balance:
            return ""
        return (
            "tim prefers equally many queries of each class, which drawn episodes have and real tasks hardly ever have. "
            "tim:balance=0 assumes nothing."
        )

    def __call__(self, compare: Compare, support: Examples, queries: Tensor) -> Tensor:
        """Return the logits of the queries; see `kshot.learners.refinement.refined.Refinement`."""
        start, asked = centres_of(support).detach(), queries.detach()
        length = support.features.detach().norm(dim=-1).mean(1)[:, None, None]  # (B, 1, 1)
        moved = torch.zeros_like(start, requires_grad=True)  # by what share of the length each centre moved
        adam = torch.optim.Adam([moved], lr=self.rate)  # number by number, so that the tasks of a batch do not meet
        with torch.enable_grad():  # who only asks for answers turns gradients off
            for _ in range(self.steps):
                loss = self.loss(compare, support, asked, start + length * moved).sum()
                (moved.grad,) = torch.autograd.grad(loss, [moved])  # and none for the learner, whose logits may have parameters
                adam.step()
        return compare(queries, start + length * moved.detach())

    def loss(self, compare: Compare, support: Examples, queries: Tensor, centres: Tensor) -> Tensor:
        """Return what is minimised, one number per task, (B,). Arguments as in `__call__`; w: (B, N, D)."""
        known, asked = (self.scale * compare(items, centres) for items in (support.features, queries))
        absent = torch.isneginf(asked[:, 0].detach())  # (B, N): classes without support items
        of_support, of_queries = known.log_softmax(-1), asked.log_softmax(-1).masked_fill(absent.unsqueeze(1), 0.0)
        cross_entropy = -(support.labels * of_support.masked_fill(absent.unsqueeze(1), 0.0)).sum(-1).mean(1)
        answers = of_queries.exp().masked_fill(absent.unsqueeze(1), 0.0)  # p, (B, Q, N)
        conditional = -(answers * of_queries).sum(-1).mean(1)
        shares = answers.mean(1).masked_fill(absent, 1.0).clamp_min(torch.finfo(queries.dtype).tiny)  # p̂, (B, N); 1 log 1 = 0
        marginal = -(shares * shares.log()).sum(-1)
        return self.support * cross_entropy - self.balance * marginal + self.sureness * conditional
