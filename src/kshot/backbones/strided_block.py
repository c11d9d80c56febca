"""The block of the gradient-based learners' Omniglot network: 3×3 convolution of stride 2 → batch normalisation → ReLU.

With the batch's own statistics, the convolution is a product of patches and weights, and normalisation runs on its rows. The inner loop's
many small tasks, each with its own weights, then become batched products (`strided_operator`). With running statistics, and in half
precision, PyTorch's own operations are the quickest.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kshot.backbones.kernels.running_statistics import follow
from kshot.backbones.kernels.strided_operator import strided_block


class StridedBlock(nn.Module):
    """Images (M, C, H, W) → (M, width, ⌈H / 2⌉, ⌈W / 2⌉), channels innermost in memory.

    Many tasks may go through the block at once: images, parameters and buffers then all have one more first dimension, and each task
    uses its own.

    Statistics are those of `nn.BatchNorm2d`. In training, the block uses the batch's own statistics and updates the running ones; in
    evaluation, it uses the running ones. Without running statistics (`track_running_stats=False`), it always uses the batch's own.

    Args:
        channels: C.
        width: Number of filters.
    """

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, width, 3, stride=2, padding=1)
        self.norm = nn.BatchNorm2d(width)

    def forward(self, x: Tensor) -> Tensor:
        """Apply the block."""
        conv, norm = self.conv, self.norm
        assert conv.bias is not None
        own = norm.training or norm.running_mean is None
        if not own or x.dtype not in (torch.float32, torch.float64) or torch.is_autocast_enabled(x.device.type):
            return F.relu(norm(conv(x)))
        out, statistics = strided_block(x, conv.weight, conv.bias, norm.weight, norm.bias, eps=norm.eps)
        if norm.training and norm.track_running_stats:
            follow(norm, statistics.mean, statistics.var, out.shape[-4] * out.shape[-2] * out.shape[-1])
        return out
