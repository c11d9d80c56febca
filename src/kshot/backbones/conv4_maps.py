"""Conv4 with feature maps for an answer: the embedding module of Relation Networks (Sung et al. 2018, arXiv 1711.06025)."""

import torch
from torch import Tensor, nn

from kshot.backbones.conv_block import ConvBlock, pixels_last


class Conv4Maps(nn.Module):
    """Images (M, C, H, W) float → feature maps (M, width, H // 4, W // 4), channels innermost in memory.

    Four convolution blocks, of which the first two pool. A 28×28 image gives maps of 7×7, an 84×84 image maps of 21×21. Every
    convolution pads by 1, where the authors' code leaves the padding out of the first two (5×5 and 19×19).

    Args:
        channels: C, 1 for drawings and 3 for photographs.
        width: Filters of each block.
    """

    def __init__(self, channels: int = 1, width: int = 64) -> None:
        super().__init__()
        self.arguments = {"channels": channels, "width": width}
        self.blocks = nn.Sequential(
            ConvBlock(channels, width),
            ConvBlock(width, width),
            ConvBlock(width, width, pool=False),
            ConvBlock(width, width, pool=False),
        )
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # of the weights; the same numbers

    def forward(self, x: Tensor) -> Tensor:
        """Embed images."""
        maps: Tensor = self.blocks(pixels_last(x))  # (M, width, H // 4, W // 4)
        return maps
