"""First-order MAML: the gradient at the adapted parameters, applied to where they started.

Chelsea Finn, Pieter Abbeel, Sergey Levine, "Model-agnostic meta-learning for fast adaptation of deep networks", ICML 2017,
arXiv 1703.03400, section 5.2.

    θ_i' = θ - α ∇_θ L_i(f_θ)                       n of them
    θ ← θ - β Σ_i ∇_θ_i' L_i(f_θ_i')                at θ_i', not through it

The second derivatives that MAML's outer gradient holds are left out, so this is no gradient of the loss after adaptation; it costs about
half of it in time, and memory does not grow with n. Departures, normalisation and modes as in `kshot.learners.gradient.maml`.
Measured: docs/learners/first-order-maml.md.
"""

from collections.abc import Mapping

from torch import Tensor, nn

from kshot.episodes.episode import EpisodeBatch
from kshot.episodes.family import Classification, TaskFamily
from kshot.learners.inner_loop.descent import Descent, InnerOptimizer, direction_named, rates_by_pattern
from kshot.learners.inner_loop.gradient_learner import (
    GradientLearner,
    InductiveStatistics,
    outer_gradient,
)
from kshot.learners.inner_loop.modes.first_order import first_order
from kshot.learners.inner_loop.parameters import Adapt, divide_parameters
from kshot.learners.settings import require_positive


class FirstOrderMAML(GradientLearner):
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
        family: TaskFamily = Classification(),  # noqa: B008  # frozen
    ) -> None:
        super().__init__(
            backbone,
            features=features,
            outputs=outputs,
            inner_steps=inner_steps,
            adapt_steps=adapt_steps,
            inductive=inductive,
            family=family,
        )
        require_positive("inner_lr", inner_lr)
        names = divide_parameters(self.network(), self.adapting).adapting
        self.descent = Descent(inner_lr, direction_named(inner_optimizer), rates_by_pattern(layer_lr, names), clip=clip)

    @property
    def adapting(self) -> Adapt:
        """All of the network."""
        return None

    def rule(self) -> Descent:
        """α is given: nothing of the rule is learnt."""
        return self.descent

    def meta_backward(self, batch: EpisodeBatch, progress: float) -> Tensor:
        """The second equation for the tasks of a batch; it stands in `kshot.learners.inner_loop.modes.first_order`.

        Returns the queries' losses (B,); the mean of the gradients at θ_i' is left in `.grad`.

        Raises:
            RecipeError: The support sets have another way than the head.
            TrainingError: An inner loop diverged; its episode is named.
        """
        return outer_gradient(self, batch, first_order, learnt={})
