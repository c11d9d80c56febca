"""The block of few-shot image networks: 3×3 convolution → batch normalisation → ReLU → 2×2 max-pooling.

ReLU comes after pooling: both are monotone, so max(relu(·)) = relu(max(·)) exactly, at a quarter of the work.
`kshot.backbones.kernels.block_operator` computes the numbers. This module holds the running statistics and the parameters, named as in
`nn.Conv2d` and `nn.BatchNorm2d`.
"""

import torch
from torch import Tensor, nn

from kshot.backbones.kernels.block_operator import block_with_batch_statistics, block_with_given_statistics
from kshot.backbones.kernels.norm_pool import Statistics
from kshot.backbones.kernels.running_statistics import follow


class ConvBlock(nn.Module):
    """Images (M, C, H, W) → (M, width, H // 2, W // 2).

    Statistics are those of `nn.BatchNorm2d`. In training, the block uses the batch's own statistics and updates the running ones; in
    evaluation, it uses the running ones. Without running statistics (`track_running_stats=False`), it always uses the batch's own.

    Args:
        channels: C.
        width: Number of filters.
        pool: Whether to pool. Without pooling, the block keeps H and W.
    """

    def __init__(self, channels: int, width: int, *, pool: bool = True) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, width, 3, padding=1)
        self.norm = nn.BatchNorm2d(width)
        self.pool = pool

    def __repr__(self) -> str:
        form = f"{self.conv.in_channels} → {self.conv.out_channels}"
        return f"ConvBlock({form}: 3×3 convolution, batch norm, ReLU{', 2×2 max-pooling' if self.pool else ''})"

    def forward(self, x: Tensor) -> Tensor:
        """Apply the block; the output has the memory layout of `x`."""
        conv, norm = self.conv, self.norm
        if self.pool and min(x.shape[2:]) < 2:
            raise ValueError(f"maps of {x.shape[2]}×{x.shape[3]} cannot be pooled by 2. Give larger images: each block halves their sides.")
        assert conv.bias is not None
        parameters = conv.weight, conv.bias, norm.weight, norm.bias
        if norm.running_mean is not None and norm.running_var is not None and not norm.training:
            running = Statistics(norm.running_mean, norm.running_var)
            return block_with_given_statistics(x, *parameters, running, eps=norm.eps, pool=self.pool)
        out, statistics = block_with_batch_statistics(x, *parameters, eps=norm.eps, pool=self.pool)
        if norm.training and norm.track_running_stats:
            follow(norm, statistics.mean, statistics.var, len(x) * x.shape[2] * x.shape[3])
        return out


def pixels_last(x: Tensor) -> Tensor:
    """Return `x` (M, C, H, W) with channels innermost in memory for any C: the layout in which CPU convolution and pooling are fast.

    With one channel the two layouts hold the same bytes and differ only in their strides. `Tensor.contiguous` then keeps the slow
    strides, and everything after it runs in the slow layout (max-pooling ten times as slow).
    """
    if x.shape[1] == 1 and x.is_contiguous():
        return x.squeeze(1).unsqueeze(3).movedim(3, 1)
    return x.contiguous(memory_format=torch.channels_last)
