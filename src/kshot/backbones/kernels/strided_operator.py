"""3×3 convolution of stride 2 → batch normalisation with the batch's own statistics → ReLU, as one operator.

The convolution is a product of the filters W with the patches P of the images, one patch per row, and normalisation runs on the rows of the
product. `norm_pool` computes out from z, and its derivatives:

    P = patches(x),  z = P Wᵀ,  out = relu(normalised z · γ + β)

Let g be the gradient of `out`, and e and f the gradients of z and of P (absent in a first derivative; a second one brings them), and let
D = e + ∂out/∂zᵀ g. Then

    dx = patchesᵀ(D W + f),  dW = Dᵀ P,  dγ,  dβ

z and P are separate values in the graph: when PyTorch differentiates these formulas, their gradients come back as e and f.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from kshot.backbones.kernels.norm_pool import ROWS, Statistics, gradients_in_graph, normalise_and_pool, second_in_graph
from kshot.backbones.kernels.patches import halved, patches, unpatch
from kshot.backbones.kernels.task_convolution import in_front


def strided_block(x: Tensor, weight: Tensor, bias: Tensor, gamma: Tensor, beta: Tensor, *, eps: float = 1e-5) -> tuple[Tensor, Statistics]:
    """Apply the block, normalised over all images and positions of x.

    All tensors may have the same further dimensions in front, for example one for tasks that each have their own filters.

    Args:
        x: Images (M, C, H, W), float32 or float64, fastest with channels innermost in memory (`pixels_last`).
        weight: (width, C, 3, 3), fastest with channels innermost in memory.
        bias: (width,), the bias of the convolution. Normalisation cancels it, so its gradient is zero.
        gamma: (width,), the scale.
        beta: (width,), the shift.
        eps: Added to the variance.

    Returns:
        The output (M, width, ⌈H / 2⌉, ⌈W / 2⌉); and the mean and biased variance of the convolution, without gradient.

    Raises:
        ValueError: There is only one position in all, so the variance is zero.
    """
    *lead, M, _, H, W = x.shape
    h, w = halved(H), halved(W)
    if M * h * w < 2:
        raise ValueError(f"batch statistics need at least 2 positions in all; found x of shape {tuple(x.shape)}. Give more images.")
    filters = weight.movedim(-3, -1).flatten(-3)  # a view, with channels innermost
    shift = beta.add(bias, alpha=0)  # keeps the bias in the graph, as optimisers and `torch.autograd.grad` expect
    found = _StridedBlock.apply(x.movedim(-3, -1), filters, gamma, shift, eps)  # type: ignore[no-untyped-call]  # torch's own
    out, _, _, mean, var, _ = found
    return out.view(*lead, M, h, w, -1).movedim(-1, -3), Statistics(mean + bias.detach(), var)


class _StridedBlock(torch.autograd.Function):
    """(x (…, M, H, W, C), W (…, width, 9·C), γ, β) → out (…, M·h·w, width), P, z, mean, variance, r."""

    @staticmethod
    def forward(*arguments: Any) -> tuple[Tensor, ...]:
        x, filters, gamma, beta, eps = arguments
        P = patches(x)
        z = P @ filters.mT
        out, _, _, mean, var, r = normalise_and_pool(z, gamma, beta, eps, False, ROWS)
        return out, P, z, mean, var, r

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        x, filters, gamma, _, ctx.eps = inputs
        out, P, z, mean, var, r = output
        ctx.shape = x.shape
        ctx.mark_non_differentiable(mean, var, r)
        ctx.set_materialize_grads(False)
        kept = filters, P, z, gamma, out, z.new_empty(0), z.new_empty(0, dtype=torch.int64), mean, r  # empty: no maxima or places
        ctx.save_for_backward(*kept)
        ctx.save_for_forward(*kept)

    @staticmethod
    def backward(ctx: Any, g: Tensor | None, f: Tensor | None, e: Tensor | None, *_: None) -> tuple[Tensor | None, ...]:
        filters, P, *normal = ctx.saved_tensors
        D, dgamma, dbeta = e, None, None
        if g is not None:
            dz, dgamma, dbeta = gradients_in_graph(g, *normal, ctx.eps, ROWS)
            D = dz if e is None else dz + e
        dx = None
        if ctx.needs_input_grad[0]:
            of_product = None if D is None else D @ filters
            of_both = [value for value in (of_product, f) if value is not None]
            dx = unpatch(of_both[0] + of_both[1] if len(of_both) == 2 else of_both[0], ctx.shape) if of_both else None
        return dx, None if D is None else D.mT @ P, dgamma, dbeta, None

    @staticmethod
    def jvp(ctx: Any, dx: Tensor | None, dw: Tensor | None, dgamma: Tensor | None, dbeta: Tensor | None, _: None) -> tuple[Any, ...]:
        filters, P, z, gamma, *kept = ctx.saved_tensors
        dP = torch.zeros_like(P) if dx is None else patches(dx)
        u = torch.zeros_like(z) if dx is None else dP @ filters.mT
        u = u if dw is None else u + P @ dw.mT
        a, b = (torch.zeros_like(gamma) if d is None else d for d in (dgamma, dbeta))
        moved = second_in_graph(torch.zeros_like(z), u, a, b, z, gamma, *kept, ctx.eps, ROWS)[0]
        return moved, dP, u, None, None, None

    @staticmethod
    def vmap(info: Any, in_dims: Sequence[int | None], *arguments: Any) -> tuple[Any, Any]:
        return in_front(_StridedBlock, info, in_dims, arguments)
