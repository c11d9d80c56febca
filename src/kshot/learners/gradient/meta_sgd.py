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
from torch import Tensor, nn

from kshot.episodes.episode import EpisodeBatch
from kshot.episodes.family import Classification, TaskFamily
from kshot.errors import RecipeError
from kshot.learners.inner_loop.descent import Descent, InnerOptimizer, direction_named
from kshot.learners.inner_loop.gradient_learner import (
    MODES,
    GradientLearner,
    InductiveStatistics,
    by_name,
    checked_mode,
    outer_gradient,
)
from kshot.learners.inner_loop.parameters import Adapt, divide_parameters
from kshot.learners.settings import require_positive


class MetaSGD(GradientLearner):
    """The two equations above; θ is all trainable parameters of the network.

    Args:
        backbone: Inputs (M, …) → features (M, D).
        features: D; `kshot train` finds it.
        outputs: N, the classes of every task (or T, the number of real targets).
        lowest: Smallest rate at the start, > 0.
        highest: Largest rate at the start, at least `lowest`; each rate is drawn uniformly in between.
        inner_optimizer: What α scales: the gradient (`sgd`) as in the paper, or the direction of `momentum`, `rmsprop` or `adam`.
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
        lowest: float = 0.005,
        highest: float = 0.1,
        inner_optimizer: InnerOptimizer = "sgd",
        inner_steps: int = 1,
        adapt_steps: int = 1,
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
        require_positive("lowest", lowest)
        require_positive("highest", highest)
        if lowest > highest:
            raise RecipeError(f"inner rates start between lowest and highest; found {lowest} and {highest}. Put the smaller one first.")
        self.mode = checked_mode(mode)
        cure = "Train with smaller lowest and highest, take fewer steps, or clip inner gradients (clip=1)."
        self.descent = Descent(direction=direction_named(inner_optimizer), clip=clip, cure=cure)
        adapting = divide_parameters(self.network()).adapting
        self._rated = tuple(adapting)
        self.rates = nn.ParameterList(torch.empty_like(value).uniform_(lowest, highest) for value in adapting.values())

    @property
    def adapting(self) -> Adapt:
        """All of the network."""
        return None

    def rule(self) -> Descent:
        """With α as it is now."""
        return self.descent.with_learnt({name: rate.detach() for name, rate in self.learnt_rates().items()})

    def learnt_rates(self) -> dict[str, nn.Parameter]:
        """α by the parameter's name."""
        return by_name(self._rated, self.rates, divide_parameters(self.network()).adapting)

    def meta_backward(self, batch: EpisodeBatch, progress: float) -> Tensor:
        """The gradient of equation 5 for the tasks of a batch, as in MAML (`kshot.learners.inner_loop.modes.unrolled`), with that of α.

        Returns the queries' losses (B,); the gradient of their mean is left in `.grad`.

        Raises:
            RecipeError: The support sets have another way than the head.
            TrainingError: An inner loop diverged; its episode is named.
        """
        return outer_gradient(self, batch, MODES[self.mode], learnt=self.learnt_rates())
