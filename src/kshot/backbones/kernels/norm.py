"""Batch normalisation with the batch's own statistics as one operator: `norm_pool` without pooling and ReLU.

Its derivatives are exact to any order under autograd and under every transform of `torch.func`. The second derivative of PyTorch's own
normalisation is wrong on a CPU where a gradient is taken over `vmap` (2.13), and slow everywhere.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from kshot.backbones.kernels.norm_pool import Layout, Statistics, gradients_in_graph, normalise_and_pool, second_in_graph
from kshot.backbones.kernels.task_convolution import in_front


def norm(z: Tensor, gamma: Tensor, beta: Tensor, *, eps: float, layout: Layout) -> tuple[Tensor, Statistics]:
    """Compute gamma · (z - mean) / √(variance + eps) + beta.

    Args:
        z: Rows (…, n, C) or maps (…, M, C, H, W), float32 or float64.
        gamma: (…, C), the scale, of any sign.
        beta: (…, C), the shift.
        eps: Added to the variance.
        layout: `ROWS` or `MAPS`.

    Returns:
        The result in the shape of z; and the statistics of z, (…, C) each, through which no gradient flows.
    """
    out, mean, var, _ = _Norm.apply(z, gamma, beta, eps, layout)  # type: ignore[no-untyped-call]  # torch's own
    return out, Statistics(mean, var)


class _Norm(torch.autograd.Function):
    """(z, gamma, beta) → out, mean, variance, r."""

    @staticmethod
    def forward(z: Tensor, gamma: Tensor, beta: Tensor, eps: float, layout: Layout) -> tuple[Tensor, ...]:
        out, _, _, mean, var, r = normalise_and_pool(z, gamma, beta, eps, False, layout, relu=False)
        return out, mean, var, r

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        z, gamma, _, ctx.eps, ctx.layout = inputs
        _, mean, var, r = output
        ctx.mark_non_differentiable(mean, var, r)
        ctx.set_materialize_grads(False)
        kept = z, gamma, z.new_empty(0), z.new_empty(0), z.new_empty(0, dtype=torch.int64), mean, r  # empty: mask, maxima, places
        ctx.save_for_backward(*kept)
        ctx.save_for_forward(*kept)

    @staticmethod
    def backward(ctx: Any, g: Tensor | None, *_: None) -> tuple[Tensor | None, ...]:
        if g is None:
            return None, None, None, None, None
        return *gradients_in_graph(g, *ctx.saved_tensors, ctx.eps, ctx.layout), None, None

    @staticmethod
    def jvp(ctx: Any, dz: Tensor | None, dgamma: Tensor | None, dbeta: Tensor | None, *_: None) -> tuple[Tensor | None, ...]:
        z, gamma, *kept = ctx.saved_tensors
        u, a, b = (torch.zeros_like(like) if d is None else d for d, like in ((dz, z), (dgamma, gamma), (dbeta, gamma)))
        return second_in_graph(torch.zeros_like(z), u, a, b, z, gamma, *kept, ctx.eps, ctx.layout)[0], None, None, None

    @staticmethod
    def vmap(info: Any, in_dims: Sequence[int | None], *arguments: Any) -> tuple[Any, Any]:
        return in_front(_Norm, info, in_dims, arguments)
