"""Meta-SGD: MAML that also learns an inner rate for every parameter.

Zhenguo Li, Fengwei Zhou, Fei Chen, Hang Li, "Meta-SGD: learning to learn quickly for few-shot learning", 2017, arXiv 1707.09835.

    θ' = θ - α ∘ ∇ L_support(θ)                     α has the shape of θ: direction and length of the step are learnt     (equation 4)
    (θ, α) ← (θ, α) - β ∇_(θ,α) Σ L_query(θ')                                                                        (equation 5)

Departures from the paper: rates may become negative, as there, and start from a uniform draw of [0.005, 0.1]; more than one step takes
the same α in each; the mean over tasks in place of the sum. Normalisation and modes as in `kshot.learners.gradient.maml`. It has twice
MAML's parameters. Measured: docs/learners/meta-sgd.md.
"""

from typing import Literal

import torch
from torch import nn

from kshot.episodes.family import Classification, TaskFamily
from kshot.errors import RecipeError
from kshot.learners.gradient.gradient_learner import (
    GradientLearner,
    InductiveStatistics,
    by_name,
    checked,
    head_of,
    mode_named,
    statistics_of,
)
from kshot.learners.inner_loop.meta_gradient import InnerLoop
from kshot.learners.inner_loop.parameters import divide_parameters
from kshot.learners.inner_loop.steps import Rates
from kshot.learners.settings import require_positive


class MetaSGD(GradientLearner):
    """The two equations above; θ is all trainable parameters of the network.

    Args:
        backbone: Inputs (M, …) → features (M, D).
        features: D; `kshot train` finds it.
        outputs: N, the classes of every task (or T, the number of real targets).
        lowest: Of the rates at the start, > 0.
        highest: Of them, at least `lowest`; each is drawn uniformly in between.
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
        lowest: float = 0.005,
        highest: float = 0.1,
        inner_steps: int = 1,
        adapt_steps: int = 1,
        clip: float = 0.0,
        inductive: InductiveStatistics = "support",
        mode: Literal["unrolled", "flat"] = "unrolled",
        family: TaskFamily = Classification(),  # noqa: B008  # frozen
    ) -> None:
        super().__init__()
        require_positive("lowest", lowest)
        require_positive("highest", highest)
        if lowest > highest:
            raise RecipeError(f"inner rates start between lowest and highest; found {lowest} and {highest}. Put the smaller one first.")
        checked(lowest, inner_steps, adapt_steps, clip, inductive)
        self.backbone, self.head = backbone, head_of(features, outputs)
        self.arguments = {
            "features": features, "outputs": outputs, "lowest": lowest, "highest": highest, "inner_steps": inner_steps,
            "adapt_steps": adapt_steps, "clip": clip, "inductive": inductive, "mode": mode,
        }  # fmt: skip
        self.outputs, self.adapting, self.adapt_steps, self.inductive = outputs, None, adapt_steps, inductive
        self.statistics = statistics_of(inductive)  # type: ignore[misc]  # of this learner, for it is an argument
        self.training_loop = InnerLoop(
            inner_steps,
            Rates(clip=clip, cure="Train with smaller lowest and highest, take fewer steps, or clip inner gradients (clip=1)."),
            mode_named(mode),
        )
        self.family = family
        adapting = divide_parameters(self.network(), None).adapting
        self._rated = tuple(adapting)
        self.rates = nn.ParameterList(torch.empty_like(value).uniform_(lowest, highest) for value in adapting.values())

    def learnt_rates(self) -> dict[str, nn.Parameter]:
        """α by the parameter's name."""
        return by_name(self._rated, self.rates, divide_parameters(self.network(), None).adapting)
