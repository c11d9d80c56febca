"""The nearest neighbour: the least that a few-shot method must reach.

T. M. Cover, P. E. Hart, "Nearest Neighbor Pattern Classification", IEEE Transactions on Information Theory 13(1), 1967,
doi 10.1109/TIT.1967.1053964.

    ŷ = y_i with i = argmin_i ‖f(x̂) - f(x_i)‖

f is a given network, used unchanged, or `torch.nn.Identity()` to compare pixels. Features are flattened. The logit of class k is minus the
squared distance to its nearest support item, so the largest logit is the answer above. Departures: none.

There is nothing to train: `meta_backward` raises a `RecipeError`, and `training_source` is `"none"`. Limits: logits rank classes, but are
not log-probabilities. A class without support items has logit -∞. If items are equally near (constant features), the smallest label wins.
On pixels, a shift of the drawing by the width of its line is a large distance. Measured: docs/learners/nearest.md.
"""

from typing import ClassVar, Literal

from torch import Tensor, nn

from kshot.data.inputs import Inputs, count_items
from kshot.episodes.episode import EpisodeBatch
from kshot.episodes.family import Classification, TaskFamily
from kshot.errors import RecipeError
from kshot.learners.asked import check_queries, check_support
from kshot.learners.backbone_form import called, tensor_of
from kshot.learners.heads.centres import squared_distances
from kshot.learners.heads.item_scores import Examples, class_maxima, one_hot
from kshot.learners.learner import Learner, require_family, way_of


class NearestNeighbour(Learner):
    """A learner that chooses the class of the nearest support item by Euclidean distance.

    Args:
        backbone: f: inputs (M, …) → features (M, …).
        family: The task family; it must be classification.

    Example:
        >>> import torch
        >>> learner = NearestNeighbour(torch.nn.Identity()).eval()
        >>> task = learner.adapt(torch.tensor([[[0.0], [8.0], [3.0]]]), torch.tensor([[0, 0, 1]]))
        >>> learner.predict(task, torch.tensor([[[6.0]]])).tolist()  # 8 is nearer than 3
        [[[-4.0, -9.0]]]
    """

    training_source: ClassVar[Literal["episodes", "items", "none"]] = "none"

    def __init__(self, backbone: nn.Module, family: TaskFamily = Classification()) -> None:  # noqa: B008  # frozen
        super().__init__()
        self.backbone = backbone
        self.family = require_family(family, "classification", type(self).__name__)

    def encode(self, x: Inputs) -> Tensor:
        """Compute f, flattened: (M, …) → (M, D).

        Raises:
            RecipeError: The backbone does not give one row of numbers per item.
        """
        found = called(self.backbone, x)
        return tensor_of(found, type(self).__name__, count_items(x), "a tensor with one row per item, (M, …)").flatten(1)

    def adapt(self, support_features: Inputs, support_y: Tensor, *, way: int | None = None) -> Examples:
        """Keep the support set: (B, S, D) and (B, S) → features (B, S, D) and one-hot labels (B, S, N)."""
        check_support(self, support_features, support_y, way)
        assert isinstance(support_features, Tensor)
        features = support_features if self.training else support_features.detach()
        return Examples(features, one_hot(support_y, way_of(support_y, way), features))

    def predict(self, adapted: Examples, query_features: Inputs) -> Tensor:
        """Return minus the squared distance to each class: (B, Q, D) → (B, Q, N)."""
        check_queries(self, len(adapted.labels), query_features)
        assert isinstance(query_features, Tensor)
        return class_maxima(-squared_distances(query_features, adapted.features), adapted.labels)

    def meta_backward(self, batch: EpisodeBatch, progress: float) -> Tensor:
        """Always raises: nothing is trained.

        Raises:
            RecipeError: Always.
        """
        raise RecipeError(
            "a nearest neighbour learns nothing in training; its encoder is used unchanged. "
            "Evaluate it without training, or train the encoder in another learner and give it to this one."
        )
