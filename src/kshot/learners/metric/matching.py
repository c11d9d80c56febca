"""Matching Networks.

Oriol Vinyals, Charles Blundell, Timothy Lillicrap, Koray Kavukcuoglu, Daan Wierstra, "Matching Networks for One Shot Learning",
NIPS 2016, arXiv 1606.04080.

    P(ŷ = k | x̂, S) = Σ_{i=1}^{|S|} a(x̂, x_i) [y_i = k]                          (1)
    a(x̂, x_i) = exp(c(f(x̂), g(x_i))) / Σ_j exp(c(f(x̂), g(x_j)))                  (section 2.1.1)
    loss = -log P(ŷ = y | x̂, S), averaged over the queries                       (section 2.2)

Here c is the cosine similarity, and f = g = the backbone. The logits are log P, so their softmax is P. Departures from the paper: none for
`MatchingNet`; full context embeddings (section 2.1.2) are a separate learner, `kshot.learners.metric.matching_fce`. `ScaledMatchingNet`
uses s · c with a learnt scale s > 0: because -1 ≤ c ≤ 1, the paper's attention gives one of S items at most e² / (e² + S - 1), which is
0.28 for 20 items, so the loss cannot come near 0 however good the features are.

Limits: the probability of a class is a sum over its items, so an unbalanced support set favours large classes. A class without support
items has probability 0, logit -∞. Features of norm 0 have cosine 0 with everything. If all items have the same features, the answer is each
class's share of the support set. Measured: docs/learners/matching.md.
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
from kshot.learners.heads.centres import cosines
from kshot.learners.heads.comparison_space import Space, cosine_space
from kshot.learners.heads.item_scores import Examples, class_log_sums, one_hot
from kshot.learners.learner import Learner, backward_of_query_loss, require_family, way_of


class MatchingNet(Learner):
    """A Matching Network: equation (1) with the plain cosine.

    Args:
        backbone: f = g: inputs (M, …) → features (M, D).
        family: The task family; it must be classification.

    Example:
        >>> import torch
        >>> learner = MatchingNet(torch.nn.Identity()).eval()
        >>> task = learner.adapt(torch.tensor([[[2.0, 0.0], [0.0, 3.0]]]), torch.tensor([[0, 1]]))
        >>> learner.predict(task, torch.tensor([[[5.0, 0.0]]])).softmax(-1)  # e : 1
        tensor([[[0.7311, 0.2689]]])
    """

    def __init__(self, backbone: nn.Module, family: TaskFamily = Classification()) -> None:  # noqa: B008  # frozen
        super().__init__()
        self.backbone = backbone
        self.family = require_family(family, "classification", type(self).__name__)

    def encode(self, x: Inputs) -> Tensor:
        """Compute the embedding, f = g: (M, …) → (M, D).

        Raises:
            RecipeError: The backbone does not give one vector per item.
        """
        return embed(self.backbone, x, type(self).__name__)

    def adapt(self, support_features: Inputs, support_y: Tensor, *, way: int | None = None) -> Examples:
        """Keep the support set: (B, S, D) and (B, S) → features (B, S, D) and one-hot labels (B, S, N)."""
        check_support(self, support_features, support_y, way)
        assert isinstance(support_features, Tensor)
        features = support_features if self.training else support_features.detach()
        return Examples(features, one_hot(support_y, way_of(support_y, way), features))

    def predict(self, adapted: Examples, query_features: Inputs) -> Tensor:
        """Return log P: (B, Q, D) → (B, Q, N)."""
        check_queries(self, len(adapted.labels), query_features)
        assert isinstance(query_features, Tensor)
        return log_attention(cosines(query_features, adapted.features), adapted.labels)

    def space(self) -> Space:
        """Return the directions of the features, compared by the cosine."""
        return cosine_space()

    def meta_backward(self, batch: EpisodeBatch, progress: float) -> Tensor:
        """Add the gradient of the loss for B episodes."""
        return backward_of_query_loss(self, batch)


class ScaledMatchingNet(Learner):
    """A Matching Network with a learnt scale: equation (1) with s · c instead of c.

    Args:
        backbone: f = g: inputs (M, …) → features (M, D).
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
        """Compute the embedding, f = g: (M, …) → (M, D).

        Raises:
            RecipeError: The backbone does not give one vector per item.
        """
        return embed(self.backbone, x, type(self).__name__)

    def adapt(self, support_features: Inputs, support_y: Tensor, *, way: int | None = None) -> Examples:
        """Keep the support set: (B, S, D) and (B, S) → features (B, S, D) and one-hot labels (B, S, N)."""
        check_support(self, support_features, support_y, way)
        assert isinstance(support_features, Tensor)
        features = support_features if self.training else support_features.detach()
        return Examples(features, one_hot(support_y, way_of(support_y, way), features))

    def predict(self, adapted: Examples, query_features: Inputs) -> Tensor:
        """Return log P: (B, Q, D) → (B, Q, N)."""
        check_queries(self, len(adapted.labels), query_features)
        assert isinstance(query_features, Tensor)
        return log_attention(self.log_scale.exp() * cosines(query_features, adapted.features), adapted.labels)

    def space(self) -> Space:
        """Return the directions of the features, compared by the cosine times s."""
        return cosine_space(self.log_scale.exp())

    def meta_backward(self, batch: EpisodeBatch, progress: float) -> Tensor:
        """Add the gradient of the loss for B episodes."""
        return backward_of_query_loss(self, batch)


def log_attention(scores: Tensor, labels: Tensor) -> Tensor:
    """Compute log P of equation (1): the logarithm of the softmax over the support set, summed per class.

    Args:
        scores: c(f(x̂), g(x_i)), (B, Q, S).
        labels: One-hot rows (B, S, N); classes need not be balanced.

    Returns:
        (B, Q, N) in normalised rows: their exponentials sum to 1. A class without items has -∞.
    """
    return class_log_sums(scores, labels) - scores.logsumexp(-1, keepdim=True)
