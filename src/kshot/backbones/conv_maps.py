"""Convolution blocks with feature maps for an answer, for learners that compare images place by place."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from kshot.backbones.conv_block import ConvBlock, pixels_last


class ConvMaps(nn.Module):
    """Images (M, C, H, W) float → feature maps (M, widths[-1], H // 2ᵖ, W // 2ᵖ), channels innermost in memory.

    A stage is some convolution blocks of one width; between two stages, the last block of the first one pools, so that p is one less
    than the stages. The default reads drawings of 56×56 and gives maps of 7×7.

    Args:
        channels: C, 1 for drawings and 3 for photographs.
        widths: Filters of the blocks of each stage.
        depths: How many blocks each stage has.

    Raises:
        ValueError: `widths` and `depths` are not equally many, or there is no stage.
    """

    def __init__(self, channels: int = 1, widths: Sequence[int] = (32, 64, 96, 96), depths: Sequence[int] = (1, 1, 2, 2)) -> None:
        super().__init__()
        if len(widths) != len(depths) or not widths:
            raise ValueError(f"widths and depths say one number each of every stage; found {len(widths)} widths and {len(depths)} depths")
        self.arguments = {"channels": channels, "widths": list(widths), "depths": list(depths)}
        blocks: list[nn.Module] = []
        for stage, (width, depth) in enumerate(zip(widths, depths, strict=True)):
            for number in range(depth):
                pool = number == depth - 1 and stage < len(widths) - 1
                blocks.append(ConvBlock(channels, width, pool=pool))
                channels = width
        self.blocks = nn.Sequential(*blocks)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # of the weights; the same numbers

    def forward(self, x: Tensor) -> Tensor:
        """Embed images."""
        maps: Tensor = self.blocks(pixels_last(x))
        return maps
