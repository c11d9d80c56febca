"""Convolution blocks that return feature maps, for learners that compare images position by position."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from kshot.backbones.backbone import Backbone, require_counts
from kshot.backbones.conv_block import ConvBlock, pixels_last
from kshot.errors import RecipeError


class ConvMaps(Backbone):
    """Images (M, C, H, W) float → feature maps (M, widths[-1], H // 2ᵖ, W // 2ᵖ), channels innermost in memory.

    A stage is a row of convolution blocks of one width. The last block of every stage but the last one pools, so p is the number of
    stages minus one. The default takes drawings of 56×56 and gives maps of 7×7.

    Args:
        channels: C, 1 for drawings and 3 for photographs.
        widths: Number of filters per block, for each stage.
        depths: Number of blocks, for each stage.

    Raises:
        RecipeError: `widths` and `depths` differ in length, there is no stage, or a number is too small.
    """

    def __init__(self, channels: int = 1, widths: Sequence[int] = (32, 64, 96, 96), depths: Sequence[int] = (1, 1, 2, 2)) -> None:
        super().__init__()
        require_counts(channels=channels, widths=widths, depths=depths)
        if len(widths) != len(depths) or not widths:
            raise RecipeError(f"widths and depths need one number per stage each; found {len(widths)} widths and {len(depths)} depths.")
        blocks: list[nn.Module] = []
        for stage, (width, depth) in enumerate(zip(widths, depths, strict=True)):
            for number in range(depth):
                pool = number == depth - 1 and stage < len(widths) - 1
                blocks.append(ConvBlock(channels, width, pool=pool))
                channels = width
        self.blocks = nn.Sequential(*blocks)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # memory layout of the weights; the numbers stay the same

    def forward(self, x: Tensor) -> Tensor:
        """Embed images."""
        maps: Tensor = self.blocks(pixels_last(x))
        return maps
