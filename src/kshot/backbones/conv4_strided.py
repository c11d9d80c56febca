"""Four strided convolution blocks: the Omniglot network of the gradient-based learners (Finn et al. 2017; Nichol et al. 2018)."""

import torch
from torch import Tensor, nn

from kshot.backbones.backbone import Backbone, require_counts
from kshot.backbones.conv_block import pixels_last
from kshot.backbones.strided_block import StridedBlock


class Conv4Strided(Backbone):
    """Images (M, C, H, W) float → features (M, D) with D = width · ⌈H / 16⌉ · ⌈W / 16⌉, or D = width with `average`.

    Each block is a 3×3 convolution of stride 2 → batch normalisation → ReLU; nothing pools. A 28×28 image and 64 filters give
    D = 256. Images are padded by one pixel on every side. The authors' framework pads even sizes on the right and below only: its maps
    have the same size, but lie one pixel further right and down.

    Args:
        channels: C, 1 for drawings and 3 for photographs.
        width: Filters of each block.
        average: Whether the features are the mean over positions, as in the code of MAML's authors. False keeps every position, as in
            the code of Reptile's authors.

    Raises:
        RecipeError: A number is too small.
    """

    def __init__(self, channels: int = 1, width: int = 64, *, average: bool = False) -> None:
        super().__init__()
        require_counts(channels=channels, width=width)
        self.average = average
        self.blocks = nn.Sequential(*(StridedBlock(before, width) for before in (channels, width, width, width)))
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # memory layout of the weights; the numbers stay the same

    def forward(self, x: Tensor) -> Tensor:
        """Embed images."""
        innermost = pixels_last(x.flatten(0, -4)).view(x.shape)  # takes one task or many: see `StridedBlock`
        maps: Tensor = self.blocks(innermost)
        return maps.mean((-2, -1)) if self.average else maps.flatten(-3)  # (M, D)
