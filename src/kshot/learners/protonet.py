"""Prototypical Networks.

Jake Snell, Kevin Swersky, Richard Zemel, "Prototypical Networks for Few-shot Learning", NIPS 2017, arXiv 1703.05175.

    c_k = 1/|S_k| Σ_{(x_i, y_i) ∈ S_k} f_φ(x_i)                                  (1)
    p_φ(y = k | x) = exp(-d(f_φ(x), c_k)) / Σ_k' exp(-d(f_φ(x), c_k'))           (2)
    J = -log p_φ(y = k | x), averaged over the queries                           (Algorithm 1)

with d the squared Euclidean distance. Departures from the paper: none for `ProtoNet`. `CosineProtoNet` takes
-d = s · cosine(f_φ(x), c_k) with a learnt scale s > 0: bounded logits cannot fit a one-hot target without one.
Measured: docs/learners/protonet.md.
"""

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kshot.data.inputs import Inputs
from kshot.episodes.episode import EpisodeBatch
from kshot.episodes.family import Classification, TaskFamily
from kshot.errors import RecipeError
from kshot.learners.learner import Learner, backward_of_query_loss, require_family, way_of
from kshot.learners.space import Space, as_they_are


class Prototypes(NamedTuple):
    """What a prototypical network learns of a task.

    Attributes:
        centres: c_k, (B, N, D). NaN for a class without a support item.
        known: Whether the class has a support item, bool (B, N).
    """

    centres: Tensor
    known: Tensor


class ProtoNet(Learner):
    """Equations (1) and (2) with the squared Euclidean distance.

    Args:
        backbone: f_φ: inputs (M, …) → features (M, D).
        family: The kind of task; classification.

    Example:
        >>> import torch
        >>> learner = ProtoNet(torch.nn.Identity()).eval()
        >>> support = torch.tensor([[[0.0, 0.0], [2.0, 0.0], [0.0, 4.0]]])
        >>> task = learner.adapt(learner.encode(support), torch.tensor([[0, 0, 1]]))
        >>> task.centres.tolist()
        [[[1.0, 0.0], [0.0, 4.0]]]
        >>> learner.predict(task, torch.tensor([[[1.0, 1.0]]])).tolist()
        [[[-1.0, -10.0]]]
    """

    def __init__(self, backbone: nn.Module, family: TaskFamily = Classification()) -> None:  # noqa: B008  # frozen
        super().__init__()
        self.backbone = backbone
        self.family = require_family(family, "classification", type(self).__name__)

    def encode(self, x: Inputs) -> Tensor:
        """f_φ: (M, …) → (M, D)."""
        features: Tensor = self.backbone(x)
        return features

    def adapt(self, support_features: Inputs, support_y: Tensor, *, way: int | None = None) -> Prototypes:
        """(B, S, D) and (B, S) → prototypes (B, N, D)."""
        assert isinstance(support_features, Tensor)
        return prototypes(support_features if self.training else support_features.detach(), support_y, way_of(support_y, way))

    def predict(self, adapted: Prototypes, query_features: Inputs) -> Tensor:
        """-d: (B, Q, D) → (B, Q, N); -∞ for a class without a support item."""
        assert isinstance(query_features, Tensor)
        return only_known(-squared_distances(query_features, adapted.centres), adapted)

    def meta_backward(self, batch: EpisodeBatch, progress: float) -> Tensor:
        """Gradient of J for B episodes."""
        return backward_of_query_loss(self, batch)


class CosineProtoNet(Learner):
    """Prototypes compared by cosine similarity times a learnt scale.

    Args:
        backbone: f_φ: inputs (M, …) → features (M, D).
        scale: s at the start, > 0; it is learnt as its logarithm.
        family: The kind of task; classification.

    Raises:
        RecipeError: The scale is not a positive number.
    """

    def __init__(self, backbone: nn.Module, scale: float = 10.0, family: TaskFamily = Classification()) -> None:  # noqa: B008
        super().__init__()
        self.backbone = backbone
        if not 0 < scale < math.inf:
            raise RecipeError(f"the scale of a cosine must be a positive number; found {scale}.")
        self.arguments = {"scale": scale}
        self.log_scale = nn.Parameter(torch.tensor(scale).log())
        self.family = require_family(family, "classification", type(self).__name__)

    def encode(self, x: Inputs) -> Tensor:
        """f_φ: (M, …) → (M, D)."""
        features: Tensor = self.backbone(x)
        return features

    def adapt(self, support_features: Inputs, support_y: Tensor, *, way: int | None = None) -> Prototypes:
        """(B, S, D) and (B, S) → prototypes (B, N, D)."""
        assert isinstance(support_features, Tensor)
        return prototypes(support_features if self.training else support_features.detach(), support_y, way_of(support_y, way))

    def predict(self, adapted: Prototypes, query_features: Inputs) -> Tensor:
        """The cosine times s: (B, Q, D) → (B, Q, N); -∞ for a class without a support item."""
        assert isinstance(query_features, Tensor)
        return only_known(self.log_scale.exp() * cosines(query_features, adapted.centres), adapted)

    def space(self) -> Space:
        """The features, compared by the cosine times s."""
        return Space(as_they_are, lambda queries, centres: self.log_scale.exp() * cosines(queries, centres))

    def meta_backward(self, batch: EpisodeBatch, progress: float) -> Tensor:
        """Gradient of J for B episodes."""
        return backward_of_query_loss(self, batch)


def class_means(features: Tensor, y: Tensor, way: int) -> Tensor:
    """The mean of each class, equation (1).

    Args:
        features: (B, S, D).
        y: Labels 0 … way - 1, int64 (B, S); classes need not be balanced.
        way: N.

    Returns:
        (B, N, D) in at least float32; NaN where a class has no item.
    """
    with torch.autocast(features.device.type, enabled=False):
        member = F.one_hot(y, way).to(_wide(features))  # (B, S, N)
        sums = member.mT @ features.to(member.dtype)  # (B, N, D)
        return sums / member.sum(1).unsqueeze(-1)


def prototypes(features: Tensor, y: Tensor, way: int) -> Prototypes:
    """`class_means`, and which classes have any item."""
    return Prototypes(class_means(features, y, way), F.one_hot(y, way).any(1))


def only_known(logits: Tensor, adapted: Prototypes) -> Tensor:
    """Logits (B, Q, N) with -∞ for the classes that have no support item, so that they are never chosen."""
    return logits.masked_fill(~adapted.known.unsqueeze(1), -torch.inf)


def squared_distances(queries: Tensor, centres: Tensor) -> Tensor:
    """‖q - c‖² for all pairs, as ‖q‖² - 2 q·c + ‖c‖² (one matrix product).

    Args:
        queries: (B, Q, D).
        centres: (B, N, D).

    Returns:
        (B, Q, N) in at least float32, also under autocast: the three terms cancel, which bfloat16 cannot afford.
    """
    with torch.autocast(queries.device.type, enabled=False):
        q, c = queries.to(_wide(queries)), centres.to(_wide(centres))
        return q.square().sum(-1, keepdim=True) - 2 * (q @ c.mT) + c.square().sum(-1).unsqueeze(1)


def cosines(queries: Tensor, centres: Tensor) -> Tensor:
    """Cosine of the angle of all pairs, (B, Q, D) and (B, N, D) → (B, Q, N) in at least float32."""
    with torch.autocast(queries.device.type, enabled=False):
        q, c = F.normalize(queries.to(_wide(queries)), dim=-1), F.normalize(centres.to(_wide(centres)), dim=-1)
        return q @ c.mT


def _wide(x: Tensor) -> torch.dtype:
    return torch.promote_types(x.dtype, torch.float32)
