"""Local matching: two images are similar if each position of one finds a similar position in the other.

This is our own design, after the local descriptors of DN4 (Wenbin Li, Lei Wang, Jinglin Xu, Jing Huo, Yang Gao, Jiebo Luo, "Revisiting
Local Descriptor based Image-to-Class Measure for Few-shot Learning", CVPR 2019, arXiv 1903.12290, equation 3). In DN4, each position
("place") of the query looks for the most similar place of the support. Here, each place of the support also looks for its counterpart in
the query, nearby places are preferred, the search is soft, and a place is weighted by the length of its features, so that empty paper
counts little.

    f_i = φ(x)_i / ‖φ(x)_i‖,   v_i = ‖φ(x)_i‖ / Σ_i ‖φ(x)_i‖        for each place i of the backbone's map φ(x)
    m_i(x → y) = 1/β log Σ_j exp(β f_i·g_j - γ ‖p_i - p_j‖²)        p: the centre of a place, from -1 to 1
    r(x, y) = τ (Σ_i v_i m_i(x → y) + Σ_j v_j m_j(y → x))           symmetric
    logit of class k = log mean exp, or max, of r(query, s) over its support items s

Here β, γ and τ > 0 are learnt. DN4 has β → ∞ (it sums the three best), γ = 0, v = 1 and one direction.

Cost: one matrix product of all places of all queries with all places of all support items. A class without support items has logit -∞.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

from kshot.data.inputs import Inputs, count_items
from kshot.episodes.episode import EpisodeBatch
from kshot.episodes.family import Classification, TaskFamily
from kshot.errors import RecipeError
from kshot.learners.asked import check_queries, check_support
from kshot.learners.backbone_form import called
from kshot.learners.heads.feature_maps import maps_of, places_of
from kshot.learners.heads.item_scores import one_hot
from kshot.learners.heads.over_items import check_over_items, over_items
from kshot.learners.learner import Learner, backward_of_query_loss, require_family, way_of
from kshot.learners.short_forms import repr_of_adapted

_PAIRS_AT_ONCE = 1 << 23
"""Pairs of places computed at once in evaluation: 32 MB per tensor."""


class ExampleMaps(NamedTuple):
    """What is learned from a task: its support set, unchanged.

    Attributes:
        maps: (B, S, C, H, W).
        labels: One-hot rows (B, S, N), in at least float32.
    """

    maps: Tensor
    labels: Tensor

    def __repr__(self) -> str:
        return repr_of_adapted(self)


class LocalMatching(Learner):
    """A learner that compares images by local matching, as in the equations of this module.

    Args:
        backbone: φ: inputs (M, …) → maps (M, features, H, W), or vectors (M, features), which are maps of 1×1.
        features: Channels of the backbone's maps.
        sharpness: Initial β.
        nearness: Initial γ. An image is 2 units wide and 2 high.
        scale: Initial τ.
        over_items: `log-mean-exp` or `max`.
        family: The task family; it must be classification.

    Raises:
        RecipeError: A number is not positive, or a name is unknown.
    """

    def __init__(
        self,
        backbone: nn.Module,
        *,
        features: int,
        sharpness: float = 10.0,
        nearness: float = 2.0,
        scale: float = 10.0,
        over_items: str = "log-mean-exp",
        family: TaskFamily = Classification(),  # noqa: B008  # frozen
    ) -> None:
        super().__init__()
        for name, value in (("features", features), ("sharpness", sharpness), ("nearness", nearness), ("scale", scale)):
            if not value > 0:
                raise RecipeError(f"{name} of local matching must be a positive number; found {value}.")
        self.backbone, self.features = backbone, features
        self.over_items = check_over_items(over_items, "local matching")
        # Logarithms: no update makes a value negative, and each step of Adam multiplies by a factor.
        self.log_sharpness = nn.Parameter(torch.tensor(math.log(sharpness)))
        self.log_nearness = nn.Parameter(torch.tensor(math.log(nearness)))
        self.log_scale = nn.Parameter(torch.tensor(math.log(scale)))
        self.family = require_family(family, "classification", type(self).__name__)

    def encode(self, x: Inputs) -> Tensor:
        """Return the maps of each image: (M, …) → (M, C, H, W).

        Raises:
            RecipeError: The backbone does not give maps or vectors of `features` channels.
        """
        return maps_of(called(self.backbone, x), self.features, type(self).__name__, count_items(x))

    def adapt(self, support_features: Inputs, support_y: Tensor, *, way: int | None = None) -> ExampleMaps:
        """Keep the support set: (B, S, C, H, W) and (B, S) → maps (B, S, C, H, W) and one-hot labels (B, S, N)."""
        check_support(self, support_features, support_y, way)
        assert isinstance(support_features, Tensor)
        maps = support_features if self.training else support_features.detach()
        return ExampleMaps(maps, one_hot(support_y, way_of(support_y, way), maps))

    def predict(self, adapted: ExampleMaps, query_features: Inputs) -> Tensor:
        """Return the logits of the classes: (B, Q, C, H, W) → (B, Q, N); -∞ for a class without support items."""
        check_queries(self, len(adapted.labels), query_features)
        assert isinstance(query_features, Tensor)
        return over_items(self.pair_scores(adapted.maps, query_features), adapted.labels, self.over_items)

    def pair_scores(self, support: Tensor, query: Tensor) -> Tensor:
        """Score every pair with r: (B, S, C, H, W) and (B, Q, C, H, W) → (B, Q, S) in at least float32. Evaluation runs in blocks."""
        H, W = support.shape[3:]
        places = places_of(H, W, support)
        apart = (places[:, None] - places).square().sum(2)  # (T, T)
        T, (B, S), Q = len(places), support.shape[:2], query.shape[1]
        most = B * Q * S * T * T if self.training else _PAIRS_AT_ONCE
        tasks = max(1, most // (Q * S * T * T))
        queries = max(1, most // (min(tasks, B) * S * T * T))
        scores = [
            torch.cat([self._block(some, part, apart) for part in torch.split(asked, queries, 1)], 1)
            for some, asked in zip(torch.split(support, tasks), torch.split(query, tasks), strict=True)
        ]
        return torch.cat(scores)

    def meta_backward(self, batch: EpisodeBatch, progress: float) -> Tensor:
        """Add the gradient of the cross-entropy for B episodes."""
        return backward_of_query_loss(self, batch)

    def _block(self, support: Tensor, query: Tensor, apart: Tensor) -> Tensor:
        with torch.autocast(support.device.type, enabled=False):
            g, v = _directions_and_shares(support)  # (B, S·T, C) and (B, S, T)
            f, u = _directions_and_shares(query)
            beta = self.log_sharpness.exp()
            B, (S, T), Q = len(g), v.shape[1:], query.shape[1]
            # exp(β (cosine - 1) - γ d²) is at most 1: one exponential serves both directions, and no maximum has to be subtracted.
            near = (-beta - self.log_nearness.exp() * apart).to(f.dtype)  # (T, T)
            fits = torch.bmm(f * beta, g.mT).view(B, Q, T, S, T).add(near[:, None]).exp()
            least = torch.finfo(fits.dtype).tiny  # keeps the logarithm finite for a place that is unlike all others
            forth = (fits.sum(4) + least).log().mT  # (B, Q, S, T), for each place of the query
            back = (fits.sum(2) + least).log()  # (B, Q, S, T), for each place of the support item
            matched = torch.einsum("bqst,bqt->bqs", forth, u) + torch.einsum("bqst,bst->bqs", back, v)
            return self.log_scale.exp() * (matched / beta + 2)


def _directions_and_shares(maps: Tensor) -> tuple[Tensor, Tensor]:
    """(B, n, C, H, W) → unit vectors (B, n·T, C), and the share of each place in its image (B, n, T), in at least float32."""
    rows = maps.flatten(3).mT  # (B, n, T, C)
    rows = rows.to(torch.promote_types(rows.dtype, torch.float32))
    # The tiny number keeps the gradient of the root finite if a place is all zero.
    length = (rows.square().sum(-1, keepdim=True) + 1e-12).sqrt()
    shares = length / length.sum(2, keepdim=True)
    return (rows / length).flatten(1, 2), shares.squeeze(-1)
