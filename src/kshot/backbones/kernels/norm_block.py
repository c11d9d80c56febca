"""3×3 convolution → batch normalisation with the batch's own statistics → 2×2 max-pooling → ReLU, as one operator.

`norm_pool` computes normalisation and pooling. This module joins them with the convolution, so that a second derivative takes the fewest
possible convolutions and small operations. With ⋆ the convolution and s the sign of the scale γ:

    z = x ⋆ (s W),  out = norm_pool(z, |γ|, β)

Let g be the gradient of `out` and e the gradient of z (absent in a first derivative; second derivatives below bring it), and let
D = e + ∂out/∂zᵀ g. Then

    dx = ∂⟨x ⋆ (s W), D⟩/∂x,  dW = s ∂⟨x ⋆ W, D⟩/∂W,  dγ,  dβ

and for cotangents (p, q, a, b) of (dx, dW, dγ, dβ), with u = p ⋆ (s W) + x ⋆ (s q), which is the cotangent of D,

    dx = ∂⟨x ⋆ (s q), D⟩/∂x,  dW = s ∂⟨p ⋆ W, D⟩/∂W,  de = u,  and (dg, dz, dγ) by the second derivatives of `norm_pool` for (u, s a, b)

z is a separate value in the graph. Its gradient dz comes back as e when the block itself is differentiated, so the convolution is
differentiated once for both. D is kept from the first derivative for the second. In all, a step of gradient descent and its second
derivative take the work of nine convolutions, three times the work of the gradient, which is the minimum.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from kshot.backbones.kernels.norm_pool import (
    MAPS,
    Statistics,
    gradients,
    gradients_in_graph,
    normalise_and_pool,
    second_gradients,
    second_in_graph,
)
from kshot.backbones.kernels.pooling import pick
from kshot.backbones.kernels.task_convolution import POSITIONS, convolution_gradients, convolve, filter_gradients, in_front


def norm_block(x: Tensor, weight: Tensor, gamma: Tensor, beta: Tensor, *, eps: float, pool: bool) -> tuple[Tensor, Statistics]:
    """Apply the block, without the bias, which normalisation would cancel.

    Args:
        x: Images (M, C, H, W), float32 or float64.
        weight: (width, C, 3, 3).
        gamma: (width,), the scale, of any sign.
        beta: (width,), the shift.
        eps: Added to the variance.
        pool: Whether to pool.

    Returns:
        The output (M, width, H // 2, W // 2), or (M, width, H, W) without pooling; and the statistics of x ⋆ W, through which no gradient
        flows.
    """
    out, _, _, _, mean, var, _, sign = _NormBlock.apply(x, weight, gamma, beta, eps, pool)  # type: ignore[no-untyped-call]  # torch's own
    return out, Statistics(signed(mean, sign), var)


def sign_of(gamma: Tensor) -> Tensor:
    """Return 1 or -1 for each channel; empty where all are 1. Only a CPU is asked: asking another device would make this call wait."""
    if gamma.device.type == "cpu" and not bool((gamma < 0).any()):
        return gamma.new_empty(0)
    return torch.ones_like(gamma).copysign_(gamma)


def signed(value: Tensor, sign: Tensor) -> Tensor:
    """Multiply filters (…, width, C, 3, 3), or values per channel (…, width), by their signs."""
    if sign.numel() == 0:
        return value
    return value * (sign if value.ndim == sign.ndim else sign[..., None, None, None])


class _NormBlock(torch.autograd.Function):
    """(x, weight, gamma, beta) → out, z and what the derivatives need."""

    @staticmethod
    def forward(*arguments: Any) -> tuple[Tensor, ...]:
        x, weight, gamma, beta, eps, pool = arguments
        sign = sign_of(gamma)
        z = convolve(x, signed(weight, sign))
        out, top, places, mean, var, r = normalise_and_pool(z, signed(gamma, sign), beta, eps, pool)
        return out, z, top, places, mean, var, r, sign

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        x, weight, gamma, _, ctx.eps, _ = inputs
        out, z, top, places, mean, var, r, sign = output
        ctx.mark_non_differentiable(top, places, mean, var, r, sign)
        ctx.set_materialize_grads(False)
        kept = x, weight, gamma, z, out, top, places, mean, r, sign
        ctx.save_for_backward(*kept)
        ctx.save_for_forward(*kept)

    @staticmethod
    def backward(ctx: Any, g: Tensor | None, e: Tensor | None, *_: None) -> tuple[Tensor | None, ...]:
        if g is None and e is None:
            return None, None, None, None, None, None
        x, weight, gamma, z, out, *kept = ctx.saved_tensors
        g = torch.zeros_like(out) if g is None else g
        needs_x = ctx.needs_input_grad[0]
        found = _NormBlockGradients.apply(g, e, x, weight, gamma, z, out, *kept, ctx.eps, needs_x)  # type: ignore[no-untyped-call]
        dx, dweight, dgamma, dbeta, _ = found
        return dx if needs_x else None, dweight, dgamma, dbeta, None, None

    @staticmethod
    def jvp(ctx: Any, dx: Tensor | None, dw: Tensor | None, dgamma: Tensor | None, dbeta: Tensor | None, *_: None) -> tuple[Any, ...]:
        x, weight, gamma, z, out, *kept, sign = ctx.saved_tensors
        u = torch.zeros_like(z)
        u = u if dx is None else u + convolve(dx, signed(weight, sign))
        u = u if dw is None else u + convolve(x, signed(dw, sign))
        a, b = (torch.zeros_like(gamma) if d is None else d for d in (dgamma, dbeta))
        moved = second_in_graph(torch.zeros_like(out), u, signed(a, sign), b, z, signed(gamma, sign), out, *kept, ctx.eps, MAPS)
        return moved[0], u, None, None, None, None, None, None

    @staticmethod
    def vmap(info: Any, in_dims: Sequence[int | None], *arguments: Any) -> tuple[Any, Any]:
        return in_front(_NormBlock, info, in_dims, arguments)


class _NormBlockGradients(torch.autograd.Function):
    """(g, e, x, weight, gamma, z) → (dx, dweight, dgamma, dbeta) and D. The other arguments are constants. None for e stands for zeros."""

    @staticmethod
    def forward(*arguments: Any) -> tuple[Tensor, ...]:
        g, e, x, weight, gamma, z, out, top, places, mean, r, sign, _, needs_x = arguments
        D, dscale, dbeta = gradients(g, z, top if top.numel() else z, places, out, (signed(gamma, sign), mean, r))
        D = D if e is None else D.add_(e)
        dx = convolution_gradients(D, x, signed(weight, sign), (True, False))[0] if needs_x else x.new_empty(0)
        dweight = filter_gradients(D, x, weight)
        return dx, signed(dweight, sign), signed(dscale, sign), dbeta, D

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        *tensors, ctx.eps, ctx.needs_x = inputs
        ctx.mark_non_differentiable(output[4])
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(*tensors, output[4])
        ctx.save_for_forward(*tensors, output[4])

    @staticmethod
    def backward(ctx: Any, p: Tensor | None, q: Tensor | None, a: Tensor | None, b: Tensor | None, _: None) -> tuple[Tensor | None, ...]:
        g, e, x, weight, gamma, z, *kept = ctx.saved_tensors
        p = p if ctx.needs_x else None  # else p belongs to the empty dx
        q = torch.zeros_like(weight) if q is None else q
        a, b = (torch.zeros_like(gamma) if c is None else c for c in (a, b))
        needs_x = ctx.needs_input_grad[2]
        found = _NormBlockSecond.apply(  # type: ignore[no-untyped-call]
            g, e, p, q, a, b, x, weight, gamma, z, *kept, ctx.eps, needs_x
        )
        dg, u, dx, dweight, dgamma, dz = found
        de = u if ctx.needs_input_grad[1] else None
        return dg, de, dx if needs_x else None, None if p is None else dweight, dgamma, dz, *[None] * 8

    @staticmethod
    def jvp(ctx: Any, *tangents: Any) -> tuple[Any, ...]:
        # D is linear in g and e. The rest of its tangent is the Hessian of Σ g · out in (z, scale), which is symmetric.
        g, e, x, weight, gamma, z, out, *kept, sign, _ = ctx.saved_tensors
        zeros = (
            (torch.zeros_like(value) if d is None else d) for value, d in zip((g, z, gamma), (tangents[0], *tangents[5:3:-1]), strict=True)
        )
        dg, dz, dgamma = zeros
        scale, w = signed(gamma, sign), signed(weight, sign)
        second = second_in_graph(g, dz, signed(dgamma, sign), torch.zeros_like(gamma), z, scale, out, *kept, ctx.eps, MAPS)
        moved = gradients_in_graph(dg, z, scale, out, *kept, ctx.eps, MAPS)
        now = gradients_in_graph(g, z, scale, out, *kept, ctx.eps, MAPS)[0]  # D, differentiable
        now = now if e is None else now + e
        of_D = moved[0] + second[1]
        of_D = of_D if tangents[1] is None else of_D + tangents[1]
        needs = ctx.needs_x, True
        of_x, of_weight = convolution_gradients(of_D, x, w, needs)
        if tangents[3] is not None and ctx.needs_x:
            of_x = of_x + convolution_gradients(now, x, signed(tangents[3], sign), (True, False))[0]
        if tangents[2] is not None:
            of_weight = of_weight + convolution_gradients(now, tangents[2], w, (False, True))[1]
        empty = x.new_empty(0)
        return of_x if ctx.needs_x else empty, signed(of_weight, sign), signed(moved[1] + second[2], sign), moved[2], None

    @staticmethod
    def vmap(info: Any, in_dims: Sequence[int | None], *arguments: Any) -> tuple[Any, Any]:
        return in_front(_NormBlockGradients, info, in_dims, arguments)


class _NormBlockSecond(torch.autograd.Function):
    """(g, e, p, q, a, b, x, weight, gamma, z) → (dg, u, dx, dweight, dgamma, dz). The other arguments are constants.

    A p or e of None stands for zeros. dx is empty where it is not needed.
    """

    @staticmethod
    def forward(*arguments: Any) -> tuple[Tensor, ...]:
        g, _, p, q, a, b, x, weight, gamma, z, out, top, places, mean, r, sign, D, _, needs_x = arguments
        channel = signed(gamma, sign), mean, r
        return _second((g, p, q, a, b, x, weight, z), D, top if top.numel() else z, places, out, channel, sign, needs_x)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        *tensors, ctx.eps, ctx.needs_x = inputs
        ctx.save_for_backward(*tensors)

    @staticmethod
    def backward(ctx: Any, *cotangents: Tensor) -> tuple[Tensor | None, ...]:
        *values, out, _, places, _, _, sign, _ = ctx.saved_tensors
        given = [number for number, value in enumerate(values) if value is not None]

        def from_scratch(*variables: Tensor) -> tuple[Tensor, ...]:
            every: list[Any] = [None] * len(values)
            for number, value in zip(given, variables, strict=True):
                every[number] = value
            g, e, p, q, a, b, x, weight, gamma, z = every
            var, mean = torch.var_mean(z, POSITIONS, correction=0)
            top, channel = pick(z, places), (signed(gamma, sign), mean, (var + ctx.eps).rsqrt())
            D = gradients(g, z, top, places, out, channel)[0]
            D = D if e is None else D + e
            return _second((g, p, q, a, b, x, weight, z), D, top, places, out, channel, sign, ctx.needs_x)

        pulled = torch.func.vjp(from_scratch, *(values[number] for number in given))[1](cotangents)
        back: list[Tensor | None] = [None] * len(values)
        for number, value in zip(given, pulled, strict=True):
            back[number] = value
        return *back, *[None] * 9

    @staticmethod
    def vmap(info: Any, in_dims: Sequence[int | None], *arguments: Any) -> tuple[Any, Any]:
        return in_front(_NormBlockSecond, info, in_dims, arguments)


def _second(
    variables: tuple[Any, ...],
    D: Tensor,
    top: Tensor,
    places: Tensor,
    out: Tensor,
    channel: tuple[Tensor, Tensor, Tensor],
    sign: Tensor,
    needs_x: bool,
) -> tuple[Tensor, ...]:
    """Return (dg, u, dx, dweight, dgamma, dz) for the cotangents (p, q, a, b). A p of None stands for zeros and gives an empty dweight."""
    g, p, q, a, b, x, weight, z = variables
    signed_q, signed_weight = signed(q, sign), signed(weight, sign)
    u = convolve(x, signed_q)
    u = u if p is None else u + convolve(p, signed_weight)
    dg, dz, dscale = second_gradients(g, (u, signed(a, sign), b), z, top, places, out, channel)
    dx = convolution_gradients(D, x, signed_q, (True, False))[0] if needs_x else x.new_empty(0)
    dweight = weight.new_empty(0) if p is None else signed(filter_gradients(D, p, weight), sign)
    return dg, u, dx, dweight, signed(dscale, sign), dz
