"""Batch normalisation written out in operations that are exact under every transform.

Of native batch normalisation with batch statistics, the second derivative is wrong on CPU when a gradient is taken over `torch.vmap`
(PyTorch 2.13). Where tasks are run together, every stock one of a private copy of the module computes this instead.
"""

from types import MethodType

import torch
from torch import Tensor, nn


def write_out(norm: nn.modules.batchnorm._BatchNorm) -> None:
    """Replace what a normalisation computes by the same, written out; its parameters and buffers stay."""
    norm.forward = MethodType(_normalise, norm)  # type: ignore[method-assign]


def _normalise(norm: nn.modules.batchnorm._BatchNorm, x: Tensor) -> Tensor:
    """(M, C, …) → the same shape, with the statistics of the items in training or where none are kept, and the running ones otherwise."""
    positions = [0, *range(2, x.ndim)]
    here = [1, -1, *[1] * (x.ndim - 2)]
    mean, var = norm.running_mean, norm.running_var
    if norm.training or mean is None or var is None:
        count = x.numel() // x.shape[1]
        if count < 2:
            raise ValueError(f"Expected more than 1 value per channel when training, got input size {tuple(x.shape)}")
        mean, var = x.mean(positions), x.var(positions, correction=0)
        if norm.training and norm.track_running_stats:
            _follow(norm, mean.detach(), var.detach() * (count / (count - 1)))
    normal = (x - mean.view(here)) * (var + norm.eps).rsqrt().view(here)
    if norm.weight is not None:
        normal = normal * norm.weight.view(here)
    return normal if norm.bias is None else normal + norm.bias.view(here)


def _follow(norm: nn.modules.batchnorm._BatchNorm, mean: Tensor, var: Tensor) -> None:
    if norm.running_mean is None or norm.running_var is None or norm.num_batches_tracked is None:
        return
    with torch.no_grad():
        norm.num_batches_tracked.add_(1)
        step = norm.num_batches_tracked.reciprocal().to(mean.dtype) if norm.momentum is None else norm.momentum
        norm.running_mean.add_((mean - norm.running_mean) * step)
        norm.running_var.add_((var - norm.running_var) * step)
