"""Prototypical Networks.

Jake Snell, Kevin Swersky, Richard Zemel, "Prototypical Networks for Few-shot Learning", NIPS 2017, arXiv 1703.05175.

    c_k = 1/|S_k| Σ_{(x_i, y_i) ∈ S_k} f_φ(x_i)                                  (1)
    p_φ(y = k | x) = exp(-d(f_φ(x), c_k)) / Σ_k' exp(-d(f_φ(x), c_k'))           (2)
    J = -log p_φ(y = k | x), averaged over the queries                           (Algorithm 1)

Here d is the squared Euclidean distance. Departures from the paper: none for `ProtoNet`. `CosineProtoNet` uses
-d = s · cosine(f_φ(x), c_k) with a learnt scale s > 0, because bounded logits cannot fit a one-hot target without a scale.
Measured: docs/learners/protonet.md.
"""

import math

import torch
from torch import Tensor, nn

from kshot.data.inputs import Inputs
from kshot.episodes.episode import EpisodeBatch
from kshot.episodes.family import Classification, TaskFamily
from kshot.errors import RecipeError
from kshot.learners.asked import check_queries, check_support
from kshot.learners.backbone_form import embed
from kshot.learners.heads.centres import Prototypes, cosines, only_known, prototypes, squared_distances
from kshot.learners.heads.comparison_space import Space, as_they_are
from kshot.learners.learner import Learner, backward_of_query_loss, require_family, way_of


class ProtoNet(Learner):
    """A Prototypical Network: equations (1) and (2) with the squared Euclidean distance.

    Args:
        backbone: f_φ: inputs (M, …) → features (M, D).
        family: The task family; it must be classification.

    Example:
        >>> import torch
        >>> learner = ProtoNet(torch.nn.Identity()).eval()
        >>> support = learner.encode(torch.tensor([[0.0, 0.0], [2.0, 0.0], [0.0, 4.0]]))  # three items
        >>> task = learner.adapt(support[None], torch.tensor([[0, 0, 1]]))
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
        """Compute f_φ: (M, …) → (M, D).

        Raises:
            RecipeError: The backbone does not give one vector per item.
        """
        return embed(self.backbone, x, type(self).__name__)

    def adapt(self, support_features: Inputs, support_y: Tensor, *, way: int | None = None) -> Prototypes:
        """Compute the prototypes: (B, S, D) and (B, S) → (B, N, D)."""
        check_support(self, support_features, support_y, way)
        assert isinstance(support_features, Tensor)
        return prototypes(support_features if self.training else support_features.detach(), support_y, way_of(support_y, way))

    def predict(self, adapted: Prototypes, query_features: Inputs) -> Tensor:
        """Return -d: (B, Q, D) → (B, Q, N); -∞ for a class without support items."""
        check_queries(self, len(adapted.centres), query_features)
        assert isinstance(query_features, Tensor)
        return only_known(-squared_distances(query_features, adapted.centres), adapted)

    def meta_backward(self, batch: EpisodeBatch, progress: float) -> Tensor:
        """Add the gradient of J for B episodes."""
        return backward_of_query_loss(self, batch)


class CosineProtoNet(Learner):
    """A Prototypical Network that compares by cosine similarity times a learnt scale.

    Args:
        backbone: f_φ: inputs (M, …) → features (M, D).
        scale: Initial s, > 0. Its logarithm is learnt.
        family: The task family; it must be classification.

    Raises:
        RecipeError: The scale is not a positive number.
    """

    def __init__(self, backbone: nn.Module, scale: float = 10.0, family: TaskFamily = Classification()) -> None:  # noqa: B008
        super().__init__()
        self.backbone = backbone
        if not 0 < scale < math.inf:
            raise RecipeError(f"the scale of a cosine must be a positive number; found {scale}.")
        self.log_scale = nn.Parameter(torch.tensor(scale).log())
        self.family = require_family(family, "classification", type(self).__name__)

    def encode(self, x: Inputs) -> Tensor:
        """Compute f_φ: (M, …) → (M, D).

        Raises:
            RecipeError: The backbone does not give one vector per item.
        """
        return embed(self.backbone, x, type(self).__name__)

    def adapt(self, support_features: Inputs, support_y: Tensor, *, way: int | None = None) -> Prototypes:
        """Compute the prototypes: (B, S, D) and (B, S) → (B, N, D)."""
        check_support(self, support_features, support_y, way)
        assert isinstance(support_features, Tensor)
        return prototypes(support_features if self.training else support_features.detach(), support_y, way_of(support_y, way))

    def predict(self, adapted: Prototypes, query_features: Inputs) -> Tensor:
        """Return the cosine times s: (B, Q, D) → (B, Q, N); -∞ for a class without support items."""
        check_queries(self, len(adapted.centres), query_features)
        assert isinstance(query_features, Tensor)
        return only_known(self.log_scale.exp() * cosines(query_features, adapted.centres), adapted)

    def space(self) -> Space:
        """Return the features, compared by the cosine times s."""
        return Space(as_they_are, lambda queries, centres: self.log_scale.exp() * cosines(queries, centres))

    def meta_backward(self, batch: EpisodeBatch, progress: float) -> Tensor:
        """Add the gradient of J for B episodes."""
        return backward_of_query_loss(self, batch)
