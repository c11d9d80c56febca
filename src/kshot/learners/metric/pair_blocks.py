"""Transformer blocks over the positions ("places") of maps: within one image, or from one image to others.

In: tokens, one row of C numbers for each place of a map. Out: tokens of the same shape. Next: `kshot.learners.metric.pair_attention`.

A block is that of Vaswani et al. 2017 (arXiv 1706.03762), with the normalisation of each layer placed first, and with two changes. First,
it adds the *difference* between what a place sees and its own value, not what it sees:

    e_i = Σ_j α_ij v(y_j) - v(x_i),    x_i ← x_i + O e_i,    x_i ← x_i + F(x_i)

This is the same family of functions, because x is still there, and the difference is 0 where the other image has the same content. Second,
attention is softly local: in head h, the logit of a place p that looks at a place r is reduced by a_h ‖p - r‖², with a_h > 0 learnt. In

    -a ‖p - r‖² = 2a p·r - a ‖r‖² - a ‖p‖²

the last term is the same for all r, so softmax ignores it. Locality therefore takes three more numbers in each query and key.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

HEAD = 16
"""Size of the query and key of a head."""
_PLACE = 3
"""How many of these numbers encode the place: two coordinates and the square of their length."""
_WAVES = 4


class AttentionBlock(nn.Module):
    """A block of two layers, as above: x looks at y, which is x or another image.

    Args:
        width: C, a multiple of 16, because each head has 16 numbers. The layer F has 2·C rectified units.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.heads = width // HEAD
        content = width - self.heads * _PLACE
        self.norm = nn.LayerNorm(width)
        self.query, self.key = nn.Linear(width, content), nn.Linear(width, content)
        self.value, self.out = nn.Linear(width, width), nn.Linear(width, width)
        self.log_locality = nn.Parameter(torch.linspace(2.0, -0.5, self.heads))  # standard deviations of 1/8 to 1/2 of a side
        self.layer = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, 2 * width), nn.ReLU(), nn.Linear(2 * width, width))

    def offer(self, y: Tensor, places: Tensor) -> tuple[Tensor, Tensor]:
        """Compute what images show to images that look at them. It is computed once per image.

        Args:
            y: Tokens (B, m, T, C).
            places: Coordinates of the T tokens, (T, 2).

        Returns:
            Keys and values, each (B·m, heads, T, 16).
        """
        y = self.norm(y)
        content = self._by_head(self.key(y))
        place = torch.cat([places, places.square().sum(-1, keepdim=True)], -1).to(content.dtype)  # (T, 3)
        keys = torch.cat([content, place.expand(*content.shape[:-1], _PLACE)], -1)
        return keys, self._by_head(self.value(y))

    def forward(self, x: Tensor, offered: tuple[Tensor, Tensor], places: Tensor) -> tuple[Tensor, Tensor]:
        """Let tokens look at images.

        Args:
            x: R tokens for each of the m images that they look at, (B, m, R, C), or the same tokens for all m, (B, 1, R, C).
            offered: Keys and values of the B·m images, from `offer`.
            places: Coordinates of the R tokens, (R, 2).

        Returns:
            The new tokens, and e; both (B, m, R, C).
        """
        keys, values = offered
        normed = self.norm(x)
        m = len(keys) // len(x)
        queries = self._queries(normed, places)  # (B·m or B, heads, R, 16)
        if x.shape[1] != m:
            queries = queries.unsqueeze(1).expand(-1, m, -1, -1, -1).flatten(0, 1)
        seen = F.scaled_dot_product_attention(queries, keys, values, scale=1.0)  # (B·m, heads, R, 16)
        e = seen.transpose(1, 2).reshape(len(x), m, x.shape[2], x.shape[3]) - self.value(normed)
        x = x + self.out(e)
        return x + self.layer(x), e

    def _queries(self, normed: Tensor, places: Tensor) -> Tensor:
        """(B, n, R, C) → (B·n, heads, R, 16). The last three numbers, multiplied with those of a key, give the reduction by distance."""
        content = self._by_head(self.query(normed)) / math.sqrt(HEAD - _PLACE)
        a = self.log_locality.exp()[:, None, None]  # (heads, 1, 1)
        place = torch.cat([2 * a * places, -a.expand(-1, len(places), 1)], -1).to(content.dtype)  # (heads, R, 3)
        return torch.cat([content, place.expand(len(content), -1, -1, -1)], -1)

    def _by_head(self, numbers: Tensor) -> Tensor:
        """(B, n, R, heads · d) → (B·n, heads, R, d)."""
        B, n, R, _ = numbers.shape
        return numbers.reshape(B * n, R, self.heads, -1).transpose(1, 2)


def waves_of(places: Tensor) -> Tensor:
    """Return the sine and cosine of each coordinate at ½, 1, 2 and 4 waves over the map: (T, 2) → (T, 16)."""
    frequencies = torch.pi / 2 * 2 ** torch.arange(_WAVES, dtype=places.dtype, device=places.device)
    angles = places.unsqueeze(-1) * frequencies  # (T, 2, 4)
    return torch.cat([angles.sin(), angles.cos()], -1).flatten(1)
