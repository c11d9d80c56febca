"""The block of the gradient-based learners' Omniglot network: 3×3 convolution of stride 2 → batch normalisation → ReLU.

With the batch's own statistics the convolution is a product of patches and weights, and normalisation runs on its rows: the inner loop's
many small tasks, each with weights of its own, are then batched products (`strided_operator`). With running statistics, and for
half-precision numbers, PyTorch's own operations are the quickest.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kshot.backbones.kernels.running_statistics import follow
from kshot.backbones.kernels.strided_operator import strided_block


class StridedBlock(nn.Module):
    """Images (M, C, H, W) → (M, width, ⌈H / 2⌉, ⌈W / 2⌉), channels innermost in memory.

    Of many tasks, whose images, parameters and buffers all have one more first dimension, each task's by its own.

    Statistics are those of `nn.BatchNorm2d`: the batch's own in training, which also moves the running ones, and the running ones in
    evaluation; always the batch's own without running ones (`track_running_stats=False`).

    Args:
        channels: C.
        width: Filters.
    """

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, width, 3, stride=2, padding=1)
        self.norm = nn.BatchNorm2d(width)

    def forward(self, x: Tensor) -> Tensor:
        """The block."""
        conv, norm = self.conv, self.norm
        assert conv.bias is not None
        own = norm.training or norm.running_mean is None
        if not own or x.dtype not in (torch.float32, torch.float64) or torch.is_autocast_enabled(x.device.type):
            return F.relu(norm(conv(x)))
        out, statistics = strided_block(x, conv.weight, conv.bias, norm.weight, norm.bias, eps=norm.eps)
        if norm.training and norm.track_running_stats:
            follow(norm, statistics.mean, statistics.var, out.shape[-4] * out.shape[-2] * out.shape[-1])
        return out
