"""The block of few-shot image networks: 3×3 convolution → batch normalisation → ReLU → 2×2 max-pooling.

ReLU is taken after pooling: both are monotone, so max(relu(·)) = relu(max(·)) exactly, at a quarter of the work. The numbers come from
`kshot.backbones.kernels.block_operator`; this module holds the parameters, under the names they have in a convolution and a
normalisation, and the running statistics.
"""

import torch
from torch import Tensor, nn

from kshot.backbones.kernels.block_operator import block_with_batch_statistics, block_with_given_statistics
from kshot.backbones.kernels.norm_pool import Statistics
from kshot.backbones.kernels.running_statistics import follow


class ConvBlock(nn.Module):
    """Images (M, C, H, W) → (M, width, H // 2, W // 2).

    Statistics are those of `nn.BatchNorm2d`: the batch's own in training, which also moves the running ones, and the running ones in
    evaluation; always the batch's own without running ones (`track_running_stats=False`).

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

    def __repr__(self) -> str:
        form = f"{self.conv.in_channels} → {self.conv.out_channels}"
        return f"ConvBlock({form}: 3×3 convolution, batch norm, ReLU{', 2×2 max-pooling' if self.pool else ''})"

    def forward(self, x: Tensor) -> Tensor:
        """The block, in the memory layout of `x`."""
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
    """`x` (M, C, H, W) with channels innermost in memory, whatever C: the layout in which CPU convolution and pooling are fast.

    With one channel the two layouts hold the same bytes and differ in strides alone; `Tensor.contiguous` then keeps the slow
    strides, and everything after runs in the slow layout (max-pooling by a factor of ten).
    """
    if x.shape[1] == 1 and x.is_contiguous():
        return x.squeeze(1).unsqueeze(3).movedim(3, 1)
    return x.contiguous(memory_format=torch.channels_last)
