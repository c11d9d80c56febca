"""Stock batch normalisation by operations that are exact under every transform.

The second derivative of native batch normalisation with batch statistics is wrong on CPU when a gradient is taken over `torch.vmap`
(PyTorch 2.13), and slow everywhere. So every stock one of a private copy of the module computes this instead: with the batch's statistics
our own operator (`kshot.backbones.kernels.norm`); with running ones, and for numbers of half precision, the formula written out.
"""

from types import MethodType
from typing import TypeGuard

import torch
from torch import Tensor, nn

from kshot.backbones.kernels.norm import norm as operator
from kshot.backbones.kernels.norm_pool import MAPS, ROWS, Statistics
from kshot.backbones.kernels.running_statistics import follow


def is_stock(norm: nn.Module) -> TypeGuard[nn.modules.batchnorm._BatchNorm]:
    """Whether a module computes what stock batch normalisation does: not a subclass with a forward pass of its own."""
    return isinstance(norm, nn.modules.batchnorm._BatchNorm) and type(norm).forward is nn.modules.batchnorm._BatchNorm.forward


def write_out(norm: nn.modules.batchnorm._BatchNorm) -> None:
    """Replace what a normalisation computes by the same, written out; its parameters and buffers stay."""
    norm.forward = MethodType(_normalise, norm)  # type: ignore[method-assign]


def _normalise(norm: nn.modules.batchnorm._BatchNorm, x: Tensor) -> Tensor:
    """(M, C, …) → the same shape, with the statistics of the items in training or where none are kept, and the running ones otherwise."""
    positions = [0, *range(2, x.ndim)]
    here = [1, -1, *[1] * (x.ndim - 2)]
    mean, var = norm.running_mean, norm.running_var
    count = x.numel() // x.shape[1]
    own = norm.training or mean is None or var is None
    if own and count < 2:
        raise ValueError(f"Expected more than 1 value per channel when training, got input size {tuple(x.shape)}")
    if own and x.dtype in (torch.float32, torch.float64):
        normal, (mean, var) = _by_operator(norm, x)
    else:
        if own:
            mean, var = x.mean(positions), x.var(positions, correction=0)
        assert mean is not None
        assert var is not None
        normal = (x - mean.view(here)) * (var + norm.eps).rsqrt().view(here)
        normal = normal if norm.weight is None else normal * norm.weight.view(here)
        normal = normal if norm.bias is None else normal + norm.bias.view(here)
    if norm.training and norm.track_running_stats:
        follow(norm, mean.detach(), var.detach(), count)
    return normal


def _by_operator(norm: nn.modules.batchnorm._BatchNorm, x: Tensor) -> tuple[Tensor, Statistics]:
    """Normalise rows, or maps of any number of sides, with the items' own statistics."""
    gamma = x.new_ones(x.shape[1]) if norm.weight is None else norm.weight
    beta = x.new_zeros(x.shape[1]) if norm.bias is None else norm.bias
    if x.ndim == 2:
        return operator(x, gamma, beta, eps=norm.eps, layout=ROWS)
    maps = x if x.ndim == 4 else x.reshape(*x.shape[:2], 1, -1)
    out, statistics = operator(maps, gamma, beta, eps=norm.eps, layout=MAPS)
    return out.reshape(x.shape), statistics
