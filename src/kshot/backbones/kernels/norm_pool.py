"""Batch normalisation with the batch's own statistics → 2×2 max-pooling → ReLU, with first and second derivatives written by hand.

If the scale is not negative, max-pooling commutes with normalisation, so everything but the statistics runs on the pooled maps, which have
a quarter of the size. The maps z are (M, C, H, W), or (…, M, C, H, W) for many tasks. Each channel has the mean μ and the biased variance v
over its n = M·H·W positions:

    r = 1 / √(v + ε),  x̂ = r (z - μ),  out = relu(scale · x̂[places] + shift)                         places: positions of the maxima of z

The gradient g of `out`, set to zero where `out` is zero, is spread from the places to G (M, C, H, W). With ⟨·⟩ the mean over positions,

    dz = scale · r · (G - ⟨G⟩ - x̂ ⟨G x̂⟩),  dscale = Σ G x̂,  dshift = Σ G                              (Ioffe & Szegedy 2015, section 3)

Only a quarter of G is filled, so its sums are taken on the pooled maps. The rest of dz is an affine function of z and takes one pass.
For cotangents (u, a, b) of (dz, dscale, dshift), with T = Σ u (G - ⟨G⟩ - x̂ ⟨G x̂⟩), the second derivatives are

    dg     = (scale · r · (u - ⟨u⟩ - x̂ ⟨u x̂⟩) + a x̂ + b)[places]                  also the tangent of `out` for tangents (u, a, b)
    dscale = r T
    dz     = r (V - ⟨V⟩ - x̂ (⟨V x̂⟩ + scale · r · T / n)),  V = a G - scale · r · (u ⟨G x̂⟩ + G ⟨u x̂⟩)

and dz is again affine in u, z and the spread g. For derivatives beyond the second, PyTorch differentiates these formulas.

Without pooling, the same formulas hold for rows (…, n, C) with statistics over the n rows: see `Layout`. These functions read the mask of
ReLU from `out`; without ReLU they are given an empty `out`.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from kshot.backbones.kernels.pooling import pick, pool_with_places, spread
from kshot.backbones.kernels.task_convolution import POSITIONS, along_channels, in_front, task_by_task


class Layout(NamedTuple):
    """Says which dimensions are positions, over which statistics are taken.

    Attributes:
        positions: The dimensions of the positions.
        along: Makes values per channel broadcast against the whole tensor.
    """

    positions: tuple[int, ...]
    along: Callable[[Tensor], Tensor]


MAPS = Layout(POSITIONS, along_channels)
"""Maps (…, M, C, H, W) with values per channel (…, C)."""
ROWS = Layout((-2,), lambda values: values.unsqueeze(-2))
"""Rows (…, n, C) with values per channel (…, C), without pooling."""


class Statistics(NamedTuple):
    """Mean and biased variance per channel, (…, C) in the dtype of the maps."""

    mean: Tensor
    var: Tensor  # biased


def statistics_of(z: Tensor, layout: Layout = MAPS) -> Statistics:
    """Return the mean and biased variance of each channel, which are not differentiable on every device."""
    if layout == ROWS:
        mean = z.mean(-2)
        return Statistics(mean, torch.sub(z, mean.unsqueeze(-2)).square_().mean(-2))  # three times as fast as `var_mean` on a CPU
    if z.device.type == "cpu":  # many times faster than `var_mean` with channels innermost
        return Statistics(*task_by_task(lambda maps: torch.batch_norm_update_stats(maps, None, None, 0.0), z))
    var, mean = torch.var_mean(z, layout.positions, correction=0)
    return Statistics(mean, var)


def normalise_and_pool(
    z: Tensor, scale: Tensor, shift: Tensor, eps: float, pool: bool, layout: Layout = MAPS, *, relu: bool = True
) -> tuple[Tensor, ...]:
    """Run the forward pass.

    Args:
        z: Maps (M, C, H, W), float32 or float64.
        scale: (C,). With pooling, it must not be negative: the caller folds a negative sign into what made `z`.
        shift: (C,).
        eps: Added to the variance.
        pool: Whether to pool. Rows cannot be pooled.
        layout: Layout of z. The shapes given here are those of `MAPS`.
        relu: Whether to apply ReLU.

    Returns:
        out (M, C, H // 2, W // 2), or (M, C, H, W) without pooling; the maxima of z, empty without pooling; their places; and mean, biased
        variance and r per channel.
    """
    mean, var = statistics_of(z, layout)
    r = (var + eps).rsqrt_()
    top, places = pool_with_places(z, pool)
    slope = scale * r
    out = torch.addcmul(layout.along(shift - slope * mean), top, layout.along(slope))
    return out.relu_() if relu else out, top if pool else z.new_empty(0), places, mean, var, r


def gradients(
    g: Tensor, z: Tensor, top: Tensor, places: Tensor, out: Tensor, channel: tuple[Tensor, ...], layout: Layout = MAPS
) -> tuple[Tensor, Tensor, Tensor]:
    """Return (dz, dscale, dshift) for the gradient g of `out`. `top` is z at the places; `channel` is (scale, mean, r)."""
    (scale, mean, r), (over, along) = channel, layout
    if layout == MAPS and out.numel() == 0 and z.device.type == "cpu":  # only normalisation, which PyTorch does in one pass
        dz, dscale, dshift = task_by_task(_native_gradients, g, z, scale, mean, r)
        return dz, dscale, dshift
    n = z.numel() // mean.numel()
    g = _masked(g, out)
    total = g.sum(over)  # Σ G
    dscale = r * (torch.sub(top, along(mean)) * g).sum(over)  # Σ G x̂
    factor = scale * r
    slope = factor * r * dscale / -n
    offset = torch.addcmul(factor * total / -n, slope, mean, value=-1)
    dz = spread(g * along(factor), places, z)
    return dz.addcmul_(z, along(slope)).add_(along(offset)), dscale, total


def _native_gradients(g: Tensor, z: Tensor, scale: Tensor, mean: Tensor, r: Tensor) -> tuple[Tensor, ...]:
    found: tuple[Tensor, ...] = torch.ops.aten.native_batch_norm_backward(g, z, scale, None, None, mean, r, True, 0.0, [True] * 3)
    return found


def second_gradients(
    g: Tensor,
    cotangents: tuple[Tensor, Tensor, Tensor],
    z: Tensor,
    top: Tensor,
    places: Tensor,
    out: Tensor,
    channel: tuple[Tensor, ...],
    layout: Layout = MAPS,
) -> tuple[Tensor, Tensor, Tensor]:
    """Return (dg, dz, dscale) for the cotangents (u, a, b) of what `gradients` returns.

    dg is also the tangent of `out` for tangents (u, a, b).
    """
    u, a, b = cotangents
    (scale, mean, r), (over, along) = channel, layout
    n = z.numel() // mean.numel()
    g = _masked(g, out)
    u_top, u_mean = pick(u, places), u.sum(over) / n
    u_along = r * (torch.sub(z, along(mean)) * u).sum(over) / n  # ⟨u x̂⟩
    g_mean = g.sum(over) / n
    g_along = r * (torch.sub(top, along(mean)) * g).sum(over) / n
    inner = (u_top * g).sum(over) - n * (u_mean * g_mean + u_along * g_along)  # T
    factor = scale * r
    of_g = a - factor * u_along  # V = of_u · u + of_g · G with of_u = -factor · g_along
    slope = r * of_g  # of z[places] in dg
    offset = b - factor * u_mean - slope * mean
    moved = torch.addcmul(along(offset), top, along(slope)).addcmul_(u_top, along(factor))
    r_of_g, r_of_u = slope, -r * factor * g_along
    v_mean, v_along = r_of_u * u_mean + r_of_g * g_mean, r_of_u * u_along + r_of_g * g_along  # times r
    bend = -r * (v_along + factor * r * inner / n)
    dz = spread(g * along(r_of_g), places, z)
    dz = dz.addcmul_(u, along(r_of_u)).addcmul_(z, along(bend)).sub_(along(v_mean + bend * mean))
    return _masked(moved, out), dz, r * inner


def _masked(g: Tensor, out: Tensor) -> Tensor:
    """Return `g`, set to zero where ReLU blocks it."""
    return g if out.numel() == 0 else torch.ops.aten.threshold_backward(g, out, 0)


def gradients_in_graph(g: Tensor, z: Tensor, scale: Tensor, *kept: Any) -> tuple[Tensor, Tensor, Tensor]:
    """Call `gradients` as a differentiable function of (g, z, scale).

    `kept` is (out, top, places, mean, r, eps, layout) from the forward pass.
    """
    found: tuple[Tensor, Tensor, Tensor] = _NormPoolGradients.apply(g, z, scale, *kept)  # type: ignore[no-untyped-call]  # torch's own
    return found


def second_in_graph(g: Tensor, u: Tensor, a: Tensor, b: Tensor, z: Tensor, scale: Tensor, *kept: Any) -> tuple[Tensor, Tensor, Tensor]:
    """Call `second_gradients` as a differentiable function of (g, u, a, b, z, scale). `kept` is as in `gradients_in_graph`."""
    found: tuple[Tensor, Tensor, Tensor] = _SecondGradients.apply(g, u, a, b, z, scale, *kept)  # type: ignore[no-untyped-call]
    return found


class _NormPoolGradients(torch.autograd.Function):
    """(g, z, scale) → (dz, dscale, dshift). The other arguments were kept by the forward pass and are constants here."""

    @staticmethod
    def forward(
        g: Tensor, z: Tensor, scale: Tensor, out: Tensor, top: Tensor, places: Tensor, mean: Tensor, r: Tensor, eps: float, layout: Layout
    ) -> tuple[Tensor, ...]:
        return gradients(g, z, top if top.numel() else z, places, out, (scale, mean, r), layout)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        *tensors, ctx.eps, ctx.layout = inputs
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(*tensors)
        ctx.save_for_forward(*tensors)

    @staticmethod
    def backward(ctx: Any, *cotangents: Tensor | None) -> tuple[Tensor | None, ...]:
        dg, dz, dscale = _second(ctx, cotangents)
        return dg, dz, dscale, *[None] * 7

    @staticmethod
    def jvp(ctx: Any, dg: Tensor | None, dz: Tensor | None, dscale: Tensor | None, *_: None) -> tuple[Tensor, ...]:
        # The gradients are linear in g. The rest is the Hessian of Σ g · out, which is symmetric, so the second gradient can be used.
        g, z, scale, *kept = ctx.saved_tensors
        second = _second(ctx, (dz, dscale, None))
        moved = _NormPoolGradients.apply(torch.zeros_like(g) if dg is None else dg, z, scale, *kept, ctx.eps, ctx.layout)  # type: ignore[no-untyped-call]
        return moved[0] + second[1], moved[1] + second[2], moved[2]

    @staticmethod
    def vmap(info: Any, in_dims: Sequence[int | None], *arguments: Any) -> tuple[Any, Any]:
        return in_front(_NormPoolGradients, info, in_dims, arguments)


def _second(ctx: Any, cotangents: Sequence[Tensor | None]) -> tuple[Tensor, Tensor, Tensor]:
    """Apply `_SecondGradients` to what `_NormPoolGradients` kept. A cotangent of None stands for zeros."""
    g, z, scale, *kept = ctx.saved_tensors
    u, a, b = (torch.zeros_like(like) if c is None else c for c, like in zip(cotangents, (z, scale, scale), strict=True))
    result: tuple[Tensor, Tensor, Tensor] = _SecondGradients.apply(g, u, a, b, z, scale, *kept, ctx.eps, ctx.layout)  # type: ignore[no-untyped-call]
    return result


class _SecondGradients(torch.autograd.Function):
    """(g, u, a, b, z, scale) → (dg, dz, dscale). The other arguments are constants."""

    @staticmethod
    def forward(g: Tensor, u: Tensor, a: Tensor, b: Tensor, z: Tensor, scale: Tensor, *kept: Any) -> tuple[Tensor, ...]:
        out, top, places, mean, r, _, layout = kept
        return second_gradients(g, (u, a, b), z, top if top.numel() else z, places, out, (scale, mean, r), layout)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        *tensors, ctx.eps, ctx.layout = inputs
        ctx.save_for_backward(*tensors)

    @staticmethod
    def backward(ctx: Any, *cotangents: Tensor) -> tuple[Tensor | None, ...]:
        *variables, out, _, places, _, _ = ctx.saved_tensors
        layout = ctx.layout

        def from_scratch(g: Tensor, u: Tensor, a: Tensor, b: Tensor, z: Tensor, scale: Tensor) -> tuple[Tensor, ...]:
            var, mean = torch.var_mean(z, layout.positions, correction=0)
            return second_gradients(g, (u, a, b), z, pick(z, places), places, out, (scale, mean, (var + ctx.eps).rsqrt()), layout)

        pull = torch.func.vjp(from_scratch, *variables)[1]
        return *pull(cotangents), *[None] * 7

    @staticmethod
    def vmap(info: Any, in_dims: Sequence[int | None], *arguments: Any) -> tuple[Any, Any]:
        return in_front(_SecondGradients, info, in_dims, arguments)
