"""Gradient learners whose inner update rule is given, not learnt: what MAML, ANIL and BOIL share. They differ in what adapts.

Next: `maml`, `anil`, `boil`.
"""

from collections.abc import Mapping
from typing import Literal

from torch import nn

from kshot.episodes.family import Classification, TaskFamily
from kshot.learners.inner_loop.descent import Descent, InnerOptimizer, direction_named, rates_by_pattern
from kshot.learners.inner_loop.gradient_learner import GradientLearner, InductiveStatistics, checked_mode
from kshot.learners.inner_loop.parameters import divide_parameters
from kshot.learners.settings import require_positive


class GivenRuleLearner(GradientLearner):
    """A learner that takes n steps of one rule; abstract.

    Args:
        backbone: Inputs (M, …) → features (M, D).
        features: D; `kshot train` finds it.
        outputs: N, the classes of every task (or T, the number of real targets).
        inner_lr: α > 0.
        inner_optimizer: The inner update rule: `sgd` as in the papers, `momentum`, `rmsprop` or `adam`; or a table with its settings.
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
        self.mode = checked_mode(mode)
        names = divide_parameters(self.network(), self.adapting).adapting
        self.descent = Descent(inner_lr, direction_named(inner_optimizer), rates_by_pattern(layer_lr, names), clip=clip)

    def rule(self) -> Descent:
        """α is given: nothing of the rule is learnt."""
        return self.descent
