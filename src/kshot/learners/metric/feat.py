"""FEAT: the prototypes of a task look at each other, and adapt, before queries are compared with them.

Han-Jia Ye, Hexiang Hu, De-Chuan Zhan, Fei Sha, "Few-Shot Learning via Embedding Adaptation with Set-to-Set Functions", CVPR 2020,
arXiv 1812.03664; where we name the authors' code, it is model/models/feat.py of Sha-Lab/FEAT.

    c_k = mean of φ(x) over the support items of class k
    T(X) = norm(X + W_o concat_h softmax(X W_q (X W_k)ᵀ / √D) X W_v)       a set of vectors (m, D) → a set of vectors (m, D)
    c' = T(c_1 … c_N),     logit of class k = -‖φ(q) - c'_k‖² / τ
    μ_k = mean of T(φ(x) over all items of class k, support and queries)
    loss = cross-entropy of the queries' logits + λ · cross-entropy of -‖φ(x) - μ_k‖² / τ_2 over all items x

T is one layer of a transformer without positions and without the layers per vector: self-attention, added to its input and normalised, so
renumbering the classes renumbers the answers. The second term of the loss is the paper's contrastive one: the same T, applied to the items
of one class, must lead to a centre near them. As in the authors' code, each head has D numbers, W_o alone has a bias, the first weights of
W_q, W_k and W_v are normal with variance 1/D, a tenth of the attention is dropped in training, and so is a part `dropout` of what is
added. The defaults are the settings of the authors' command for 1-shot with four convolutions: τ = 64, λ = 1, τ_2 = 16.

Departures: classes may have different numbers of items, so the attention among items is one product with a mask; the backbone is trained
with T from the beginning, where the authors first train it to classify all training classes; one learning rate for all parameters, where
the authors give T ten times the backbone's. Measured: docs/learners/feat.md.
"""

import math

import torch
from torch import Tensor, nn

from kshot.data.inputs import Inputs
from kshot.episodes.episode import EpisodeBatch
from kshot.episodes.family import Classification, TaskFamily
from kshot.learners.asked import check_queries, check_support
from kshot.learners.backbone_form import embed
from kshot.learners.heads.centres import Prototypes, only_known, prototypes, squared_distances
from kshot.learners.heads.comparison_space import Space, as_they_are
from kshot.learners.learner import Learner, encode_tasks, require_family, way_of
from kshot.learners.settings import require_count, require_no_less_than_zero, require_part_below_one, require_positive
from kshot.value_types import LARGEST_COUNT

_ATTENTION_DROPOUT = 0.1
_MOST_HEADS = 64


class SetToSet(nn.Module):
    """T: sets of vectors (B, m, D) → sets of vectors (B, m, D).

    Args:
        features: D.
        heads: Heads of the attention, of D numbers each.
        dropout: The part of what is added to the input that is dropped in training.
    """

    def __init__(self, features: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.query, self.key, self.value = (nn.Linear(features, heads * features, bias=False) for _ in range(3))
        self.out = nn.Linear(heads * features, features)
        self.norm = nn.LayerNorm(features)
        self.drop, self.drop_attention = nn.Dropout(dropout), nn.Dropout(_ATTENTION_DROPOUT)
        for layer in (self.query, self.key, self.value):
            nn.init.normal_(layer.weight, std=math.sqrt(1 / features))
        nn.init.xavier_normal_(self.out.weight)

    def forward(self, x: Tensor, looks_at: Tensor) -> Tensor:
        """Adapt every vector to those that it looks at.

        Args:
            x: (B, m, D).
            looks_at: Which vectors each looks at, bool, (B, m, m) or (B, 1, m); at least one each.
        """
        query, key, value = (layer(x).unflatten(-1, (self.heads, -1)).transpose(1, 2) for layer in (self.query, self.key, self.value))
        scores = (query @ key.mT / math.sqrt(x.shape[-1])).masked_fill(~looks_at.unsqueeze(1), -torch.inf)  # (B, heads, m, m)
        seen = (self.drop_attention(scores.softmax(-1)) @ value).transpose(1, 2).flatten(2)  # (B, m, heads · D)
        adapted: Tensor = self.norm(x + self.drop(self.out(seen)))
        return adapted


class FEAT(Learner):
    """The equations above.

    Args:
        backbone: φ: inputs (M, …) → features (M, D).
        features: D; `kshot train` finds it.
        heads: Heads of the attention.
        dropout: The part of what T adds to its input that is dropped in training, 0 ≤ dropout < 1.
        temperature: τ > 0.
        contrast: λ ≥ 0; 0 leaves the contrastive term out.
        contrast_temperature: τ_2 > 0.
        family: The task family; it must be classification.

    Raises:
        RecipeError: A setting is out of its range.
    """

    def __init__(
        self,
        backbone: nn.Module,
        *,
        features: int,
        heads: int = 1,
        dropout: float = 0.5,
        temperature: float = 64.0,
        contrast: float = 1.0,
        contrast_temperature: float = 16.0,
        family: TaskFamily = Classification(),  # noqa: B008  # frozen
    ) -> None:
        super().__init__()
        require_count("features", features, 1, LARGEST_COUNT)
        require_count("the heads of FEAT", heads, 1, _MOST_HEADS)
        require_part_below_one("the dropout of FEAT", dropout)
        require_positive("the temperature of FEAT", temperature)
        require_no_less_than_zero("the contrast of FEAT", contrast, "no contrastive term")
        require_positive("the contrast_temperature of FEAT", contrast_temperature)
        self.backbone, self.features = backbone, features
        self.temperature, self.contrast, self.contrast_temperature = temperature, contrast, contrast_temperature
        self.set_to_set = SetToSet(features, heads, dropout)
        self.family = require_family(family, "classification", type(self).__name__)

    def encode(self, x: Inputs) -> Tensor:
        """Compute φ: (M, …) → (M, D).

        Raises:
            RecipeError: The backbone does not give one vector per item, of the D for which T was built.
        """
        return embed(self.backbone, x, type(self).__name__, self.features)

    def adapt(self, support_features: Inputs, support_y: Tensor, *, way: int | None = None) -> Prototypes:
        """Compute the adapted prototypes c': (B, S, D) and (B, S) → (B, N, D)."""
        check_support(self, support_features, support_y, way)
        assert isinstance(support_features, Tensor)
        found = prototypes(support_features, support_y, way_of(support_y, way))
        centres = self._adapted(found.centres.to(support_features.dtype), found.known)
        return Prototypes(centres if self.training else centres.detach(), found.known)

    def predict(self, adapted: Prototypes, query_features: Inputs) -> Tensor:
        """Return the logits: (B, Q, D) → (B, Q, N); -∞ for a class without support items."""
        check_queries(self, len(adapted.centres), query_features)
        assert isinstance(query_features, Tensor)
        return only_known(-squared_distances(query_features, adapted.centres) / self.temperature, adapted)

    def space(self) -> Space:
        """Return the features; queries are compared with centres after T."""

        def logits(queries: Tensor, centres: Tensor) -> Tensor:
            known = ~centres.isnan().any(-1)
            return -squared_distances(queries, self._adapted(centres.to(queries.dtype), known)) / self.temperature

        return Space(as_they_are, logits)

    def meta_backward(self, batch: EpisodeBatch, progress: float) -> Tensor:
        """Add the gradient of the loss for B episodes; returns it (B,)."""
        support, query = encode_tasks(self, batch.support_x, batch.query_x)
        assert isinstance(support, Tensor)
        assert isinstance(query, Tensor)
        adapted = self.adapt(support, batch.support_y, way=batch.way)
        losses = self.family.loss(self.predict(adapted, query), batch.query_y)
        if self.contrast:
            items, y = torch.cat([support, query], 1), torch.cat([batch.support_y, batch.query_y], 1)
            losses = losses + self.contrast * self.family.loss(self.contrast_logits(items, y, adapted.known.shape[1]), y)
        losses.mean().backward()  # type: ignore[no-untyped-call]  # untyped in torch
        return losses.detach()

    def contrast_logits(self, items: Tensor, y: Tensor, way: int) -> Tensor:
        """Compare all items of tasks (B, m, D), with labels (B, m), with the centres μ of their classes: (B, m, N)."""
        together = y.unsqueeze(2) == y.unsqueeze(1)  # (B, m, m)
        found = prototypes(self.set_to_set(items, together), y, way)
        return only_known(-squared_distances(items, found.centres) / self.contrast_temperature, found)

    def _adapted(self, centres: Tensor, known: Tensor) -> Tensor:
        """T of the centres (B, N, D) that are known, (B, N); an unknown one is looked at by none, and is some finite number after it."""
        adapted: Tensor = self.set_to_set(centres.masked_fill(~known.unsqueeze(-1), 0.0), known.unsqueeze(1))
        return adapted
