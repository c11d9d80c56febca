"""Baseline++: the baseline with cosines instead of inner products.

Wei-Yu Chen, Yen-Cheng Liu, Zsolt Kira, Yu-Chiang Frank Wang, Jia-Bin Huang, "A Closer Look at Few-shot Classification", ICLR 2019,
arXiv 1904.04232.

    s_k = τ · cosine(f_θ(x), w_k)                                                    one weight vector w_k per class
    training:    θ, w = argmin  E -log softmax(s)_y          over all training classes, in plain batches
    adaptation:  w = argmin  1/S Σ_i -log softmax(s(x_i))_{y_i}      f_θ frozen, over the support set

The authors' code has τ = 2, and 10 for more than 200 classes: with logits in [-τ, τ], one of C classes has a probability of at most
1 / (1 + (C - 1) e^{-2τ}). Here training and adaptation each have their own τ.

Departures from the paper:
- The authors' code multiplies the cosine of each class by its own learnt number (weight normalisation). The paper's equation has no such
  number, and neither has ours.
- Adaptation is `STEPS` steps of gradient descent on the whole support set. It starts from the class means of the directions f / ‖f‖, uses
  the step that the largest curvature allows, and replaces w_k by w_k / ‖w_k‖ after each step. The authors run 100 passes of stochastic
  gradient descent in batches of 4 from a random start. Ours draws nothing, so the same task has the same answer.

Limits: a class without support items has logit -∞. If all features are the same, all classes tie. A feature of 0 has cosine 0 with every
class. Measured: docs/learners/baseline.md.
"""

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kshot.data.inputs import Inputs
from kshot.episodes.family import Classification, TaskFamily
from kshot.errors import RecipeError
from kshot.learners.asked import check_queries, check_support
from kshot.learners.backbone_form import embed
from kshot.learners.heads.centres import class_means, cosines
from kshot.learners.heads.comparison_space import Space, cosine_space
from kshot.learners.learner import Batch, Trainable, require_family, way_of
from kshot.learners.short_forms import repr_of_adapted
from kshot.learners.transfer.item_training import ItemLearner, ItemTraining, form_of_training

STEPS = 100


class Directions(NamedTuple):
    """What Baseline++ learns from a task.

    Attributes:
        weights: w_k of length 1, (B, N, D); 0 for a class without support items.
        known: Whether the class has a support item, bool (B, N).
    """

    weights: Tensor
    known: Tensor

    def __repr__(self) -> str:
        return repr_of_adapted(self)


class BaselinePlusPlus(ItemLearner):
    """Baseline++: a trained network with one direction per class of a task, as in the equations of this module.

    Args:
        backbone: f: inputs (M, …) → features (M, D).
        training_scale: τ for the training classes, > 0.
        scale: τ for tasks, > 0.
        family: The task family; it must be classification.

    Raises:
        RecipeError: A scale is not a positive number.

    Example:
        >>> import torch
        >>> learner = BaselinePlusPlus(torch.nn.Identity()).eval()
        >>> task = learner.adapt(torch.tensor([[[2.0, 0.0], [0.0, 3.0]]]), torch.tensor([[0, 1]]))
        >>> learner.predict(task, torch.tensor([[[5.0, 1.0]]])).argmax(-1).tolist()
        [[0]]
    """

    def __init__(
        self,
        backbone: nn.Module,
        training_scale: float = 10.0,
        scale: float = 10.0,
        family: TaskFamily = Classification(),  # noqa: B008  # frozen
    ) -> None:
        super().__init__()
        for name, value in (("training_scale", training_scale), ("scale", scale)):
            if not 0 < value < math.inf:
                raise RecipeError(f"the {name} of a cosine must be a positive number; found {value}.")
        self.backbone = backbone
        self.training_scale, self.scale = training_scale, scale
        self.family = require_family(family, "classification", type(self).__name__)

    def encode(self, x: Inputs) -> Tensor:
        """Compute f: (M, …) → (M, D).

        Raises:
            RecipeError: The backbone does not give one vector per item.
        """
        return embed(self.backbone, x, type(self).__name__)

    def adapt(self, support_features: Inputs, support_y: Tensor, *, way: int | None = None) -> Directions:
        """Fit w: (B, S, D) and (B, S) → (B, N, D).

        Raises:
            DataError: A feature is not finite.
        """
        check_support(self, support_features, support_y, way)
        assert isinstance(support_features, Tensor)
        return fit_directions(support_features.detach(), support_y, way_of(support_y, way), self.scale)

    def predict(self, adapted: Directions, query_features: Inputs) -> Tensor:
        """Return s: (B, Q, D) → (B, Q, N)."""
        check_queries(self, len(adapted.weights), query_features)
        assert isinstance(query_features, Tensor)
        return (self.scale * cosines(query_features, adapted.weights)).masked_fill(~adapted.known.unsqueeze(1), -math.inf)

    def space(self) -> Space:
        """Return the directions of the features, compared by s."""
        return cosine_space(self.scale)

    def for_training(self, example: Batch) -> Trainable:
        """Return the learner with one weight vector per training class; see `Learner`."""
        features, classes = form_of_training(self, example)
        return ItemTraining(self, CosineHead(features, classes, self.training_scale).to(example.device))


class CosineHead(nn.Module):
    """A head: features (M, D) → τ · cosine with the weight vector of each class, (M, classes)."""

    def __init__(self, features: int, classes: int, scale: float) -> None:
        super().__init__()
        self.scale = scale
        self.weight = nn.Parameter(torch.empty(classes, features))
        nn.init.kaiming_uniform_(self.weight, a=math.sqrt(5))  # as in a linear layer; the length sets how fast directions turn

    def forward(self, features: Tensor) -> Tensor:
        """Return logits in [-τ, τ]."""
        return self.scale * cosines(features, self.weight)


def fit_directions(features: Tensor, y: Tensor, way: int, scale: float) -> Directions:
    """Return w after `STEPS` steps from the class means of directions.

    Args:
        features: Finite numbers (B, S, D).
        y: Labels 0 … way - 1, int64 (B, S); classes need not be balanced.
        way: N. A class without items is left out.
        scale: τ.
    """
    with torch.autocast(features.device.type, enabled=False), torch.no_grad():
        z = F.normalize(features.to(torch.promote_types(features.dtype, torch.float32)), dim=-1)  # (B, S, D)
        labels = F.one_hot(y, way).to(z.dtype)  # (B, S, N)
        known = labels.any(1)  # (B, N)
        w = F.normalize(class_means(z, y, way).nan_to_num(), dim=-1)  # (B, N, D); 0 where there is no item
        # The curvature of the loss is at most τ²/2 times the largest eigenvalue of ZᵀZ/S. If all z are 0, no step moves anything.
        bend = scale * torch.linalg.matrix_norm(z, 2).square().clamp_min(1e-12) / (2 * z.shape[1])  # (B,), over τ
        for _ in range(STEPS):
            logits = (scale * z @ w.mT).masked_fill(~known.unsqueeze(1), -math.inf)  # (B, S, N)
            slope = (logits.softmax(-1) - labels).mT @ z / z.shape[1]  # (B, N, D), over τ
            w = F.normalize(w - slope / bend[:, None, None], dim=-1)
        return Directions(w, known)
