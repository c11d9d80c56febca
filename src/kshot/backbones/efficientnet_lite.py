"""EfficientNet-Lite, a network for photographs on small machines, with weights learned on ImageNet.

EfficientNet (Tan and Le 2019, "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks", arXiv 1905.11946) is a stack of
mobile inverted bottlenecks (its table 1), scaled to a size by two factors (its section 3.3): w for the widths and d for the depths. The
Lite variant, which its authors published in 2020 with their TensorFlow implementation, differs from the paper in this:

- ReLU6, min(max(x, 0), 6), takes the place of x · sigmoid(x);
- there is no squeeze-and-excitation;
- the widths of the stem and of the head, and the depths of the first and of the last stage, are not scaled.

Lite0 has w = 1 and d = 1, for photographs of 224 × 224 pixels; Lite2 has w = 1.1 and d = 1.2, for 260 × 260. Padding is TensorFlow's
"SAME": an output has ⌈H / stride⌉ rows, and where the number of padded rows is odd, the last one goes to the bottom. Pixels 0 … 255 are
given as (pixel − 127) / 128; ImageNet's mean and deviation, which most networks take, cost 2 to 3 points.

Departures: there is no classifier over ImageNet's 1,000 classes, and no stochastic depth in training. The features are the mean over
positions of the head's 1,280 maps.
"""

import io
import math
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kshot.backbones.backbone import Backbone, require_counts
from kshot.backbones.conv_block import pixels_last
from kshot.backbones.published_weights import EFFICIENTNET_LITE0, EFFICIENTNET_LITE2, PublishedWeights
from kshot.errors import RecipeError

Weights = Literal["none", "imagenet"]
"""`none`: drawn at random; `imagenet`: those that were published."""

FEATURES = 1280
STAGES = (
    # repeats, kernel, stride, expansion, width: table 1 of the paper, before scaling
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
_STEM = 32
_DIVISOR = 8
"""Widths are multiples of it."""
_EPS, _MOMENTUM = 1e-3, 0.01
"""Of batch normalisation. TensorFlow's momentum of 0.99 is the part of the old statistics; PyTorch's is the part of the new ones."""


class SameConv(nn.Conv2d):
    """Images (M, C, H, W) → (M, width, ⌈H / stride⌉, ⌈W / stride⌉): a convolution with TensorFlow's padding, without bias."""

    def __init__(self, channels: int, width: int, kernel: int, *, stride: int = 1, groups: int = 1) -> None:
        super().__init__(channels, width, kernel, stride, groups=groups, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Pad and convolve."""
        kernel, stride = self.kernel_size[0], self.stride[0]
        rows, columns = (max(0, (math.ceil(side / stride) - 1) * stride + kernel - side) for side in x.shape[2:])
        padded = F.pad(x, (columns // 2, columns - columns // 2, rows // 2, rows - rows // 2)) if rows or columns else x
        return F.conv2d(padded, self.weight, None, self.stride, groups=self.groups)


class NormalisedConv(nn.Module):
    """A convolution, batch normalisation, and ReLU6 unless `linear`."""

    def __init__(self, channels: int, width: int, kernel: int, *, stride: int = 1, groups: int = 1, linear: bool = False) -> None:
        super().__init__()
        self.conv = SameConv(channels, width, kernel, stride=stride, groups=groups)
        self.norm = nn.BatchNorm2d(width, eps=_EPS, momentum=_MOMENTUM)
        self.linear = linear

    def forward(self, x: Tensor) -> Tensor:
        """Apply the three."""
        y: Tensor = self.norm(self.conv(x))
        return y if self.linear else F.relu6(y)


class Bottleneck(nn.Module):
    """Mobile inverted bottleneck: 1×1 to more maps, a k×k filter per map, 1×1 to few maps; added to its input where both have one form."""

    def __init__(self, channels: int, width: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        inner = channels * expansion
        expand = [NormalisedConv(channels, inner, 1)] if expansion > 1 else []
        depthwise = NormalisedConv(inner, inner, kernel, stride=stride, groups=inner)
        self.layers = nn.Sequential(*expand, depthwise, NormalisedConv(inner, width, 1, linear=True))
        self.adds, self.stride = stride == 1 and channels == width, stride

    def forward(self, x: Tensor) -> Tensor:
        """Apply the block."""
        y: Tensor = self.layers(x)
        return x + y if self.adds else y


class EfficientNetLite(nn.Module):
    """Photographs (M, C, H, W), pixels as (pixel − 127) / 128 → features (M, 1280).

    Args:
        w: Factor of the widths.
        d: Factor of the depths.
        channels: C.
    """

    def __init__(self, w: float, d: float, channels: int = 3) -> None:
        super().__init__()
        self.stem = NormalisedConv(channels, _STEM, 3, stride=2)
        blocks: list[nn.Module] = []
        before = _STEM
        for number, (repeats, kernel, stride, expansion, width) in enumerate(STAGES):
            count = repeats if number in (0, len(STAGES) - 1) else math.ceil(d * repeats)
            for place in range(count):
                blocks.append(Bottleneck(before, scaled_width(width, w), kernel, stride if place == 0 else 1, expansion))
                before = scaled_width(width, w)
        self.blocks = nn.Sequential(*blocks)
        self.head = NormalisedConv(before, FEATURES, 1)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # memory layout of the weights; the numbers stay the same

    def forward(self, x: Tensor) -> Tensor:
        """Embed photographs."""
        maps: Tensor = self.head(self.blocks(self.stem(pixels_last(x))))  # (M, 1280, h, w)
        return maps.mean((2, 3))  # (M, 1280)

    def last_parameters(self) -> list[nn.Parameter]:
        """Return the parameters of what computes at 1/32 of the resolution: the last blocks and the head. A few examples train no more."""
        return [parameter for block in (self.blocks[self.first_late() :], self.head) for parameter in block.parameters()]

    def first_late(self) -> int:
        """Return the place of the first block that computes at 1/32 of the resolution."""
        return max(place for place, block in enumerate(self.blocks) if isinstance(block, Bottleneck) and block.stride == 2)

    def fill(self, published: PublishedWeights) -> None:
        """Take published weights.

        Raises:
            SetupError: As of `PublishedWeights.read`.
        """
        theirs: dict[str, Tensor] = torch.load(io.BytesIO(published.read()), weights_only=True)
        ours = self.state_dict()
        names = [name for name in theirs if not name.startswith("_fc.")]
        assert len(names) == len(ours)  # both list their layers in the order of computation
        self.load_state_dict({ours_name: theirs[name] for ours_name, name in zip(ours, names, strict=True)})


class EfficientNetLite0(Backbone):
    """Photographs (M, C, H, W), 224 × 224 as published, pixels as (pixel − 127) / 128 → features (M, 1280).

    Args:
        channels: C, 3 with published weights.
        weights: Those it begins with.

    Raises:
        RecipeError: A number is too small, or the published weights are asked for with other channels.
        SetupError: The published weights are not installed.
    """

    def __init__(self, channels: int = 3, weights: Weights = "none") -> None:
        super().__init__()
        self.network = _built(1.0, 1.0, channels, weights, EFFICIENTNET_LITE0)
        self._arguments = {**self._arguments, "weights": "none"}  # a saved one is built again for weights of its own

    def forward(self, x: Tensor) -> Tensor:
        """Embed photographs."""
        features: Tensor = self.network(x)
        return features

    def last_parameters(self) -> list[nn.Parameter]:
        """Return the parameters of what computes at 1/32 of the resolution."""
        return self.network.last_parameters()


class EfficientNetLite2(Backbone):
    """Photographs (M, C, H, W), 260 × 260 as published, pixels as (pixel − 127) / 128 → features (M, 1280).

    Args:
        channels: C, 3 with published weights.
        weights: Those it begins with.

    Raises:
        RecipeError: A number is too small, or the published weights are asked for with other channels.
        SetupError: The published weights are not installed.
    """

    def __init__(self, channels: int = 3, weights: Weights = "none") -> None:
        super().__init__()
        self.network = _built(1.1, 1.2, channels, weights, EFFICIENTNET_LITE2)
        self._arguments = {**self._arguments, "weights": "none"}  # a saved one is built again for weights of its own

    def forward(self, x: Tensor) -> Tensor:
        """Embed photographs."""
        features: Tensor = self.network(x)
        return features

    def last_parameters(self) -> list[nn.Parameter]:
        """Return the parameters of what computes at 1/32 of the resolution."""
        return self.network.last_parameters()


def _built(w: float, d: float, channels: int, weights: Weights, published: PublishedWeights) -> EfficientNetLite:
    require_counts(channels=channels)
    if weights not in ("none", "imagenet"):
        raise RecipeError(f"weights must be 'none' or 'imagenet'; found {weights!r}.")
    if weights == "imagenet" and channels != 3:
        raise RecipeError(f"the weights of ImageNet are for 3 channels; found {channels}. Give it photographs in colour.")
    network = EfficientNetLite(w, d, channels)
    if weights == "imagenet":
        network.fill(published)
    return network


def scaled_width(width: int, w: float) -> int:
    """Scale a width and round it to a multiple of 8, never down by more than a tenth.

    Example:
        >>> scaled_width(24, 1.1), scaled_width(40, 1.1), scaled_width(320, 1.1)
        (24, 48, 352)
    """
    wanted = width * w
    rounded = max(_DIVISOR, int(wanted + _DIVISOR / 2) // _DIVISOR * _DIVISOR)
    return rounded + _DIVISOR if rounded < 0.9 * wanted else rounded
