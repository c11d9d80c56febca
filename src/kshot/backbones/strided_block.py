"""The block of the gradient-based learners' Omniglot network: 3×3 convolution of stride 2 → batch normalisation → ReLU.

With the batch's own statistics the convolution is a product of patches and weights (`patches`), and normalisation runs on its rows
(`norm`): the inner loop's many small tasks, each with weights of its own, are then batched products. With running statistics, and for
half-precision numbers, PyTorch's own operations are the quickest.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kshot.backbones.conv_block import follow
from kshot.backbones.norm import norm
from kshot.backbones.norm_pool import ROWS, Statistics
from kshot.backbones.patches import halved, patches


class StridedBlock(nn.Module):
    """Images (M, C, H, W) → (M, width, ⌈H / 2⌉, ⌈W / 2⌉), channels innermost in memory.

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
            follow(norm, statistics, positions=len(x) * out.shape[2] * out.shape[3])
        return out


def strided_block(x: Tensor, weight: Tensor, bias: Tensor, gamma: Tensor, beta: Tensor, *, eps: float = 1e-5) -> tuple[Tensor, Statistics]:
    """The block, normalised over all images and positions of x.

    Args:
        x: Images (M, C, H, W), float32 or float64, fastest with channels innermost in memory (`pixels_last`).
        weight: (width, C, 3, 3), fastest with channels innermost in memory.
        bias: (width,), of the convolution. Normalisation takes it away again, so its gradient is zero.
        gamma: (width,), the scale.
        beta: (width,), the shift.
        eps: Added to the variance.

    Returns:
        (M, width, ⌈H / 2⌉, ⌈W / 2⌉); and mean and biased variance of the convolution, without gradient.

    Raises:
        ValueError: There is but one position in all, whose variance is zero.
    """
    M, C, H, W = x.shape
    h, w = halved(H), halved(W)
    if M * h * w < 2:
        raise ValueError(f"batch statistics need at least 2 positions in all; found x of shape {tuple(x.shape)}. Give more images.")
    rows = weight.permute(0, 2, 3, 1).reshape(len(weight), 9 * C)  # a view, with channels innermost
    shift = beta.add(bias, alpha=0)  # connected, as optimisers and `torch.autograd.grad` expect
    z = patches(x.permute(0, 2, 3, 1)) @ rows.mT  # (M·h·w, width)
    out, statistics = norm(z, gamma, shift, eps=eps, layout=ROWS, relu=True)
    return out.view(M, h, w, -1).permute(0, 3, 1, 2), statistics._replace(mean=statistics.mean + bias.detach())
