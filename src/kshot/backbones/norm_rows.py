"""Batch normalisation with the batch's own statistics → ReLU on rows (n, C), as one operator: `norm_pool` without pooling.

A convolution written as a product of patches and weights gives rows; so does any linear layer.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from kshot.backbones.norm_pool import ROWS, Statistics, gradients_in_graph, normalise_and_pool, second_in_graph


def norm_rows(z: Tensor, gamma: Tensor, beta: Tensor, *, eps: float) -> tuple[Tensor, Statistics]:
    """relu(gamma · (z - mean) / √(variance + eps) + beta).

    Args:
        z: (…, n, C), float32 or float64.
        gamma: (…, C), the scale, of any sign.
        beta: (…, C), the shift.
        eps: Added to the variance.

    Returns:
        (…, n, C); and the statistics of z over the n rows, (…, C) each, through which no gradient flows.
    """
    out, mean, var, _ = _NormRows.apply(z, gamma, beta, eps)  # type: ignore[no-untyped-call]  # torch's own
    return out, Statistics(mean, var)


class _NormRows(torch.autograd.Function):
    """(z, gamma, beta) → out, mean, variance, r."""

    @staticmethod
    def forward(z: Tensor, gamma: Tensor, beta: Tensor, eps: float) -> tuple[Tensor, ...]:
        out, _, _, mean, var, r = normalise_and_pool(z, gamma, beta, eps, False, ROWS)
        return out, mean, var, r

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        z, gamma, _, ctx.eps = inputs
        out, mean, var, r = output
        ctx.mark_non_differentiable(mean, var, r)
        ctx.set_materialize_grads(False)
        kept = z, gamma, out, z.new_empty(0), z.new_empty(0, dtype=torch.int64), mean, r  # neither maxima nor places
        ctx.save_for_backward(*kept)
        ctx.save_for_forward(*kept)

    @staticmethod
    def backward(ctx: Any, g: Tensor | None, *_: None) -> tuple[Tensor | None, ...]:
        if g is None:
            return None, None, None, None
        return *gradients_in_graph(g, *ctx.saved_tensors, ctx.eps, ROWS), None

    @staticmethod
    def jvp(ctx: Any, dz: Tensor | None, dgamma: Tensor | None, dbeta: Tensor | None, _: None) -> tuple[Tensor | None, ...]:
        z, gamma, out, *kept = ctx.saved_tensors
        u, a, b = (torch.zeros_like(like) if d is None else d for d, like in ((dz, z), (dgamma, gamma), (dbeta, gamma)))
        return second_in_graph(torch.zeros_like(out), u, a, b, z, gamma, out, *kept, ctx.eps, ROWS)[0], None, None, None

    @staticmethod
    def vmap(info: Any, in_dims: Sequence[int | None], *arguments: Any) -> tuple[Any, Any]:
        return ROWS.tasks(_NormRows, info, in_dims, arguments)
