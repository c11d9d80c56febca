"""Model-agnostic meta-learning: an initialisation from which a few gradient steps solve a new task.

Chelsea Finn, Pieter Abbeel, Sergey Levine, "Model-agnostic meta-learning for fast adaptation of deep networks", ICML 2017,
arXiv 1703.03400.

    θ_i' = θ - α ∇_θ L_i(f_θ)                       inner update on the support set of task i; n of them           (algorithm 1, line 6)
    θ ← θ - β ∇_θ Σ_i L_i(f_θ_i')                   outer update on its queries, through the inner ones            (algorithm 1, line 8)

The gradient of line 8 is exact: it holds the second derivatives of the support loss. Line 8's optimiser is the run's (Adam in the paper).
Departures from the paper: the mean over tasks in place of the sum; any backbone (the authors' Omniglot network has strides where Conv4
pools). As in the authors' code, batch normalisation uses the statistics of the items at hand, in training and at test, so the paper's
numbers are transductive (`predict_together`); `predict` is inductive. See `kshot.learners.gradient.gradient_learner`.

Measured: docs/learners/maml.md.
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


class MAML(GradientLearner):
    """The two equations above; θ is all of the network.

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
        self.outputs, self.adapting, self.inner_steps, self.adapt_steps = outputs, None, inner_steps, adapt_steps
        self.inductive, self.statistics = inductive, statistics_of(inductive)  # type: ignore[misc]  # of this learner: an argument
        self.mode = checked_mode(mode)
        names = divide_parameters(self.network(), self.adapting).adapting
        self.descent = Descent(inner_lr, direction_named(inner_optimizer), rates_by_pattern(layer_lr, names), clip=clip)
        self.family = family

    def rule(self) -> Descent:
        """α is given: nothing of the rule is learnt."""
        return self.descent

    def meta_backward(self, batch: EpisodeBatch, progress: float) -> Tensor:
        """Lines 5 to 8 of algorithm 1 for the tasks of a batch.

        They stand, with their numbers, in `kshot.learners.inner_loop.modes.unrolled`. Returns the queries' losses (B,); the gradient of
        their mean is left in `.grad`.

        Raises:
            RecipeError: The support sets have another way than the head.
            TrainingError: An inner loop diverged; its episode is named.
        """
        return outer_gradient(self, batch, MODES[self.mode], learnt={})
