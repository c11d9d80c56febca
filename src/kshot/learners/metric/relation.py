"""Relation Networks: a learnt comparison of a query with a class.

Flood Sung, Yongxin Yang, Li Zhang, Tao Xiang, Philip H. S. Torr, Timothy M. Hospedales, "Learning to Compare: Relation Network for
Few-Shot Learning", CVPR 2018, arXiv 1711.06025.

    r_{k,j} = g_φ(C(c_k, f_φ(x_j)))      C: the two maps, concatenated along the channels           (1)
    c_k = Σ f_φ(x_i) over the support items of class k, element by element (one item: its own map)
    φ = argmin Σ_k Σ_j (r_{k,j} - [y_j = k])²                                                       (2)

f is the embedding module (`kshot.backbones.conv4_maps`). g is the relation module: two blocks of a 3×3 convolution, batch normalisation,
ReLU and 2×2 max-pooling, then a layer to 8 numbers with ReLU, then a layer to the relation score r with a sigmoid. Our logit is the input
of the sigmoid, which ranks as r does. Two exact identities make it cheap:
- A convolution is linear: conv(C(c, q)) = conv_c(c) + conv_q(q). Each map goes through its half once, and a pair costs one addition.
- The mean and variance of the first batch normalisation over all N·Q pairs follow from those of the halves. The halves are therefore
  normalised before they are added, and no pair has to be written out to measure its statistics.

Departures from the paper:
- c_k is the mean of the class's maps, not the sum. At one shot they are the same. At other shots the sum would give g numbers in another
  range, and one set of parameters could serve neither several shots nor an unbalanced support set.
- The maps after the second pooling, 1×1 for images of 28 pixels, are averaged over positions. In the paper, the next layer sees each
  position. The two are equal for Omniglot, and ours takes any image size.
- `loss="cross-entropy"` trains by the softmax over the classes' logits. The default is equation (2).
- Evaluation uses running statistics. The authors' code stays in training mode at test time and uses the statistics of the test batch,
  which is transductive, and so are their numbers.

Features that are vectors (M, D) are maps of 1×1. A map that is less than 2 wide or high is not pooled. A class without support items has
logit -∞. Measured: docs/learners/relation.md.
"""

from collections.abc import Iterator
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kshot.backbones.conv_block import pixels_last
from kshot.backbones.kernels.running_statistics import follow
from kshot.data.inputs import Inputs, count_items
from kshot.episodes.episode import EpisodeBatch
from kshot.episodes.family import Classification, TaskFamily
from kshot.errors import RecipeError
from kshot.learners.asked import check_queries, check_support
from kshot.learners.backbone_form import called
from kshot.learners.heads.feature_maps import maps_of
from kshot.learners.learner import Learner, encode_tasks, require_family, way_of
from kshot.learners.short_forms import repr_of_adapted

LOSSES = ("squared", "cross-entropy")
_PAIRS_AT_ONCE = 1024
"""Pairs computed at once in evaluation. A pair of 7×7 maps of 64 filters takes 9 KB before the first pooling."""


class ClassHalves(NamedTuple):
    """What a Relation Network learns from a task.

    Attributes:
        halves: conv_c(c_k), (B, N, H, W, F) with F filters. Meaningless for a class without support items.
        known: Whether the class has a support item, bool (B, N).
    """

    halves: Tensor
    known: Tensor

    def __repr__(self) -> str:
        return repr_of_adapted(self)


class RelationNet(Learner):
    """A Relation Network, as in equations (1) and (2).

    Args:
        backbone: f_φ: inputs (M, …) → maps (M, C, H, W), or vectors (M, C).
        features: C.
        width: Number of filters in each convolution of the relation module.
        hidden: Size of the last but one layer of the relation module.
        loss: `squared`, equation (2), or `cross-entropy`.
        family: The task family; it must be classification.

    Raises:
        RecipeError: A count is below 1, or the loss is unknown.
    """

    def __init__(
        self,
        backbone: nn.Module,
        *,
        features: int,
        width: int = 64,
        hidden: int = 8,
        loss: str = "squared",
        family: TaskFamily = Classification(),  # noqa: B008  # frozen
    ) -> None:
        super().__init__()
        for name, count in (("features", features), ("width", width), ("hidden", hidden)):
            if count < 1:
                raise RecipeError(f"{name} must be at least 1; found {count}.")
        if loss not in LOSSES:
            raise RecipeError(f"the loss of a Relation Network must be one of {', '.join(LOSSES)}; found {loss!r}.")
        self.backbone = backbone
        self.conv1 = nn.Conv2d(2 * features, width, 3, padding=1)  # its first C input channels read the class, the others the query
        self.norm1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1)
        self.norm2 = nn.BatchNorm2d(width)
        self.fc1, self.fc2 = nn.Linear(width, hidden), nn.Linear(hidden, 1)
        self.conv2.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # layout of the weights; same numbers
        self.features, self.loss = features, loss
        self.family = require_family(family, "classification", type(self).__name__)

    def encode(self, x: Inputs) -> Tensor:
        """Compute f_φ: (M, …) → (M, C, H, W); vectors become (M, C, 1, 1).

        Raises:
            RecipeError: The backbone does not give maps or vectors, or gives another C.
        """
        return maps_of(called(self.backbone, x), self.features, type(self).__name__, count_items(x))

    def adapt(self, support_features: Inputs, support_y: Tensor, *, way: int | None = None) -> ClassHalves:
        """Compute the classes' halves of the first convolution: (B, S, C, H, W) and (B, S) → (B, N, H, W, F)."""
        check_support(self, support_features, support_y, way)
        assert isinstance(support_features, Tensor)
        means, known = mean_maps(support_features, support_y, way_of(support_y, way))
        halves = half_of(means, self.conv1.weight[:, : self.features], self.conv1.bias)
        return ClassHalves(halves if self.training else halves.detach(), known)

    def predict(self, adapted: ClassHalves, query_features: Inputs) -> Tensor:
        """Return the logits of r: (B, Q, C, H, W) → (B, Q, N); -∞ for a class without support items."""
        check_queries(self, len(adapted.known), query_features)
        assert isinstance(query_features, Tensor)
        queries = half_of(query_features, self.conv1.weight[:, self.features :])  # (B, Q, H, W, F)
        classes, queries = normalised_halves(adapted.halves, queries, self.norm1)
        scores = [self._score_of(block) for block in self._pairs(classes, queries)]
        return torch.cat(scores, 1).masked_fill(~adapted.known.unsqueeze(1), -torch.inf)

    def meta_backward(self, batch: EpisodeBatch, progress: float) -> Tensor:
        """Add the gradient of the loss for B episodes. The loss of an episode is the mean over its pairs."""
        support, query = encode_tasks(self, batch.support_x, batch.query_x)
        logits = self.predict(self.adapt(support, batch.support_y, way=batch.way), query)
        if self.loss == "squared":
            losses = (logits.sigmoid() - F.one_hot(batch.query_y, logits.shape[-1])).square().mean((1, 2))  # (B,)
        else:
            losses = self.family.loss(logits, batch.query_y)
        losses.mean().backward()  # type: ignore[no-untyped-call]  # untyped in torch
        return losses.detach()

    def _pairs(self, classes: Tensor, queries: Tensor) -> Iterator[Tensor]:
        """Yield the sums of the halves of all pairs, (B, q, N, H, W, F): at once in training, for batch statistics; else in blocks."""
        B, N = classes.shape[:2]
        at_once = queries.shape[1] if self.training else max(1, _PAIRS_AT_ONCE // (B * N))
        classes = what_pooling_reads(classes)
        for block in torch.split(what_pooling_reads(queries), at_once, 1):
            yield block.unsqueeze(2) + classes.unsqueeze(1)

    def _score_of(self, pairs: Tensor) -> Tensor:
        """Turn the normalised sums (B, q, N, H, W, F) into logits (B, q, N)."""
        x = pairs.flatten(0, 2).permute(0, 3, 1, 2)  # (B·q·N, F, H, W), channels innermost in memory
        x = F.relu(pooled(x))
        x = F.relu(pooled(self.norm2(self.conv2(x))))
        logits: Tensor = self.fc2(F.relu(self.fc1(x.mean((2, 3)))))  # (B·q·N, 1)
        return logits.view(pairs.shape[:3])


def mean_maps(features: Tensor, y: Tensor, way: int) -> tuple[Tensor, Tensor]:
    """Compute c_k, the mean of each class's maps.

    Args:
        features: (B, S, C, H, W).
        y: Labels 0 … way - 1, int64 (B, S); classes need not be balanced.
        way: N.

    Returns:
        (B, N, C, H, W) in at least float32, 0 for a class without items; and which classes have items, bool (B, N).
    """
    with torch.autocast(features.device.type, enabled=False):
        member = F.one_hot(y, way).to(torch.promote_types(features.dtype, torch.float32))  # (B, S, N)
        counts = member.sum(1)  # (B, N)
        share = member / counts.clamp(min=1).unsqueeze(1)
        means = share.mT @ features.to(member.dtype).flatten(2)  # (B, N, C·H·W)
        return means.reshape(*counts.shape, *features.shape[2:]), counts > 0


def half_of(maps: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Compute one half of the first convolution: (B, n, C, H, W) and (F, C, 3, 3) → (B, n, H, W, F) in at least float32."""
    found = F.conv2d(pixels_last(maps.flatten(0, 1)), weight, bias, padding=1)  # (B·n, F, H, W)
    found = found.to(torch.promote_types(found.dtype, torch.float32))
    halves = found.permute(0, 2, 3, 1)  # (B·n, H, W, F)
    return halves.reshape(*maps.shape[:2], *halves.shape[1:])


def normalised_halves(classes: Tensor, queries: Tensor, norm: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """Normalise halves so that their sums are the batch-normalised sums of the given halves, for all pairs of class and query in a task.

    With c̃ and q̃ the halves minus their means over everything but filters, the variance over all pairs and positions is
    mean(c̃²) + mean(q̃²) + 2 mean over tasks and positions of (mean over classes of c̃) · (mean over queries of q̃).

    Args:
        classes: (B, N, H, W, F).
        queries: (B, Q, H, W, F).
        norm: Gives scale, shift and running statistics. In training mode the statistics are updated, as in its `forward`.

    Returns:
        (B, N, H, W, F) and (B, Q, H, W, F).
    """
    assert norm.running_mean is not None
    assert norm.running_var is not None
    if norm.training:
        mean = classes.mean((0, 1, 2, 3)) + queries.mean((0, 1, 2, 3))  # (F,)
        classes, queries = classes - classes.mean((0, 1, 2, 3)), queries - queries.mean((0, 1, 2, 3))
        shared = (classes.mean(1) * queries.mean(1)).mean((0, 1, 2))
        variance = classes.square().mean((0, 1, 2, 3)) + queries.square().mean((0, 1, 2, 3)) + 2 * shared
        follow(norm, mean.detach(), variance.detach(), classes[..., 0].numel() * queries.shape[1])
    else:
        classes, variance = classes - norm.running_mean, norm.running_var
    scale = norm.weight * (variance + norm.eps).rsqrt()
    return classes * scale + norm.bias, queries * scale


def pooled(maps: Tensor) -> Tensor:
    """Apply 2×2 max-pooling to (M, F, H, W). Maps that are less than 2 wide or high stay unchanged."""
    return F.max_pool2d(maps, 2) if min(maps.shape[-2:]) > 1 else maps


def what_pooling_reads(halves: Tensor) -> Tensor:
    """Drop the last row of (B, n, H, W, F) if H is odd, and the last column if W is odd: `pooled` would not read them."""
    H, W = halves.shape[2:4]
    return halves[:, :, : H - H % 2, : W - W % 2] if min(H, W) > 1 else halves
