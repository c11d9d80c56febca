"""First-order MAML: the gradient at the adapted parameters, applied to where they started.

Chelsea Finn, Pieter Abbeel, Sergey Levine, "Model-agnostic meta-learning for fast adaptation of deep networks", ICML 2017,
arXiv 1703.03400, section 5.2.

    θ_i' = θ - α ∇_θ L_i(f_θ)                       n of them
    θ ← θ - β Σ_i ∇_θ_i' L_i(f_θ_i')                at θ_i', not through it

The second derivatives that MAML's outer gradient holds are left out, so this is no gradient of the loss after adaptation; it costs about
half of it in time, and memory does not grow with n. Departures, normalisation and modes as in `kshot.learners.gradient.maml`.
Measured: docs/learners/first-order-maml.md.
"""

from torch import nn

from kshot.episodes.family import Classification, TaskFamily
from kshot.learners.gradient.gradient_learner import GradientLearner, InductiveStatistics, checked, head_of, statistics_of
from kshot.learners.inner_loop.meta_gradient import InnerLoop
from kshot.learners.inner_loop.modes.first_order import first_order
from kshot.learners.inner_loop.steps import Rates


class FirstOrderMAML(GradientLearner):
    """The two equations above; θ is all of the network.

    Args:
        backbone: Inputs (M, …) → features (M, D).
        features: D; `kshot train` finds it.
        outputs: N, the classes of every task (or T, the number of real targets).
        inner_lr: α > 0.
        inner_steps: n in training, ≥ 0; with 0 the network is trained on all tasks jointly.
        adapt_steps: n outside training, ≥ 0.
        clip: Inner gradients of a larger norm are scaled down to it; 0 clips nothing.
        inductive: Whose statistics `predict` normalises with: `support`, or `running`.
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
        family: TaskFamily = Classification(),  # noqa: B008  # frozen
    ) -> None:
        super().__init__()
        checked(inner_lr, inner_steps, adapt_steps, clip, inductive)
        self.backbone, self.head = backbone, head_of(features, outputs)
        self.arguments = {
            "features": features, "outputs": outputs, "inner_lr": inner_lr, "inner_steps": inner_steps, "adapt_steps": adapt_steps,
            "clip": clip, "inductive": inductive,
        }  # fmt: skip
        self.outputs, self.adapting, self.adapt_steps, self.inductive = outputs, None, adapt_steps, inductive
        self.statistics = statistics_of(inductive)  # type: ignore[misc]  # of this learner, for it is an argument
        self.training_loop = InnerLoop(inner_steps, Rates(inner_lr, clip=clip), first_order)
        self.family = family

    def learnt_rates(self) -> dict[str, nn.Parameter]:
        """None: α is given."""
        return {}
