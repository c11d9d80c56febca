"""SimpleShot: nearest centroid of transformed features.

Yan Wang, Wei-Lun Chao, Kilian Q. Weinberger, Laurens van der Maaten, "SimpleShot: Revisiting Nearest-Neighbor Classification for
Few-Shot Learning", 2019, arXiv 1911.04623.

    CL2N:  z = (f(x) - x̄) / ‖f(x) - x̄‖       x̄: the mean feature of the base classes (those of training)
    L2N:   z = f(x) / ‖f(x)‖
    c_k = mean of z over the support items of class k,      ŷ = argmin_k ‖z - c_k‖

`SimpleShot` is CL2N, the best in the paper. `SimpleShotL2N` is L2N. The third, UN (z = f(x)), is a `ProtoNet` with the same backbone. The
paper gives only a class as the answer; our logits are -‖z - c_k‖², which rank the same.

f is trained by softmax classification over all base classes, in plain batches and on untransformed features. Features are transformed only
afterwards. x̄ is the mean over all base images, computed with the finished network after training. Until then, for validations during
training, x̄ follows training: it is the mean over the first 100 batches, then a running mean in which each batch has weight 1/100. To
compute the mean for a network that was trained elsewhere, call `learner.after_training([base_images], score=...)` or
`learner.centre.copy_(learner.encode(base_images).mean(0))`. Departures from the paper: none in the equations; optimiser, rate and
augmentation are those of the recipe.

Limits: 0 ≤ ‖z - c_k‖² ≤ 4, so probabilities are flat and only their order means something. An item at x̄ (or constant features) has z = 0;
its distance from each class is the length of the class's centroid. A class without support items has logit -∞. Before any training x̄ = 0,
which is L2N. Measured: docs/learners/simple-shot.md.
"""

from collections.abc import Callable, Iterable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kshot.data.inputs import Inputs
from kshot.episodes.family import Classification, TaskFamily
from kshot.episodes.item_stream import ItemBatch
from kshot.errors import RecipeError
from kshot.learners.asked import check_queries, check_support
from kshot.learners.backbone_form import embed
from kshot.learners.heads.centres import Prototypes, only_known, prototypes, squared_distances
from kshot.learners.heads.comparison_space import Space
from kshot.learners.learner import Batch, Trainable, require_family, way_of
from kshot.learners.transfer.item_training import ItemLearner, ItemTraining, item_losses, linear_head

_LEAST_PART = 0.01


class SimpleShot(ItemLearner):
    """SimpleShot with CL2N: nearest centroid of centred features of length 1.

    Args:
        backbone: f: inputs (M, …) → features (M, D).
        features: D, the size of x̄.
        family: The task family; it must be classification.

    Raises:
        RecipeError: D is below 1.
    """

    centre: Tensor
    batches: Tensor

    def __init__(self, backbone: nn.Module, features: int = 64, family: TaskFamily = Classification()) -> None:  # noqa: B008  # frozen
        super().__init__()
        if features < 1:
            raise RecipeError(f"features must be at least 1; found {features}.")
        self.backbone = backbone
        self.register_buffer("centre", torch.zeros(features))
        self.register_buffer("batches", torch.zeros((), dtype=torch.int64))
        self.family = require_family(family, "classification", type(self).__name__)

    def encode(self, x: Inputs) -> Tensor:
        """Compute f, untransformed: (M, …) → (M, D).

        Raises:
            RecipeError: The backbone does not give one vector per item, of the D of x̄.
        """
        return embed(self.backbone, x, type(self).__name__, len(self.centre))

    def adapt(self, support_features: Inputs, support_y: Tensor, *, way: int | None = None) -> Prototypes:
        """Compute the centroids of transformed features: (B, S, D) and (B, S) → (B, N, D)."""
        check_support(self, support_features, support_y, way)
        assert isinstance(support_features, Tensor)
        z = centred_directions(support_features, self.centre)
        return prototypes(z if self.training else z.detach(), support_y, way_of(support_y, way))

    def predict(self, adapted: Prototypes, query_features: Inputs) -> Tensor:
        """Return -‖z - c_k‖²: (B, Q, D) → (B, Q, N)."""
        check_queries(self, len(adapted.centres), query_features)
        assert isinstance(query_features, Tensor)
        return only_known(-squared_distances(centred_directions(query_features, self.centre), adapted.centres), adapted)

    def space(self) -> Space:
        """Return CL2N features, compared by minus the squared distance."""
        return Space(
            lambda features: centred_directions(features, self.centre), lambda queries, centres: -squared_distances(queries, centres)
        )

    def for_training(self, example: Batch) -> Trainable:
        """Return the learner with a linear layer over the base classes. Every batch updates x̄. See `Learner`."""
        return CentredTraining(self, linear_head(self, example))

    @torch.no_grad()
    def after_training(self, items: Iterable[Inputs], score: Callable[[], float]) -> None:
        """Set x̄ to the mean feature of all items."""
        total, count = torch.zeros_like(self.centre, dtype=torch.float64), 0
        for x in items:
            features = self.encode(x)
            total += features.double().sum(0)
            count += len(features)
        self.centre.copy_(total / count)


class CentredTraining(Trainable):
    """A SimpleShot learner with a linear layer over the base classes.

    Args:
        learner: The learner whose backbone is trained and whose x̄ is updated.
        head: Features (M, D) → logits (M, classes).
    """

    def __init__(self, learner: SimpleShot, head: nn.Module) -> None:
        super().__init__()
        self.learner, self.head = learner, head

    def meta_backward(self, batch: ItemBatch, progress: float) -> Tensor:
        """Add the gradient of the items' mean loss. Return one detached loss per item, (M,)."""
        learner = self.learner
        features = learner.encode(batch.x)  # (M, D)
        losses = item_losses(learner, self.head(features), batch)
        losses.mean().backward()  # type: ignore[no-untyped-call]  # untyped in torch
        with torch.no_grad():
            mean = features.to(learner.centre.dtype).mean(0)  # (D,)
            learner.batches.add_(1)
            learner.centre.lerp_(mean, (1 / learner.batches).clamp(min=_LEAST_PART).to(mean.dtype))
        return losses.detach()


class SimpleShotL2N(ItemLearner):
    """SimpleShot with L2N: features of length 1, without centring.

    Args:
        backbone: f: inputs (M, …) → features (M, D).
        family: The task family; it must be classification.

    Example:
        >>> import torch
        >>> learner = SimpleShotL2N(torch.nn.Identity()).eval()
        >>> task = learner.adapt(torch.tensor([[[2.0, 0.0], [0.0, 3.0]]]), torch.tensor([[0, 1]]))
        >>> learner.predict(task, torch.tensor([[[7.0, 0.0]]])).tolist()
        [[[-0.0, -2.0]]]
    """

    def __init__(self, backbone: nn.Module, family: TaskFamily = Classification()) -> None:  # noqa: B008  # frozen
        super().__init__()
        self.backbone = backbone
        self.family = require_family(family, "classification", type(self).__name__)

    def encode(self, x: Inputs) -> Tensor:
        """Compute f, untransformed: (M, …) → (M, D).

        Raises:
            RecipeError: The backbone does not give one vector per item.
        """
        return embed(self.backbone, x, type(self).__name__)

    def adapt(self, support_features: Inputs, support_y: Tensor, *, way: int | None = None) -> Prototypes:
        """Compute the centroids of transformed features: (B, S, D) and (B, S) → (B, N, D)."""
        check_support(self, support_features, support_y, way)
        assert isinstance(support_features, Tensor)
        z = directions(support_features)
        return prototypes(z if self.training else z.detach(), support_y, way_of(support_y, way))

    def predict(self, adapted: Prototypes, query_features: Inputs) -> Tensor:
        """Return -‖z - c_k‖²: (B, Q, D) → (B, Q, N)."""
        check_queries(self, len(adapted.centres), query_features)
        assert isinstance(query_features, Tensor)
        return only_known(-squared_distances(directions(query_features), adapted.centres), adapted)

    def space(self) -> Space:
        """Return L2N features, compared by minus the squared distance."""
        return Space(directions, lambda queries, centres: -squared_distances(queries, centres))

    def for_training(self, example: Batch) -> Trainable:
        """Return the learner with a linear layer over the base classes; see `Learner`."""
        return ItemTraining(self, linear_head(self, example))


def directions(features: Tensor) -> Tensor:
    """Apply L2N: (…, D) → vectors of length 1 (…, D) in at least float32; 0 stays 0."""
    return F.normalize(features.to(torch.promote_types(features.dtype, torch.float32)), dim=-1)


def centred_directions(features: Tensor, centre: Tensor) -> Tensor:
    """Apply CL2N: (…, D) and x̄ (D,) → vectors of length 1 (…, D) in at least float32; 0 if a feature equals x̄."""
    return directions(features - centre)
