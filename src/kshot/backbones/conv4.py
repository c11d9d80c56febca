"""Conv4: four convolution blocks, the network of most few-shot papers (Vinyals et al. 2016; Snell et al. 2017)."""

import torch
from torch import Tensor, nn

from kshot.backbones.backbone import Backbone, require_counts
from kshot.backbones.conv_block import ConvBlock, pixels_last


class Conv4(Backbone):
    """Images (M, C, H, W) float → features (M, D) with D = width · (H // 16) · (W // 16).

    A 28×28 image and 64 filters give D = 64; an 84×84 image gives D = 1,600 (all four blocks pool).

    Args:
        channels: C, 1 for drawings and 3 for photographs.
        width: Filters of each block.

    Raises:
        RecipeError: A number is too small.
    """

    def __init__(self, channels: int = 1, width: int = 64) -> None:
        super().__init__()
        require_counts(channels=channels, width=width)
        self.blocks = nn.Sequential(ConvBlock(channels, width), ConvBlock(width, width), ConvBlock(width, width), ConvBlock(width, width))
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # memory layout of the weights; the numbers stay the same

    def forward(self, x: Tensor) -> Tensor:
        """Embed images."""
        maps: Tensor = self.blocks(pixels_last(x))  # (M, width, H // 16, W // 16)
        return maps.flatten(1)  # (M, D)
