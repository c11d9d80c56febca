"""3×3 convolution → 2×2 max-pooling → ReLU, for a block whose normalisation is folded into the weights.

With known statistics, normalisation only scales and shifts each filter. The operator keeps its input, its output and the positions of the
maxima ("places"). It does not keep the maps in between, which are four times the size of the output: it makes them for a few images at a
time, so that they fit in the cache.

    out = relu((x ⋆ W + b)[places])                        ⋆ is the convolution; places are the positions of the maxima

The block is linear in (W, b) and in x once the places and the mask of ReLU are fixed, as they are almost everywhere. Let G be the gradient
of `out` where `out` is positive, spread from the places. Then

    dW = ∂⟨x ⋆ W, G⟩/∂W,  db = Σ G,  dx = ∂⟨x ⋆ W, G⟩/∂x

and for cotangents (p, q, s) of (dx, dW, db)

    dg = (p ⋆ W + x ⋆ q + s)[places],  dW = ∂⟨p ⋆ W, G⟩/∂W,  dx = ∂⟨x ⋆ q, G⟩/∂x

PyTorch can differentiate each of these operations again.
"""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from kshot.backbones.kernels.pooling import pick, places_dtype, pool_with_places, spread
from kshot.backbones.kernels.task_convolution import POSITIONS, along_channels, convolution_gradients, convolve, in_front, task_by_task

_CACHE = 2**19  # numbers in the maps of one part: 2 MB of float32, the quickest size measured


def folded_block(x: Tensor, weight: Tensor, bias: Tensor, *, pool: bool) -> Tensor:
    """Compute relu(pool(x ⋆ weight + bias)).

    Args:
        x: (M, C, H, W), in the dtype of the weights.
        weight: (width, C, 3, 3).
        bias: (width,).
        pool: Whether to pool.

    Returns:
        (M, width, H // 2, W // 2), or (M, width, H, W) without pooling.
    """
    if not torch.is_grad_enabled() and _alone():  # an `autograd.Function` takes as long as the block of one image
        return task_by_task(partial(_block, pool=pool, keep=False), x, weight, bias)[0]
    out: Tensor = _FoldedBlock.apply(x, weight, bias, pool, torch.is_grad_enabled())[0]  # type: ignore[no-untyped-call]  # torch's own
    return out


def _alone() -> bool:
    """Whether nothing but numbers is asked for: no transform of `torch.func`, and no tangents in forward mode."""
    return not torch._C._are_functorch_transforms_active() and torch.autograd.forward_ad._current_level < 0


def parts(x: Tensor, weight: Tensor) -> Iterator[slice]:
    """Yield ranges of images whose maps fit in the cache. On a device other than a CPU, there is one range."""
    images, maps = len(x), max(1, len(weight) * x.shape[2] * x.shape[3])
    step = max(1, _CACHE // maps) if x.device.type == "cpu" else max(1, images)
    return (slice(first, min(first + step, images)) for first in range(0, max(1, images), step))


class _FoldedBlock(torch.autograd.Function):
    """(x, weight, bias) → out and the places."""

    @staticmethod
    def forward(x: Tensor, weight: Tensor, bias: Tensor, pool: bool, keep: bool) -> tuple[Tensor, ...]:
        return task_by_task(partial(_block, pool=pool, keep=keep), x, weight, bias)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
        x, weight, bias, ctx.pool, _ = inputs
        out, places = output
        ctx.mark_non_differentiable(places)
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(x, weight, out, places)
        ctx.save_for_forward(x, weight, bias, out, places)

    @staticmethod
    def backward(ctx: Any, g: Tensor | None, _: None) -> tuple[Tensor | None, ...]:
        if g is None:
            return None, None, None, None, None
        needs_x = ctx.needs_input_grad[0]
        dx, dw, db = _FoldedGradients.apply(g, *ctx.saved_tensors, needs_x)  # type: ignore[no-untyped-call]  # torch's own
        return dx if needs_x else None, dw, db, None, None

    @staticmethod
    def jvp(ctx: Any, dx: Tensor | None, dw: Tensor | None, db: Tensor | None, *_: None) -> tuple[Tensor | None, None]:
        x, weight, bias, out, places = ctx.saved_tensors
        if ctx.pool and places.numel() == 0:
            with torch.no_grad():
                places = pool_with_places(convolve(x, weight, bias), True)[1]
        return moved(x, weight, (dx, dw, db), places, out), None

    @staticmethod
    def vmap(info: Any, in_dims: Sequence[int | None], *arguments: Any) -> tuple[Any, Any]:
        x, weight, bias, pool, keep = arguments
        of_x, of_weight, of_bias, *_ = in_dims
        if of_weight is None and of_bias is None and weight.ndim == 4:  # with shared weights, more tasks are just more images
            images = x.movedim(of_x, 0)  # (B, M, C, H, W)
            results = _FoldedBlock.apply(images.flatten(0, 1), weight, bias, pool, keep)  # type: ignore[no-untyped-call]
            dims = tuple(None if result.numel() == 0 else 0 for result in results)
            return tuple(r if r.numel() == 0 else r.view(*images.shape[:2], *r.shape[1:]) for r in results), dims
        return in_front(_FoldedBlock, info, in_dims, arguments)


def _block(x: Tensor, weight: Tensor, bias: Tensor, pool: bool, keep: bool) -> tuple[Tensor, Tensor]:
    """Return out and the places, computed for a few images at a time."""
    ranges, nowhere = list(parts(x, weight)), x.new_empty(0, dtype=places_dtype(x))
    if len(ranges) == 1:
        out, places = pool_with_places(convolve(x, weight, bias), pool)
        return out.relu_(), places.to(nowhere.dtype) if keep else nowhere
    # This is one task on a CPU: `task_by_task` separates tasks, and other devices have one part. Each part writes into the final tensors.
    out = maps_like(x, weight, halved=pool)
    places = torch.empty_like(out, dtype=nowhere.dtype) if pool and keep else nowhere
    for part in ranges:
        out[part], found = pool_with_places(convolve(x[part], weight, bias), pool)
        if len(places):
            places[part] = found
    return out.relu_(), places  # without gradients, only a tangent needs the places, and it recomputes them


class _FoldedGradients(torch.autograd.Function):
    """(g, x, weight) → (dx, dweight, dbias). dx is empty where it is not needed. `out` and the places are constants here."""

    @staticmethod
    def forward(g: Tensor, x: Tensor, weight: Tensor, out: Tensor, places: Tensor, needs_x: bool) -> tuple[Tensor, ...]:
        return task_by_task(partial(_block_gradients, needs_x=needs_x), g, x, weight, out, places)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        *tensors, ctx.needs_x = inputs
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(*tensors)
        ctx.save_for_forward(*tensors)

    @staticmethod
    def backward(ctx: Any, p: Tensor | None, q: Tensor | None, s: Tensor | None) -> tuple[Tensor | None, ...]:
        g, x, weight, out, places = ctx.saved_tensors
        p = p if ctx.needs_x else None  # else p belongs to the empty dx
        dg = moved(x, weight, (p, q, s), places, out)
        q = q if ctx.needs_input_grad[1] else None  # only the gradient of x needs q
        if p is None and q is None:
            return dg, None, None, None, None, None
        G = spread(g * (out > 0), places, maps_like(x, weight))
        dx = None if q is None else convolution_gradients(G, x, q, (True, False))[0]
        dw = None if p is None else convolution_gradients(G, p, weight, (False, True))[1]
        return dg, dx, dw, None, None, None

    @staticmethod
    def jvp(ctx: Any, dg: Tensor | None, dx: Tensor | None, dw: Tensor | None, *_: None) -> tuple[Tensor, Tensor, Tensor]:
        g, x, weight, out, places = ctx.saved_tensors
        dg = torch.zeros_like(g) if dg is None else dg
        of_x, of_weight, of_bias = _FoldedGradients.apply(dg, x, weight, out, places, ctx.needs_x)  # type: ignore[no-untyped-call]
        G = spread(g * (out > 0), places, maps_like(x, weight))
        if dw is not None and ctx.needs_x:
            of_x = of_x + convolution_gradients(G, x, dw, (True, False))[0]
        if dx is not None:
            of_weight = of_weight + convolution_gradients(G, dx, weight, (False, True))[1]
        return of_x, of_weight, of_bias

    @staticmethod
    def vmap(info: Any, in_dims: Sequence[int | None], *arguments: Any) -> tuple[Any, Any]:
        return in_front(_FoldedGradients, info, in_dims, arguments)


def _block_gradients(g: Tensor, x: Tensor, weight: Tensor, out: Tensor, places: Tensor, needs_x: bool) -> tuple[Tensor, Tensor, Tensor]:
    """Return (dx, dweight, dbias), computed for a few images at a time."""
    dxs, dweight, dbias = [], torch.zeros_like(weight), torch.zeros_like(out[..., 0, :, 0, 0])
    for part in parts(x, weight):
        alive = torch.ops.aten.threshold_backward(g[part], out[part], 0)
        dbias += alive.sum(POSITIONS)
        G = spread(alive, places[part], maps_like(x[part], weight))
        dx, dw = convolution_gradients(G, x[part], weight, (needs_x, True))
        dweight += dw
        dxs.append(dx)
    return torch.cat(dxs) if needs_x else x.new_empty(0), dweight, dbias


def maps_like(x: Tensor, weight: Tensor, *, halved: bool = False) -> Tensor:
    """Return an empty tensor in the shape and layout of x ⋆ weight, or of its maxima (`halved`)."""
    *lead, _, H, W = x.shape
    width = weight.shape[-4]
    H, W = (H // 2, W // 2) if halved else (H, W)
    if x.flatten(0, -4).is_contiguous(memory_format=torch.channels_last):
        return x.new_empty(*lead, H, W, width).movedim(-1, -3)
    return x.new_empty(*lead, width, H, W)


def moved(x: Tensor, weight: Tensor, tangents: tuple[Tensor | None, Tensor | None, Tensor | None], places: Tensor, out: Tensor) -> Tensor:
    """Return the tangent of `out` for tangents of (x, weight, bias), in which it is linear. None stands for zero."""
    dx, dw, db = tangents
    total = torch.zeros_like(out) if db is None else along_channels(db).expand_as(out)
    if dx is not None:
        total = total + pick(convolve(dx, weight), places)
    if dw is not None:
        total = total + pick(convolve(x, dw), places)
    return total * (out > 0)
