"""Almost no inner loop: only the head takes gradient steps.

Aniruddh Raghu, Maithra Raghu, Samy Bengio, Oriol Vinyals, "Rapid learning or feature reuse? Towards understanding the effectiveness of
MAML", ICLR 2020, arXiv 1909.09157, section 4.

    h_i' = h - α ∇_h L_i(h ∘ f_θ)                   the head alone, n times
    (θ, h) ← (θ, h) - β ∇_(θ,h) Σ_i L_i(h_i' ∘ f_θ)     through the inner steps

The outer gradient reaches the backbone twice: through the features of the queries, and through those of the support set, by which the
head was adapted. Departures, normalisation and modes as in `kshot.learners.gradient.maml`. The features are computed again in every inner
step. Measured: docs/learners/anil.md.
"""

from collections.abc import Mapping
from typing import Literal

from torch import Tensor, nn

from kshot.episodes.episode import EpisodeBatch
from kshot.episodes.family import Classification, TaskFamily
from kshot.learners.gradient.adapted_network import head_of
from kshot.learners.gradient.gradient_learner import (
    MODES,
    GradientLearner,
    InductiveStatistics,
    check_counts,
    checked_mode,
    outer_gradient,
    statistics_of,
)
from kshot.learners.inner_loop.descent import Descent, InnerOptimizer, direction_named, rates_by_pattern
from kshot.learners.inner_loop.parameters import divide_parameters
from kshot.learners.settings import require_positive


class ANIL(GradientLearner):
    """The two equations above; h is the linear head.

    Args:
        backbone: Inputs (M, …) → features (M, D).
        features: D; `kshot train` finds it.
        outputs: N, the classes of every task (or T, the number of real targets).
        inner_lr: α > 0.
        inner_optimizer: The inner update rule: `sgd` as in the paper, `momentum`, `rmsprop` or `adam`; or a table with its settings.
        layer_lr: α of some layers, by patterns of parameter names, such as `{"head.*": 0.1}`.
        inner_steps: n in training, ≥ 0; with 0 the network is trained on all tasks jointly.
        adapt_steps: n outside training, ≥ 0.
        clip: Inner gradients of a larger norm are scaled down to it; 0 clips nothing.
        inductive: The statistics that `predict` normalises with: those of the `support` set, or the `running` ones.
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
        inner_optimizer: InnerOptimizer = "sgd",
        layer_lr: Mapping[str, float] | None = None,
        inner_steps: int = 1,
        adapt_steps: int = 3,
        clip: float = 0.0,
        inductive: InductiveStatistics = "support",
        mode: Literal["unrolled", "flat"] = "unrolled",
        family: TaskFamily = Classification(),  # noqa: B008  # frozen
    ) -> None:
        super().__init__()
        require_positive("inner_lr", inner_lr)
        check_counts(inner_steps, adapt_steps, inductive)
        self.backbone, self.head = backbone, head_of(features, outputs)
        self.outputs, self.adapting, self.inner_steps, self.adapt_steps = outputs, "head", inner_steps, adapt_steps
        self.inductive, self.statistics = inductive, statistics_of(inductive)  # type: ignore[misc]  # of this learner: an argument
        self.mode = checked_mode(mode)
        names = divide_parameters(self.network(), self.adapting).adapting
        self.descent = Descent(inner_lr, direction_named(inner_optimizer), rates_by_pattern(layer_lr, names), clip=clip)
        self.family = family

    def rule(self) -> Descent:
        """α is given: nothing of the rule is learnt."""
        return self.descent

    def meta_backward(self, batch: EpisodeBatch, progress: float) -> Tensor:
        """The second equation for the tasks of a batch, as in MAML (`kshot.learners.inner_loop.modes.unrolled`), with h alone adapting.

        Returns the queries' losses (B,); the gradient of their mean is left in `.grad`.

        Raises:
            RecipeError: The support sets have another way than the head.
            TrainingError: An inner loop diverged; its episode is named.
        """
        return outer_gradient(self, batch, MODES[self.mode], learnt={})
