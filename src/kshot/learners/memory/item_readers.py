"""How items become tokens: vectors through an affine map, rows of a table through what is known of each column.

A reader has three steps, as a learner has. `encode` checks and prepares items one by one. `remember` computes from the support set and its
labels what all items of the task are read with. `tokens` turns items into tokens with it. In: features (B, n, D). Out: tokens
(B, M, n, W), for M members of an ensemble that number the classes differently. Next: `kshot.learners.memory.in_context`.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kshot.errors import DataError
from kshot.learners.backbone_form import other_features

_SUMMARY = 32
"""Numbers that describe a column."""


class ItemReader(nn.Module, ABC):
    """Turns items into tokens."""

    @abstractmethod
    def encode(self, x: Tensor, learner: str) -> Tensor:
        """Check and prepare items one by one: (n, D) → (n, features). `learner` is its name for messages."""

    @abstractmethod
    def remember(self, support: Tensor, slots: Tensor, columns: Tensor) -> Mapping[str, Tensor]:
        """Compute what the items of a task are read with.

        Args:
            support: Encoded support items (B, S, features).
            slots: The slot of each support item's class, for each member, int64 (B, M, S).
            columns: Random orders of the features, for each member, int64 (B or 1, M, features).

        Returns:
            Tensors by name, whose first dimension is B.
        """

    @abstractmethod
    def tokens(self, x: Tensor, memory: Mapping[str, Tensor], members: int) -> Tensor:
        """Read items: (B, n, features) → tokens (B, M, n, W)."""


class VectorReader(ItemReader):
    """Reads vectors, such as the embeddings of pictures, through an affine map.

    Args:
        features: D.
        width: W.
    """

    def __init__(self, features: int, width: int) -> None:
        super().__init__()
        self.affine = nn.Linear(features, width)

    def encode(self, x: Tensor, learner: str) -> Tensor:
        """Map vectors to tokens: (n, D) → (n, W).

        Raises:
            RecipeError: D is not what the learner was built for.
        """
        if x.shape[1] != self.affine.in_features:
            raise other_features(learner, self.affine.in_features, tuple(x.shape[1:]))
        tokens: Tensor = self.affine(x)
        return tokens

    def remember(self, support: Tensor, slots: Tensor, columns: Tensor) -> Mapping[str, Tensor]:
        """Return nothing: vectors are read in the same way in all tasks."""
        return {}

    def tokens(self, x: Tensor, memory: Mapping[str, Tensor], members: int) -> Tensor:
        """Give every member the same tokens: (B, n, W) → (B, M, n, W)."""
        return x.unsqueeze(1).expand(-1, members, -1, -1)


class TableReader(ItemReader):
    """Reads rows of a table whose columns mean something else in every task.

    A column is brought to mean 0 and standard deviation 1 over the support set, and far values are drawn in. With z_ij for column j of item
    i, a learnt description s_j of the column (how its values and the classes of the support items go together), a vector V_p(j) for a
    random place p(j) that tells columns apart, and F columns that vary:

        s_j = gelu(W mean_i gelu(a z_ij + U_class(i)) + …)
        token_i = 1/√F Σ_j [ z_ij (V_p(j) ⊙ (1 + G s_j)) + O gelu(b z_ij + C s_j) ]

    Nothing but p depends on the order of the columns. A column that does not vary over the support set adds nothing, so that a table of
    fewer columns is one with zeros in place of the others.

    Args:
        features: The most columns.
        slots: Classes are numbered among so many.
        width: W.
    """

    def __init__(self, features: int, slots: int, width: int) -> None:
        super().__init__()
        self.places = nn.Parameter(torch.randn(features, width))  # V
        self.class_vectors = nn.Parameter(torch.randn(slots, _SUMMARY))  # U
        self.slope = nn.Parameter(torch.randn(_SUMMARY))  # a
        self.describe = nn.Linear(_SUMMARY + 2, _SUMMARY)  # W
        self.gate = nn.Linear(_SUMMARY, width)  # G
        self.bend = nn.Parameter(torch.randn(_SUMMARY))  # b
        self.offset = nn.Linear(_SUMMARY, _SUMMARY)  # C
        self.out = nn.Linear(_SUMMARY, width, bias=False)  # O

    def encode(self, x: Tensor, learner: str) -> Tensor:
        """Put zeros in place of missing columns: (n, D) → (n, features).

        Raises:
            DataError: There are more columns than the learner was built for.
        """
        D, most = x.shape[1], len(self.places)
        if most < D:
            raise DataError(
                f"this {learner} reads tables of at most {most} features; found {D}. Choose {most} of them or reduce them, such as by "
                f"principal components, or train one with learner.features={D}."
            )
        return F.pad(x, (0, most - D))

    def remember(self, support: Tensor, slots: Tensor, columns: Tensor) -> Mapping[str, Tensor]:
        """Compute centre, spread and description of each column."""
        S = support.shape[1]
        centre = support.mean(1, keepdim=True)  # (B, 1, features)
        spread = (support - centre).square().mean(1, keepdim=True).sqrt()
        varies = spread > 1e-6 * support.abs().amax(1, keepdim=True)  # rounding alone makes no spread
        scale = torch.where(varies, 1 / torch.where(varies, spread, 1.0), 0.0)
        count = varies.sum(-1, keepdim=True).clamp(min=1)  # F, (B, 1, 1)
        z = scaled(support, centre, scale).unsqueeze(1).unsqueeze(-1)  # (B, 1, S, features, 1)
        seen = F.gelu(z * self.slope + self.class_vectors[slots].unsqueeze(-2)).mean(2)  # (B, M, features, 32)
        size = seen.new_full((1, 1, 1, 1), math.log(S) / 3).expand(*seen.shape[:-1], 1)
        wide = (count.log() / 3).to(seen.dtype).unsqueeze(1).expand(*seen.shape[:-1], 1)
        description = F.gelu(self.describe(torch.cat([seen, size, wide], -1)))  # (B, M, features, 32)
        vectors = self.places[columns] * (1 + self.gate(description))  # (B, M, features, W)
        share = (varies / count.sqrt()).unsqueeze(-1)  # (B, 1, features, 1)
        return {"centre": centre, "scale": scale, "share": share, "vectors": vectors * share, "offsets": self.offset(description)}

    def tokens(self, x: Tensor, memory: Mapping[str, Tensor], members: int) -> Tensor:
        """Read rows: (B, n, features) → tokens (B, M, n, W)."""
        z = scaled(x, memory["centre"], memory["scale"]).unsqueeze(1)  # (B, 1, n, features)
        bent = F.gelu(z.unsqueeze(-1) * self.bend + memory["offsets"].unsqueeze(2))  # (B, M, n, features, 32)
        tokens: Tensor = z @ memory["vectors"] + self.out((bent * memory["share"].unsqueeze(2)).sum(-2))
        return tokens


def scaled(x: Tensor, centre: Tensor, scale: Tensor) -> Tensor:
    """Standardise columns, and draw in what lies further than a few standard deviations out: 3 asinh(z / 3)."""
    return 3 * torch.asinh((x - centre) * scale / 3)
