"""A residual layer on the features of a frozen network: it begins as what the frozen network gave, and learns what to change.

    z = unit(r(x)),   y = unit(z + W z + b),   W = 0 and b = 0 at the start

r is the identity, or the square root of features that are not negative, which keeps a few large ones from deciding alone; unit scales to
length 1. The residual form is that of S.-A. Rebuffi, H. Bilen, A. Vedaldi, "Learning multiple visual domains with residual adapters", NIPS
2017, here after the network instead of inside it, as P. Gao and others, "CLIP-Adapter: better vision-language models with feature
adapters", arXiv 2110.04544, place it.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kshot.backbones.backbone import Backbone, require_counts


class Adapter(Backbone):
    """Vectors (M, …) float → features (M, D) of unit length, D the numbers of an item.

    Args:
        inputs: D.
        root: Whether the square root of each number is taken first, of a negative one with its sign.

    Raises:
        RecipeError: `inputs` is too small.
    """

    def __init__(self, inputs: int, root: bool = False) -> None:
        super().__init__()
        require_counts(inputs=inputs)
        self.root = root
        self.change = nn.Linear(inputs, inputs)
        nn.init.zeros_(self.change.weight)
        nn.init.zeros_(self.change.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Change vectors."""
        x = x.flatten(1)
        z = F.normalize(torch.sign(x) * x.abs().sqrt() if self.root else x, dim=-1)
        return F.normalize(z + self.change(z), dim=-1)
