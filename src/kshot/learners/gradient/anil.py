"""Almost no inner loop: only the head takes gradient steps.

Aniruddh Raghu, Maithra Raghu, Samy Bengio, Oriol Vinyals, "Rapid learning or feature reuse? Towards understanding the effectiveness of
MAML", ICLR 2020, arXiv 1909.09157, section 4.

    h_i' = h - α ∇_h L_i(h ∘ f_θ)                   the head alone, n times
    (θ, h) ← (θ, h) - β ∇_(θ,h) Σ_i L_i(h_i' ∘ f_θ)     through the inner steps

The outer gradient reaches the backbone twice: through the features of the queries, and through those of the support set, by which the
head was adapted. Departures, normalisation and modes as in `kshot.learners.gradient.maml`. The features are computed anew in every inner
step. Measured: docs/learners/anil.md.
"""

from typing import Literal

from torch import nn

from kshot.episodes.family import Classification, TaskFamily
from kshot.learners.gradient.gradient_learner import GradientLearner, InductiveStatistics, checked, head_of, mode_named, statistics_of
from kshot.learners.inner_loop.meta_gradient import InnerLoop
from kshot.learners.inner_loop.steps import Rates


class ANIL(GradientLearner):
    """The two equations above; h is the linear head.

    Args:
        backbone: Inputs (M, …) → features (M, D).
        features: D; `kshot train` finds it.
        outputs: N, the classes of every task (or T, the number of real targets).
        inner_lr: α > 0.
        inner_steps: n in training, ≥ 0; with 0 the network is trained on all tasks jointly.
        adapt_steps: n outside training, ≥ 0.
        clip: Inner gradients of a larger norm are scaled down to it; 0 clips nothing.
        inductive: Whose statistics `predict` normalises with: `support`, or `running`.
        mode: `unrolled`, or `flat`: the same gradient with memory that hardly grows with n.
        family: The kind of task; classification, or regression for real targets.

    Raises:
        RecipeError: A setting makes no sense.
    """

    def __init__(
        self,
        backbone: nn.Module,
        *,
        features: int,
        outputs: int = 5,
        inner_lr: float = 0.4,
        inner_steps: int = 1,
        adapt_steps: int = 3,
        clip: float = 0.0,
        inductive: InductiveStatistics = "support",
        mode: Literal["unrolled", "flat"] = "unrolled",
        family: TaskFamily = Classification(),  # noqa: B008  # frozen
    ) -> None:
        super().__init__()
        checked(inner_lr, inner_steps, adapt_steps, clip, inductive)
        self.backbone, self.head = backbone, head_of(features, outputs)
        self.arguments = {
            "features": features, "outputs": outputs, "inner_lr": inner_lr, "inner_steps": inner_steps, "adapt_steps": adapt_steps,
            "clip": clip, "inductive": inductive, "mode": mode,
        }  # fmt: skip
        self.outputs, self.adapting, self.adapt_steps, self.inductive = outputs, "head", adapt_steps, inductive
        self.statistics = statistics_of(inductive)  # type: ignore[misc]  # of this learner, for it is an argument
        self.training_loop = InnerLoop(inner_steps, Rates(inner_lr, clip=clip), mode_named(mode))
        self.family = family

    def learnt_rates(self) -> dict[str, nn.Parameter]:
        """None: α is given."""
        return {}
