"""Attention to a support set: layers in which every item, support or query, reads the support items and nothing else.

`read` maps the support items, which read each other, and returns their keys and values. `extend` maps queries, each of which reads these
keys and values: what one query computes depends on no other, and the support set is read once. The order of the support items is of no
consequence: no layer knows a position.

Letters: B tasks, S support items, Q queries, W channels. Next: `kshot.learners.memory.in_context`.
"""

import torch.nn.functional as F
from torch import Tensor, nn

HEADS = 4
"""Attention heads of a layer; W is a multiple of it."""


class SupportLayer(nn.Module):
    """One layer of a transformer encoder, normalised before each part (Xiong et al. 2020, arXiv 2002.04745).

    x ← x + A · attention(norm(x) → the support items),  x ← x + W₂ gelu(W₁ norm(x))

    Args:
        width: W, a multiple of 4.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.before_attention, self.before_network = nn.LayerNorm(width), nn.LayerNorm(width)
        self.query, self.out = nn.Linear(width, width), nn.Linear(width, width)
        self.key_value = nn.Linear(width, 2 * width)
        self.network = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))

    def read(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Map the support items.

        Args:
            x: (B, S, W).

        Returns:
            y (B, S, W), and the keys and values side by side (B, S, 2·W): all that a query needs.
        """
        known: Tensor = self.key_value(self.before_attention(x))
        return self.extend(x, known), known

    def extend(self, x: Tensor, known: Tensor) -> Tensor:
        """Map items that read the support items: (B, Q, W) and keys and values (B, S, 2·W) → (B, Q, W)."""
        key, value = known.chunk(2, -1)
        query = self.query(self.before_attention(x))
        found = F.scaled_dot_product_attention(_heads(query), _heads(key), _heads(value))  # (B, heads, Q, W / heads)
        x = x + self.out(found.transpose(1, 2).flatten(2))
        y: Tensor = x + self.network(self.before_network(x))
        return y


def _heads(x: Tensor) -> Tensor:
    """(B, n, W) → (B, heads, n, W / heads)."""
    heads: Tensor = x.reshape(*x.shape[:-1], HEADS, -1)  # (B, n, heads, W / heads)
    return heads.transpose(1, 2)
