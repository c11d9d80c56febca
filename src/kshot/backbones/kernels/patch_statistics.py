"""The batch statistics of a 3×3 convolution, from the mean and covariance of the patches, without making the maps.

A filter w (9·C,) turns a patch p into w·p, so its mean over all positions is w·⟨p⟩ and its variance is wᵀ Cov(p) w. With one input
channel, one 9×9 covariance serves all filters. Sums are in float64 because the covariance of smooth pictures is nearly singular.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

_CACHE = 2**16  # numbers in the patches of one part: half a MB of float64, the quickest size measured


def patch_statistics(x: Tensor) -> tuple[Tensor, Tensor]:
    """Return the mean (9·C,) and covariance (9·C, 9·C) float64 of the zero-padded 3×3 patches of x (M, C, H, W)."""
    M, C, H, W = x.shape
    total, second = x.new_zeros(9 * C, dtype=torch.float64), x.new_zeros(9 * C, 9 * C, dtype=torch.float64)
    step = max(1, _CACHE // (9 * C * H * W))
    for first in range(0, M, step):
        patches = F.unfold(x[first : first + step].contiguous(), 3, padding=1).double()  # (m, 9·C, H·W)
        total = total + patches.sum((0, 2))
        second = second + (patches @ patches.mT).sum(0)
    mean = total / (M * H * W)
    return mean, second / (M * H * W) - mean.outer(mean)


def filter_statistics(weight: Tensor, mean: Tensor, covariance: Tensor) -> tuple[Tensor, Tensor]:
    """Return the mean and biased variance, (width,) float64 each, of the output of each filter (width, C, 3, 3) over all positions."""
    filters = weight.flatten(1).double()
    return filters @ mean, ((filters @ covariance) * filters).sum(1)
