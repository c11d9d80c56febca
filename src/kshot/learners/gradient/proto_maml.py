"""Proto-MAML: the head of every task starts from its prototypes, and gradients flow through them.

Eleni Triantafillou, Tyler Zhu, Vincent Dumoulin, Pascal Lamblin, Utku Evci, Kelvin Xu, Ross Goroshin, Carles Gelada, Kevin Swersky,
Pierre-Antoine Manzagol, Hugo Larochelle, "Meta-Dataset: a dataset of datasets for learning to learn from few examples", ICLR 2020,
arXiv 1903.03096; where we name the authors' code, it is `MAMLLearner` of google-research/meta-dataset.

    c_k = mean of f_θ(x) over the support items of class k              the prototypes
    W_k = 2 c_k,   b_k = -‖c_k‖²                                        since -‖f - c_k‖² = W_k·f + b_k - ‖f‖²
    φ_0 = (θ, W, b),   φ_{t+1} = φ_t - α ∇ L_support(φ_t)               n steps of backbone and head
    θ ← θ - β Σ_i d L_i(φ_n) / dθ                                       through W and b, too

So a head is made for every task and none is learnt: tasks may have any way. With n = 0 it is a Prototypical Network. As the authors' code
does unless told otherwise, `first_order` holds the slopes of the steps constant, but still goes through the prototypes; `unrolled` and
`flat` are exact. Scale and shift of batch normalisation learn, and the inner steps leave them as they are, as there (`adapt_batch_norm`).

Departures: any number of tasks per update; queries of training are normalised by their own statistics, as in
`kshot.learners.gradient.maml`, where the authors' code takes the support set's. A class without a support item has W_k = 0 and b_k = -∞.
The start of φ is `kshot.learners.inner_loop.start`. Measured: docs/learners/proto-maml.md.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from kshot.data.inputs import Inputs
from kshot.episodes.episode import EpisodeBatch
from kshot.episodes.family import Classification, TaskFamily
from kshot.learners.asked import check_support
from kshot.learners.inner_loop.adapted_network import BackboneAndMadeHead, FastWeights
from kshot.learners.inner_loop.descent import Descent, InnerOptimizer, direction_named, rates_by_pattern
from kshot.learners.inner_loop.gradient_learner import (
    MODES,
    FastWeightLearner,
    InductiveStatistics,
    a_seed,
    checked_mode,
    settle,
)
from kshot.learners.inner_loop.loop import InnerLoop
from kshot.learners.inner_loop.meta_gradient import meta_gradient
from kshot.learners.inner_loop.modes.first_order import first_order
from kshot.learners.inner_loop.modes.outer_gradient import OuterGradient
from kshot.learners.inner_loop.parameters import Parameters, Tensors, divide_parameters
from kshot.learners.learner import require_family, way_of
from kshot.learners.settings import require_positive

_MODES: dict[str, OuterGradient] = {"first_order": first_order, **MODES}


@dataclass(frozen=True)
class PrototypeHead:
    """W and b of N classes, as a `Start`: features (B, S, D) and labels (B, S) → `head.weight` (B, N, D) and `head.bias` (B, N)."""

    way: int

    def __call__(self, features: Tensor, y: Tensor) -> Tensors:
        """The second line above."""
        member = (y.unsqueeze(-1) == torch.arange(self.way, device=y.device)).to(features.dtype)  # (B, S, N); the loss looks at labels
        count = member.sum(1)  # (B, N)
        centres = member.mT @ features / count.clamp_min(1).unsqueeze(-1)  # (B, N, D)
        return {"head.weight": 2 * centres, "head.bias": (-centres.square().sum(-1)).masked_fill(count == 0, -torch.inf)}


class ProtoMAML(FastWeightLearner):
    """The four lines above.

    Args:
        backbone: f: inputs (M, …) → features (M, D).
        inner_lr: α > 0.
        inner_optimizer: The inner update rule: `sgd` as in the paper, `momentum`, `rmsprop` or `adam`; or a table with its settings.
        layer_lr: α of some layers, by patterns of parameter names, such as `{"head.*": 0.1}`.
        inner_steps: n in training, ≥ 0.
        adapt_steps: n outside training, ≥ 0.
        clip: Inner gradients of a larger norm are scaled down to it; 0 clips nothing.
        inductive: The statistics that `predict` normalises with: those of the `support` set, or the `running` ones.
        mode: `first_order` as in the authors' code, or the exact gradient: `unrolled`, or `flat` with memory that hardly grows with n.
        family: The task family; it must be classification.

    Raises:
        RecipeError: A setting makes no sense.
    """

    def __init__(
        self,
        backbone: nn.Module,
        *,
        inner_lr: float = 0.01,
        inner_optimizer: InnerOptimizer = "sgd",
        layer_lr: Mapping[str, float] | None = None,
        inner_steps: int = 5,
        adapt_steps: int = 5,
        clip: float = 0.0,
        inductive: InductiveStatistics = "support",
        mode: Literal["first_order", "unrolled", "flat"] = "first_order",
        family: TaskFamily = Classification(),  # noqa: B008  # frozen
    ) -> None:
        require_family(family, "classification", type(self).__name__)
        super().__init__(backbone, inner_steps=inner_steps, adapt_steps=adapt_steps, inductive=inductive, family=family)
        require_positive("inner_lr", inner_lr)
        self.mode = checked_mode(mode, _MODES)
        names = self._divided(self.network()).adapting
        self.descent = Descent(inner_lr, direction_named(inner_optimizer), rates_by_pattern(layer_lr, names), clip=clip)

    def adapt(self, support_features: Inputs, support_y: Tensor, *, way: int | None = None) -> FastWeights:
        """Items (B, S, …) and labels (B, S) → fast weights, of which the head's are (B, N, D) and (B, N).

        The logits of a class without support items are -∞.

        Raises:
            DataError: A task's steps diverged.
        """
        check_support(self, support_features, support_y, way)
        loop = self._loop(self.adapt_steps, way_of(support_y, way))
        return self.fast_weights(self._divided(self.network()), loop, support_features, support_y)

    def meta_backward(self, batch: EpisodeBatch, progress: float) -> Tensor:
        """The last line above for the tasks of a batch. Returns the queries' losses (B,); the mean gradient is left in `.grad`.

        Raises:
            TrainingError: An inner loop diverged; its episode is named.
        """
        module, loop = self.network(), self._loop(self.inner_steps, way_of(batch.support_y, batch.way))
        parts = self._divided(module)
        return settle(module, parts, meta_gradient(module, parts, self.family, batch, loop, seed=a_seed()))

    def network(self) -> BackboneAndMadeHead:
        """Backbone and head as one module, whose parameters are named `backbone.…`, as the learner's own, and `head.…`."""
        return BackboneAndMadeHead(self.backbone)

    def _loop(self, steps: int, way: int) -> InnerLoop:
        return InnerLoop(steps, self.descent, _MODES[self.mode], start=PrototypeHead(way))

    def _divided(self, module: nn.Module) -> Parameters:
        """What adapts: all that is trainable, but scale and shift of batch normalisation."""
        norms = (path for path, part in module.named_modules() if isinstance(part, nn.modules.batchnorm._BatchNorm))
        kept = {f"{path}.{name}" for path in norms for name in ("weight", "bias")}
        return divide_parameters(module, [name for name, value in module.named_parameters() if value.requires_grad and name not in kept])
