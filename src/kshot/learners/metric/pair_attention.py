"""Pair attention: transformer blocks compare a query and a support item position by position.

Arturs Polis, Alexander Ilin, "A Relational Model for One-Shot Classification", ESANN 2021, arXiv 2111.04313. We know only the abstract and
the introduction of the paper: self-attention and cross-attention blocks of the Transformer compare a pair of images, by local and by
pairwise attention. Everything else here is our own design; docs/learners/pair-attention.md lists it.

    x_i = W φ(x)_i + P waves(i)                        one token for each position i ("place") of the backbone's map φ(x)
    x ← x + block(x looks at x)                        blocks within: `encode`, once per item
    x ← x + block(x looks at y), with differences e    blocks between: once per pair and direction; y's tokens are those of `encode`
    r(x → y) = g(mean_i norm x_i) - Σ_l Σ_c w_lc mean_i e²_lic
    r(x, y) = (r(x → y) + r(y → x)) / 2                symmetric
    logit of class k = log mean exp, or max, of r(query, s) over its support items s

Here l numbers the blocks between, c the channels, and w_lc > 0 is learnt; `kshot.learners.metric.pair_blocks` has the blocks and e. The sum
of squares is the distance of CrossTransformers (Doersch, Gupta & Zisserman 2020, arXiv 2007.11498). At the start g is 0 and like attends to
like: training begins with a distance between images that are matched place by place, and need not discover matching.

Cost: keys and values for every block, once per item; the attention and two small layers per place, once per pair. A class without support
items has logit -∞. Measured: docs/learners/pair-attention.md.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
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
from kshot.learners.learner import Learner, encode_tasks, require_family, way_of
from kshot.learners.metric.pair_blocks import HEAD, AttentionBlock, waves_of
from kshot.learners.short_forms import repr_of_adapted

LOSSES = ("cross-entropy", "pairs")
_TOKENS_AT_ONCE = 1 << 15
"""Tokens of pairs computed at once in evaluation: 8 MB per tensor at 64 numbers per token; about ten tensors are alive at a time."""


class ExampleTokens(NamedTuple):
    """What is learned from a task: its support set, unchanged.

    Attributes:
        tokens: (B, S, H, W, C).
        labels: One-hot rows (B, S, N), in at least float32.
    """

    tokens: Tensor
    labels: Tensor

    def __repr__(self) -> str:
        return repr_of_adapted(self)


class PairAttention(Learner):
    """A learner that compares images by pair attention, as in the equations of this module.

    Args:
        backbone: φ: inputs (M, …) → maps (M, features, H, W), or vectors (M, features), which are maps of 1×1.
        features: Channels of the backbone's maps.
        width: C, numbers per token: a multiple of 16, because each head has 16.
        blocks: Number of blocks within an image (0 or more) and between two images (1 or more).
        loss: `cross-entropy` of the classes' logits; or `pairs`, the binary cross-entropy of each r for same or different, in which
            the same pairs of a query weigh as much as its different pairs.
        over_items: `log-mean-exp` or `max`.
        family: The task family; it must be classification.

    Raises:
        RecipeError: A number is out of its range, or a name is unknown.
    """

    def __init__(
        self,
        backbone: nn.Module,
        *,
        features: int,
        width: int = 64,
        blocks: Sequence[int] = (1, 1),
        loss: str = "cross-entropy",
        over_items: str = "log-mean-exp",
        family: TaskFamily = Classification(),  # noqa: B008  # frozen
    ) -> None:
        super().__init__()
        _refuse_impossible(features, width, blocks)
        if loss not in LOSSES:
            raise RecipeError(f"loss of pair attention must be one of {', '.join(LOSSES)}; found {loss!r}.")
        check_over_items(over_items, "pair attention")
        self.backbone = backbone
        self.features, self.loss, self.over_items = features, loss, over_items
        self.enter, self.where = nn.Linear(features, width), nn.Linear(16, width, bias=False)
        self.within = nn.ModuleList(AttentionBlock(width) for _ in range(blocks[0]))
        self.between = nn.ModuleList(AttentionBlock(width) for _ in range(blocks[1]))
        self.norm = nn.LayerNorm(width)
        self.judge = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 1))  # g
        self.log_weights = nn.Parameter(torch.zeros(blocks[1], width))  # log w
        self.family = require_family(family, "classification", type(self).__name__)
        self._start_as_a_distance()

    def encode(self, x: Inputs) -> Tensor:
        """Return the tokens of each image after the blocks within: (M, …) → (M, H, W, C).

        Raises:
            RecipeError: The backbone does not give maps or vectors of `features` channels.
        """
        maps = maps_of(called(self.backbone, x), self.features, type(self).__name__, count_items(x))
        H, W = maps.shape[2:]
        places = places_of(H, W, maps)
        tokens: Tensor = self.enter(maps.flatten(2).mT) + self.where(waves_of(places))  # (M, T, C)
        tokens = tokens.unsqueeze(1)
        for block in _blocks(self.within):
            tokens, _ = block(tokens, block.offer(tokens, places), places)
        return tokens.view(-1, H, W, tokens.shape[-1])

    def adapt(self, support_features: Inputs, support_y: Tensor, *, way: int | None = None) -> ExampleTokens:
        """Keep the support set: (B, S, H, W, C) and (B, S) → tokens (B, S, H, W, C) and one-hot labels (B, S, N)."""
        check_support(self, support_features, support_y, way)
        assert isinstance(support_features, Tensor)
        tokens = support_features if self.training else support_features.detach()
        return ExampleTokens(tokens, one_hot(support_y, way_of(support_y, way), tokens))

    def predict(self, adapted: ExampleTokens, query_features: Inputs) -> Tensor:
        """Return the logits of the classes: (B, Q, H, W, C) → (B, Q, N); -∞ for a class without support items."""
        check_queries(self, len(adapted.labels), query_features)
        assert isinstance(query_features, Tensor)
        return over_items(self.pair_scores(adapted.tokens, query_features), adapted.labels, self.over_items)

    def pair_scores(self, support: Tensor, query: Tensor) -> Tensor:
        """Score every pair with r: (B, S, H, W, C) and (B, Q, H, W, C) → (B, Q, S) in at least float32. Evaluation runs in blocks."""
        H, W = support.shape[2:4]
        places = places_of(H, W, support)
        support, query = support.flatten(2, 3), query.flatten(2, 3)
        S, T = support.shape[1:3]
        most = len(query) * query.shape[1] * S * T if self.training else _TOKENS_AT_ONCE
        tasks = max(1, most // (S * T))
        queries = max(1, most // (min(tasks, len(support)) * S * T))
        scores = []
        for some, asked in zip(torch.split(support, tasks), torch.split(query, tasks), strict=True):
            offered = [block.offer(some, places) for block in _blocks(self.between)]
            parts = torch.split(asked, queries, 1)
            scores.append(torch.cat([self._both_ways(some, offered, part, places) for part in parts], 1))
        return torch.cat(scores)

    def meta_backward(self, batch: EpisodeBatch, progress: float) -> Tensor:
        """Add the gradient of the loss for B episodes."""
        support, query = encode_tasks(self, batch.support_x, batch.query_x)
        assert isinstance(query, Tensor)
        adapted = self.adapt(support, batch.support_y, way=batch.way)
        scores = self.pair_scores(adapted.tokens, query)
        if self.loss == "pairs":
            losses = loss_of_pairs(scores, batch.support_y, batch.query_y)
        else:
            losses = self.family.loss(over_items(scores, adapted.labels, self.over_items), batch.query_y)
        losses.mean().backward()  # type: ignore[no-untyped-call]  # untyped in torch
        return losses.detach()

    def _both_ways(self, support: Tensor, offered: list[tuple[Tensor, Tensor]], query: Tensor, places: Tensor) -> Tensor:
        """Compute r(x, y) for support (B, S, T, C), with what it offers to each block, and queries (B, q, T, C) → (B, q, S)."""
        forth = self._one_way(query, offered, places)  # (B, S, q): each query looks at each support item
        back = self._one_way(support, [block.offer(query, places) for block in _blocks(self.between)], places)  # (B, q, S)
        return (forth.mT + back) / 2

    def _one_way(self, tokens: Tensor, offered: list[tuple[Tensor, Tensor]], places: Tensor) -> Tensor:
        """Compute r(x → y) for images (B, n, T, C) and each of the m images per task that made the offers → (B, m, n)."""
        n, T = tokens.shape[1:3]
        x = tokens.flatten(1, 2).unsqueeze(1)  # (B, 1, n·T, C)
        rows = places.repeat(n, 1)
        distance: Tensor | float = 0.0
        for block, weights, shown in zip(_blocks(self.between), self.log_weights, offered, strict=True):
            x, e = block(x, shown, rows)  # (B, m, n·T, C)
            with torch.autocast(e.device.type, enabled=False):
                e = e.to(torch.promote_types(e.dtype, torch.float32)).unflatten(2, (n, T))
                distance = distance + e.square().mean(3) @ weights.exp().to(e.dtype)
        judged: Tensor = self.judge(self.norm(x).unflatten(2, (n, T)).mean(3)).squeeze(-1)  # (B, m, n)
        return judged - distance

    @torch.no_grad()
    def _start_as_a_distance(self) -> None:
        """Start with g = 0 and with equal maps for queries and keys in each block between, so that a place finds similar places."""
        last = self.judge[-1]
        assert isinstance(last, nn.Linear)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        for block in _blocks(self.between):
            block.query.weight.mul_(2.0)  # the drawn weights give logits so small that a place hardly tells others apart
            block.key.weight.copy_(block.query.weight)
            block.key.bias.copy_(block.query.bias)


def _blocks(blocks: nn.ModuleList) -> Iterator[AttentionBlock]:
    for block in blocks:
        assert isinstance(block, AttentionBlock)
        yield block


def loss_of_pairs(scores: Tensor, support_y: Tensor, query_y: Tensor) -> Tensor:
    """Compute the binary cross-entropy of same and different. Together, the same pairs of a query weigh as much as its different pairs.

    Args:
        scores: r, (B, Q, S).
        support_y: Labels int64 (B, S).
        query_y: Labels int64 (B, Q).

    Returns:
        (B,): the mean over queries of half the mean over same pairs and half the mean over different ones.
    """
    same = query_y.unsqueeze(2) == support_y.unsqueeze(1)  # (B, Q, S)
    misses = F.softplus(torch.where(same, -scores, scores))
    halves = [(misses * kind).sum(2) / kind.sum(2).clamp(min=1) for kind in (same, ~same)]
    return ((halves[0] + halves[1]) / 2).mean(1)


def _refuse_impossible(features: int, width: int, blocks: Sequence[int]) -> None:
    if features < 1:
        raise RecipeError(f"features must be at least 1; found {features}.")
    if width < HEAD or width % HEAD:
        raise RecipeError(f"width must be a multiple of {HEAD} because each head has {HEAD} numbers; found {width}.")
    if len(blocks) != 2 or blocks[0] < 0 or blocks[1] < 1:
        raise RecipeError(f"blocks must be two counts, 0 or more within an image and 1 or more between two; found {list(blocks)}.")
