"""The block conv 3×3 → batch normalisation → 2×2 max-pooling → ReLU as one function of its input and parameters.

Three ways to the same numbers, to rounding, and to the same derivatives of first, second and any higher order, under autograd and under the
transforms of `torch.func`; which one is taken depends on the device, the dtype and the size, never on who calls:

- with given statistics the normalisation is folded into the weights (`folded_block`);
- with the batch's own, it is `norm_block`; or, for images of few channels on a CPU, whose statistics are known
  before the maps are made (`patch_statistics`), folded into the weights as well;
- under autocast and for half-precision numbers, the plain block, normalisation written out (the native one's second derivative is
  wrong when a gradient is taken over `vmap`, PyTorch 2.13 on CPU).

Where two positions of a window give the same maximum, the first is taken, as PyTorch does. A scale of exactly zero makes every position of
a window equal: the plain block then takes the first of all, this one the first of those with the largest convolution, which is the limit of
a small positive scale; only the gradient of that scale differs.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from kshot.backbones.kernels.folded_block import folded_block
from kshot.backbones.kernels.norm_block import norm_block
from kshot.backbones.kernels.norm_pool import Statistics
from kshot.backbones.kernels.patch_statistics import filter_statistics, patch_statistics
from kshot.backbones.kernels.task_convolution import along_channels, convolve

_FEW_CHANNELS = 3  # beyond, a covariance of 9·C values costs more than the maps


def block_with_batch_statistics(
    x: Tensor, weight: Tensor, bias: Tensor, gamma: Tensor, beta: Tensor, *, eps: float = 1e-5, pool: bool = True
) -> tuple[Tensor, Statistics]:
    """The block, normalised over all images and positions of x.

    Args:
        x: Images (M, C, H, W) float, fastest with channels innermost in memory (`pixels_last`).
        weight: (width, C, 3, 3).
        bias: (width,), of the convolution. Normalisation takes it away again, so its gradient is zero.
        gamma: (width,), the scale, of any sign.
        beta: (width,), the shift.
        eps: Added to the variance.
        pool: Whether to pool.

    Returns:
        (M, width, H // 2, W // 2), or (M, width, H, W) without pooling; and mean and biased variance of the convolution, without gradient.

    Raises:
        ValueError: There is but one position in all, whose variance is zero.
    """
    positions = len(x) * x.shape[2] * x.shape[3]
    if positions < 2:
        raise ValueError(f"batch statistics need at least 2 positions in all; found x of shape {tuple(x.shape)}. Give more images.")
    beta = beta.add(bias, alpha=0)  # connected, as optimisers and `torch.autograd.grad` expect
    if not _exact(x):
        return _written_out(x, weight, bias, gamma, beta, eps, pool)
    if x.shape[1] <= _FEW_CHANNELS and x.device.type == "cpu" and not x.requires_grad:
        mean, var = filter_statistics(weight, *patch_statistics(x))
        scale = gamma * (var + eps).rsqrt()
        folded = (weight * scale.view(-1, 1, 1, 1)).to(weight.dtype)
        out = folded_block(x, folded, (beta - scale * mean).to(weight.dtype), pool=pool)
        return out, Statistics((mean + bias).detach().to(weight.dtype), var.detach().to(weight.dtype))
    out, statistics = norm_block(x, weight, gamma, beta, eps=eps, pool=pool)
    return out, Statistics(statistics.mean + bias.detach(), statistics.var)


def block_with_given_statistics(
    x: Tensor,
    weight: Tensor,
    bias: Tensor,
    gamma: Tensor,
    beta: Tensor,
    statistics: Statistics,
    *,
    eps: float = 1e-5,
    pool: bool = True,
) -> Tensor:
    """The block, normalised with given mean and variance: each image's answer is its own. Arguments as above."""
    scale = gamma * (statistics.var + eps).rsqrt()
    shift = beta + scale * (bias - statistics.mean)
    if _exact(x):
        return folded_block(x, weight * scale.view(-1, 1, 1, 1), shift, pool=pool)
    z = convolve(x, weight)
    return _pooled(torch.addcmul(along_channels(shift), z, along_channels(scale)).to(z.dtype), pool)


def _exact(x: Tensor) -> bool:
    """Whether the operators with derivatives of their own serve."""
    return x.dtype in (torch.float32, torch.float64) and not torch.is_autocast_enabled(x.device.type)


def _written_out(x: Tensor, weight: Tensor, bias: Tensor, gamma: Tensor, beta: Tensor, eps: float, pool: bool) -> tuple[Tensor, Statistics]:
    """The plain block, with the statistics in float32 at least."""
    z = convolve(x, weight, bias)
    wide = z if z.dtype == torch.float64 else z.float()
    var, mean = torch.var_mean(wide, (0, 2, 3), correction=0)
    centred = wide - along_channels(mean)
    normal = torch.addcmul(along_channels(beta), centred, along_channels(gamma * (var + eps).rsqrt()))
    return _pooled(normal.to(z.dtype), pool), Statistics(mean.detach(), var.detach())


def _pooled(maps: Tensor, pool: bool) -> Tensor:
    return F.relu(F.max_pool2d(maps, 2) if pool else maps)
