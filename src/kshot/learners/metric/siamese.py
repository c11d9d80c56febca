"""Siamese network: are two items of the same class?

Gregory Koch, Richard Zemel, Ruslan Salakhutdinov, "Siamese Neural Networks for One-shot Image Recognition", ICML deep learning
workshop 2015.

    z = Σ_d α_d |h_{1,d} - h_{2,d}| + b,    p = σ(z)       h: features of the twins; α and b are learnt          (section 3.1)
    loss = -y log p - (1 - y) log(1 - p)                   y = 1 for a pair of one class                         (section 3.2)
    ŷ = argmax over the support items of p                                                                       (section 4.3)

If a class has several support items, the one with the best score counts: the logit of the class is the largest z. Its sigmoid is the
probability that the query and that item belong to one class.

The training pairs are all pairs of different items of an episode, from support and query alike. The paper draws pairs. Here each kind, same
and different, is averaged over all its pairs, which is the expectation of drawing them and uses all of an episode.

Departures from the paper:
- `odds`. If both kinds are drawn equally often (odds = 1, as in the paper), most pairs of two classes soon teach nothing. With odds = o,
  all different pairs together weigh o times as much as all same pairs together, and the loss uses z - log o, the log odds among pairs drawn
  in this proportion. So z stays what the equation says: the log odds of a pair when both kinds are equally likely.
- h is the unchanged output of the backbone. The paper has a last layer of 4,096 sigmoid units; smaller ones did not measure better.
- α starts at one negative number and b at the distance of a typical pair, so z starts as a distance. The paper draws α around 0.
- There are no affine distortions and no L2 penalty (`training.weight_decay` adds one), and Adam replaces layer-wise rates and momentum.

Limits: z looks at one pair at a time, so nothing averages over the items of a class, and a class with more items has more chances. A class
without support items has logit -∞. An α_d of exactly 0 gets no gradient. Measured: docs/learners/siamese.md.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kshot.data.inputs import Inputs
from kshot.episodes.episode import EpisodeBatch
from kshot.episodes.family import Classification, TaskFamily
from kshot.errors import RecipeError
from kshot.learners.asked import check_queries, check_support
from kshot.learners.backbone_form import embed
from kshot.learners.heads.comparison_space import Space, as_they_are
from kshot.learners.heads.item_scores import Examples, class_maxima, one_hot
from kshot.learners.learner import Learner, encode_tasks, require_family, way_of

_SPREAD, _TYPICAL = 2.8, 0.6
"""Initial values of α and b.

After batch normalisation and ReLU, two random items differ by 0.6 in each feature. With α_d = -2.8 / √D, their weighted distances spread
over a few units around b, which a sigmoid can tell apart. Measured on Omniglot (see the docs page): with b = 0, or with a third of this α,
training takes many times as long.
"""


class SiameseNet(Learner):
    """A Siamese network, as in the equations of this module.

    Args:
        backbone: The twin: inputs (M, …) → features (M, D).
        features: D.
        odds: Weight of all pairs of different classes relative to all pairs of one class in training, > 0. The paper has 1. Higher
            odds make training look at the pairs that are hard to tell apart.
        family: The task family; it must be classification.

    Raises:
        RecipeError: D is below 1, or the odds are not a positive number.

    Example:
        >>> import torch
        >>> learner = SiameseNet(torch.nn.Identity(), features=2).eval()
        >>> _ = learner.load_state_dict({"alpha": torch.tensor([-1.0, -2.0]), "b": torch.tensor(5.0)})
        >>> task = learner.adapt(torch.tensor([[[1.0, 0.0], [9.0, 0.0], [0.0, 3.0]]]), torch.tensor([[0, 0, 1]]))
        >>> learner.predict(task, torch.tensor([[[1.0, 1.0]]])).tolist()  # 5 - 0 - 2·1, and 5 - 1 - 2·2
        [[[3.0, 0.0]]]
    """

    def __init__(
        self,
        backbone: nn.Module,
        *,
        features: int,
        odds: float = 1.0,
        family: TaskFamily = Classification(),  # noqa: B008  # frozen
    ) -> None:
        super().__init__()
        if features < 1:
            raise RecipeError(f"features must be at least 1; found {features}.")
        if not 0 < odds < math.inf:
            raise RecipeError(f"the odds of different to same pairs must be a positive number; found {odds}.")
        self.backbone = backbone
        self.alpha = nn.Parameter(torch.full((features,), -_SPREAD / math.sqrt(features)))
        self.b = nn.Parameter(torch.tensor(_TYPICAL * _SPREAD * math.sqrt(features)))
        self.odds = odds
        self.family = require_family(family, "classification", type(self).__name__)

    def encode(self, x: Inputs) -> Tensor:
        """Apply the twin: (M, …) → (M, D).

        Raises:
            RecipeError: The backbone does not give one vector per item, of the D of α.
        """
        return embed(self.backbone, x, type(self).__name__, len(self.alpha))

    def adapt(self, support_features: Inputs, support_y: Tensor, *, way: int | None = None) -> Examples:
        """Keep the support set: (B, S, D) and (B, S) → features (B, S, D) and one-hot labels (B, S, N)."""
        check_support(self, support_features, support_y, way)
        assert isinstance(support_features, Tensor)
        features = support_features if self.training else support_features.detach()
        return Examples(features, one_hot(support_y, way_of(support_y, way), features))

    def predict(self, adapted: Examples, query_features: Inputs) -> Tensor:
        """Return the largest z of each class: (B, Q, D) → (B, Q, N); -∞ for a class without support items."""
        check_queries(self, len(adapted.labels), query_features)
        assert isinstance(query_features, Tensor)
        return class_maxima(self.pair_logits(query_features, adapted.features), adapted.labels)

    def pair_logits(self, first: Tensor, second: Tensor) -> Tensor:
        """Compute z for all pairs, (B, P, D) and (B, R, D) → (B, P, R)."""
        return weighted_distances(first, second, self.alpha) + self.b

    def space(self) -> Space:
        """Return the features, compared by z."""
        return Space(as_they_are, self.pair_logits)

    def meta_backward(self, batch: EpisodeBatch, progress: float) -> Tensor:
        """Add the gradient of the loss of all pairs of different items, for B episodes."""
        support, query = encode_tasks(self, batch.support_x, batch.query_x)
        assert isinstance(support, Tensor)
        assert isinstance(query, Tensor)
        items, y = torch.cat([support, query], 1), torch.cat([batch.support_y, batch.query_y], 1)  # (B, S + Q, …)
        losses = pair_losses(self.pair_logits(items, items), y, self.odds)
        losses.mean().backward()  # type: ignore[no-untyped-call]  # untyped in torch
        return losses.detach()


def weighted_distances(first: Tensor, second: Tensor, alpha: Tensor) -> Tensor:
    """Compute Σ_d α_d |first_d - second_d| for all pairs, without holding a tensor of shape (B, P, R, D).

    α_d |u - v| is |α_d u - α_d v| with the sign of α_d. So features are multiplied by α, and those with positive and with negative α give
    one L1 distance each. This is several times as fast as writing the differences out, and as exact.

    Args:
        first: (B, P, D).
        second: (B, R, D).
        alpha: (D,), of any sign.

    Returns:
        (B, P, R) in at least float32, also under autocast.
    """
    with torch.autocast(first.device.type, enabled=False):
        wide = torch.promote_types(first.dtype, torch.float32)
        u, v = first.to(wide) * alpha, second.to(wide) * alpha
        grows = alpha > 0  # (D,)
        return torch.cdist(u[..., grows], v[..., grows], p=1.0) - torch.cdist(u[..., ~grows], v[..., ~grows], p=1.0)


def pair_losses(z: Tensor, y: Tensor, odds: float) -> Tensor:
    """Compute the cross-entropy of `same` and `different` over all pairs of different items of a task.

    Args:
        z: Log odds that the two items have one class, when both kinds of pair are equally likely, (B, P, P).
        y: Labels int64 (B, P).
        odds: Weight of all different pairs divided by that of all same pairs.

    Returns:
        (B,): the expected loss of a pair that has one class with probability 1 / (1 + odds). A kind without pairs gives 0.
    """
    same = y.unsqueeze(2) == y.unsqueeze(1)  # (B, P, P)
    different = ~same
    same = same & ~torch.eye(y.shape[1], dtype=torch.bool, device=y.device)
    z = z - math.log(odds)
    of_same = _mean_where(same, F.softplus(-z))  # -log σ(z)
    of_different = _mean_where(different, F.softplus(z))  # -log (1 - σ(z))
    return (of_same + odds * of_different) / (1 + odds)


def _mean_where(chosen: Tensor, values: Tensor) -> Tensor:
    """Return the mean of the chosen values of each task, (B, P, P) → (B,); 0 if none is chosen."""
    return (values * chosen).sum((1, 2)) / chosen.sum((1, 2)).clamp(min=1)
