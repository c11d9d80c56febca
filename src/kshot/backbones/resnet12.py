"""ResNet-12, the deeper network of the few-shot literature.

Four residual blocks of three 3×3 convolutions with widths 64, 160, 320, 640 (Lee et al. 2019, "Meta-Learning with Differentiable
Convex Optimization", arXiv 1904.03758, section 4.1; without DropBlock and dropout). Each block ends with 2×2 max-pooling. The mean
over positions comes last, so D is the last width for any image size.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kshot.backbones.backbone import Backbone, require_counts
from kshot.backbones.conv_block import pixels_last


class ResidualBlock(nn.Module):
    """Images (M, C, H, W) → (M, width, H // 2, W // 2): three convolutions beside a 1×1 shortcut, leaky ReLU 0.1."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, width, 3, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.norm3 = nn.BatchNorm2d(width)
        self.shortcut = nn.Conv2d(channels, width, 1, bias=False)
        self.shortcut_norm = nn.BatchNorm2d(width)

    def forward(self, x: Tensor) -> Tensor:
        """Apply the block. Pooling comes before the activation, which is monotone, so the order does not matter."""
        y = F.leaky_relu(self.norm1(self.conv1(x)), 0.1)
        y = F.leaky_relu(self.norm2(self.conv2(y)), 0.1)
        y = self.norm3(self.conv3(y)) + self.shortcut_norm(self.shortcut(x))
        return F.leaky_relu(F.max_pool2d(y, 2), 0.1)


class ResNet12(Backbone):
    """Images (M, C, H, W) float, at least 16×16 → features (M, D) with D the last width.

    Args:
        channels: C, 1 for drawings and 3 for photographs.
        widths: Filters of the four blocks.

    Raises:
        RecipeError: A number is too small.
    """

    def __init__(self, channels: int = 3, widths: Sequence[int] = (64, 160, 320, 640)) -> None:
        super().__init__()
        require_counts(channels=channels, widths=widths)
        inputs = [channels, *widths[:-1]]
        self.blocks = nn.Sequential(*(ResidualBlock(c, width) for c, width in zip(inputs, widths, strict=True)))
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, a=0.1, mode="fan_out", nonlinearity="leaky_relu")
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # memory layout of the weights; the numbers stay the same

    def forward(self, x: Tensor) -> Tensor:
        """Embed images."""
        features: Tensor = self.blocks(pixels_last(x)).mean((2, 3))  # (M, D)
        return features
