"""The block of few-shot image networks: 3×3 convolution → batch normalisation → ReLU → 2×2 max-pooling.

ReLU is taken after pooling: both are monotone, so max(relu(·)) = relu(max(·)) exactly, at a quarter of the work.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class ConvBlock(nn.Module):
    """Images (M, C, H, W) → (M, width, H // 2, W // 2).

    Args:
        channels: C.
        width: Filters.
        pool: Whether to pool; without, the block keeps H and W.
    """

    def __init__(self, channels: int, width: int, *, pool: bool = True) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, width, 3, padding=1)
        self.norm = nn.BatchNorm2d(width)
        self.pool = pool

    def forward(self, x: Tensor) -> Tensor:
        """The block, in the memory layout of `x`."""
        x = self.norm(self.conv(x))
        if self.pool:
            x = F.max_pool2d(x, 2)
        return F.relu(x)


def pixels_last(x: Tensor) -> Tensor:
    """`x` (M, C, H, W) with channels innermost in memory, whatever C: the layout in which CPU convolution and pooling are fast.

    With one channel the two layouts hold the same bytes and differ in strides alone; `Tensor.contiguous` then keeps the slow
    strides, and everything after runs in the slow layout (max-pooling by a factor of ten).
    """
    if x.shape[1] == 1 and x.is_contiguous():
        return x.squeeze(1).unsqueeze(3).movedim(3, 1)
    return x.contiguous(memory_format=torch.channels_last)
