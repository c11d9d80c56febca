"""The last two layers of all-MiniLM-L6-v2, on hidden states that the layers before them gave once: these two learn, the others do not.

    early(text)    rows of 384 numbers: the mean of the word embeddings, the mean of layer 3, and layer 4 of each
                   word piece; rows of zeros where there is no piece                     the encoder `all-MiniLM-L6-v2:early`
    h = late(early)     layers 5 and 6, and the mean over the pieces                     here, learned
    y = unit(z + W z + b),   z = unit(√0.6 unit(h), √0.2 unit(layer 3), √0.2 unit(words))    `kshot.backbones.adapter`

A layer is that of J. Devlin and others, "BERT: pre-training of deep bidirectional transformers for language understanding", NAACL 2019,
without dropout: x ← norm(x + attention(x)), x ← norm(x + W₂ gelu(W₁ x)). With published weights it begins as the vectors of
`all-MiniLM-L6-v2:layers`. In: a file of `kshot embed --encoder all-MiniLM-L6-v2:early`. Out: features of unit length.
"""

import math
from typing import Literal, get_args

import safetensors.torch
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kshot.backbones.adapter import Adapter
from kshot.backbones.backbone import Backbone
from kshot.backbones.published_weights import MINILM
from kshot.errors import RecipeError

WIDTH, HEADS, INNER = 384, 12, 1536
LAYERS = (4, 5)
"""Places of the last two of the six layers."""
POOLED = 2
"""Rows before those of the pieces: means over the pieces, of the word embeddings and of the middle layer."""
SHARES = (0.6, 0.2, 0.2)
"""Of the three parts of a vector: the last layer, the middle layer, the word embeddings."""
_EPS = 1e-12

Weights = Literal["none", "published"]
"""`none`: drawn at random; `published`: those of the package."""


class TransformerLayer(nn.Module):
    """Pieces (M, T, 384) and which of them are there, (M, T) → pieces (M, T, 384)."""

    def __init__(self) -> None:
        super().__init__()
        self.query, self.key, self.value, self.output = (nn.Linear(WIDTH, WIDTH) for _ in range(4))
        self.attention_norm = nn.LayerNorm(WIDTH, _EPS)
        self.up, self.down = nn.Linear(WIDTH, INNER), nn.Linear(INNER, WIDTH)
        self.norm = nn.LayerNorm(WIDTH, _EPS)

    def forward(self, x: Tensor, known: Tensor) -> Tensor:
        """Apply the layer."""
        query, key, value = (one(x).unflatten(2, (HEADS, -1)).transpose(1, 2) for one in (self.query, self.key, self.value))
        closeness = query @ key.mT / math.sqrt(WIDTH / HEADS)  # (M, heads, T, T)
        weights = closeness.masked_fill(~known[:, None, None], torch.finfo(x.dtype).min).softmax(-1)
        x = self.attention_norm(x + self.output((weights @ value).transpose(1, 2).flatten(2)))
        y: Tensor = self.norm(x + self.down(F.gelu(self.up(x))))
        return y


class MiniLMLate(Backbone):
    """What `all-MiniLM-L6-v2:early` gives, (M, …) float → features (M, 1152) of unit length.

    Args:
        weights: Those it begins with.

    Raises:
        RecipeError: The weights have another name.
        SetupError: The published weights are not installed.
    """

    def __init__(self, weights: Weights = "none") -> None:
        super().__init__()
        if weights not in get_args(Weights):
            raise RecipeError(f"weights must be 'none' or 'published'; found {weights!r}.")
        self.layers = nn.ModuleList(TransformerLayer() for _ in LAYERS)
        self.adapter = Adapter(len(SHARES) * WIDTH)
        if weights == "published":
            self._fill(safetensors.torch.load(MINILM.read()))
        self._arguments = {**self._arguments, "weights": "none"}  # a saved one is built again for weights of its own

    def forward(self, x: Tensor) -> Tensor:
        """Compute the last layers, their mean, and the layer after them.

        Raises:
            RecipeError: The items are not rows of 384 numbers, two and the pieces.
        """
        flat = x.flatten(1)
        if flat.shape[1] % WIDTH or flat.shape[1] <= POOLED * WIDTH:
            raise RecipeError(
                f"minilm_late takes rows of {WIDTH} numbers, {POOLED} and one for each word piece; found {flat.shape[1]:,} numbers. Make "
                "them: kshot embed --encoder all-MiniLM-L6-v2:early"
            )
        rows = flat.reshape(len(flat), flat.shape[1] // WIDTH, WIDTH)
        words, middle, pieces = rows[:, 0], rows[:, 1], rows[:, POOLED:]
        known = (pieces != 0).any(2)  # (M, T)
        longest = max(1, int(known.sum(1).max()))  # few texts are as long as the longest
        pieces, known = pieces[:, :longest], known[:, :longest]
        for layer in self.layers:
            pieces = layer(pieces, known)
        count = known.sum(1, keepdim=True).clamp_min(1)
        last = (pieces * known.unsqueeze(2)).sum(1) / count  # (M, 384)
        parts = [share**0.5 * F.normalize(part, dim=1) for share, part in zip(SHARES, (last, middle, words), strict=True)]
        features: Tensor = self.adapter(torch.cat(parts, 1))
        return features

    def last_parameters(self) -> list[nn.Parameter]:
        """Return all parameters: what does not learn is not here."""
        return list(self.parameters())

    def _fill(self, published: dict[str, Tensor]) -> None:
        names = {
            "query": "attention.self.query",
            "key": "attention.self.key",
            "value": "attention.self.value",
            "output": "attention.output.dense",
            "attention_norm": "attention.output.LayerNorm",
            "up": "intermediate.dense",
            "down": "output.dense",
            "norm": "output.LayerNorm",
        }
        for place, layer in zip(LAYERS, self.layers, strict=True):
            theirs = {
                f"{ours}.{part}": published[f"encoder.layer.{place}.{name}.{part}"]
                for ours, name in names.items()
                for part in ("weight", "bias")
            }
            layer.load_state_dict(theirs)
