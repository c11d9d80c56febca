"""The block conv 3×3 → batch normalisation → 2×2 max-pooling → ReLU as one function of its input and parameters.

Three ways give the same numbers, up to rounding, and the same derivatives of first, second and any higher order, under autograd and under
the transforms of `torch.func`. The device, the dtype and the size decide which one is used; the caller does not matter:

- With given statistics, the normalisation is folded into the weights (`folded_block`).
- With the batch's own statistics, `norm_block` does the work. For images of few channels on a CPU, the statistics are known before the maps
  are made (`patch_statistics`), so the normalisation is folded into the weights as well.
- Under autocast and in half precision, the plain block is used, with the normalisation written out. (The second derivative of PyTorch's
  own is wrong when a gradient is taken over `vmap`; PyTorch 2.13 on CPU.)

Where two positions of a window give the same maximum, the first one is taken, as in PyTorch. A scale of exactly zero makes all positions of
a window equal. The plain block then takes the first of all positions. This one takes the first of those with the largest convolution, which
is the limit of a small positive scale. Only the gradient of that scale differs.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from kshot.backbones.kernels.folded_block import folded_block
from kshot.backbones.kernels.norm_block import norm_block
from kshot.backbones.kernels.norm_pool import Statistics
from kshot.backbones.kernels.patch_statistics import filter_statistics, patch_statistics
from kshot.backbones.kernels.task_convolution import along_channels, convolve

_FEW_CHANNELS = 3  # with more channels, a covariance of 9·C values costs more than the maps


def block_with_batch_statistics(
    x: Tensor, weight: Tensor, bias: Tensor, gamma: Tensor, beta: Tensor, *, eps: float = 1e-5, pool: bool = True
) -> tuple[Tensor, Statistics]:
    """Apply the block, normalised over all images and positions of x.

    Args:
        x: Images (M, C, H, W) float, fastest with channels innermost in memory (`pixels_last`).
        weight: (width, C, 3, 3).
        bias: (width,), the bias of the convolution. Normalisation cancels it, so its gradient is zero.
        gamma: (width,), the scale, of any sign.
        beta: (width,), the shift.
        eps: Added to the variance.
        pool: Whether to pool.

    Returns:
        The output (M, width, H // 2, W // 2), or (M, width, H, W) without pooling; and the mean and biased variance of the convolution,
        without gradient.

    Raises:
        ValueError: There is only one position in all, so the variance is zero.
    """
    positions = len(x) * x.shape[2] * x.shape[3]
    if positions < 2:
        raise ValueError(f"batch statistics need at least 2 positions in all; found x of shape {tuple(x.shape)}. Give more images.")
    beta = beta.add(bias, alpha=0)  # keeps the bias in the graph, as optimisers and `torch.autograd.grad` expect
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
    """Apply the block, normalised with a given mean and variance: each image is processed independently.

    The arguments are those of `block_with_batch_statistics`, and the statistics.
    """
    scale = gamma * (statistics.var + eps).rsqrt()
    shift = beta + scale * (bias - statistics.mean)
    if _exact(x):
        return folded_block(x, weight * scale.view(-1, 1, 1, 1), shift, pool=pool)
    z = convolve(x, weight)
    return _pooled(torch.addcmul(along_channels(shift), z, along_channels(scale)).to(z.dtype), pool)


def _exact(x: Tensor) -> bool:
    """Whether the operators with hand-written derivatives can be used. They divide a batch by its size, which an export leaves open."""
    if torch.compiler.is_exporting():
        return False
    return x.dtype in (torch.float32, torch.float64) and not torch.is_autocast_enabled(x.device.type)


def _written_out(x: Tensor, weight: Tensor, bias: Tensor, gamma: Tensor, beta: Tensor, eps: float, pool: bool) -> tuple[Tensor, Statistics]:
    """Apply the plain block, with statistics in at least float32."""
    z = convolve(x, weight, bias)
    wide = z if z.dtype == torch.float64 else z.float()
    var, mean = torch.var_mean(wide, (0, 2, 3), correction=0)
    centred = wide - along_channels(mean)
    normal = torch.addcmul(along_channels(beta), centred, along_channels(gamma * (var + eps).rsqrt()))
    return _pooled(normal.to(z.dtype), pool), Statistics(mean.detach(), var.detach())


def _pooled(maps: Tensor, pool: bool) -> Tensor:
    return F.relu(F.max_pool2d(maps, 2) if pool else maps)
