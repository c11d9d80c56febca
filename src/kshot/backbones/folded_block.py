"""3×3 convolution → 2×2 max-pooling → ReLU, for a block whose normalisation is folded into the weights.

With known statistics, normalisation is one more scale and shift of each filter. The operator keeps its input, its output and the places
of the maxima, never the maps between, which are four times its output; it makes them a few images at a time, while they fit in the cache.
A few images alone are left to PyTorch's own operations.

    out = relu((x ⋆ W + b)[places])                        ⋆ is the convolution; places: of the maxima

It is linear in (W, b) and in x once the places and the mask of ReLU are fixed, as they are almost everywhere. So with G, the gradient of
`out` where `out` is positive, spread from the places:

    dW = ∂⟨x ⋆ W, G⟩/∂W,  db = Σ G,  dx = ∂⟨x ⋆ W, G⟩/∂x

and for cotangents (p, q, s) of (dx, dW, db)

    dg = (p ⋆ W + x ⋆ q + s)[places],  dW = ∂⟨p ⋆ W, G⟩/∂W,  dx = ∂⟨x ⋆ q, G⟩/∂x

each an operation that PyTorch differentiates again.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from kshot.backbones.pooling import pick, pool_with_places, spread
from kshot.backbones.task_channels import along_channels, fold, fold_weight, split, unfold

_POSITIONS = (0, 2, 3)
_FEW_PATCHES = 2**10
_FEW_CHANNELS, _MANY_CHANNELS = 3, 16
_CACHE = 2**19  # numbers of one part's maps: 2 MB of float32, which was quickest


def folded_block(x: Tensor, weight: Tensor, bias: Tensor, *, pool: bool) -> Tensor:
    """relu(pool(x ⋆ weight + bias)).

    Args:
        x: (M, C, H, W), of the dtype of the weights.
        weight: (width, C, 3, 3).
        bias: (width,).
        pool: Whether to pool.

    Returns:
        (M, width, H // 2, W // 2), or (M, width, H, W) without pooling.
    """
    if maps_are_small(x, weight):
        maps = convolve(x, weight, bias, 1)
        return F.relu(F.max_pool2d(maps, 2) if pool else maps)
    out: Tensor = _FoldedBlock.apply(x, weight, bias, pool, 1, torch.is_grad_enabled())[0]  # type: ignore[no-untyped-call]  # torch's own
    return out


def maps_are_small(x: Tensor, weight: Tensor) -> bool:
    """Whether the maps x ⋆ weight fit in the cache as they are; PyTorch's own operations are then the quickest."""
    return len(x) * len(weight) * x.shape[2] * x.shape[3] <= _CACHE


def parts(x: Tensor, weight: Tensor) -> Iterator[slice]:
    """Ranges of images whose maps fit in the cache; one range on a device that is not a CPU."""
    images, maps = len(x), max(1, len(weight) * x.shape[2] * x.shape[3])
    step = max(1, _CACHE // maps) if x.device.type == "cpu" else max(1, images)
    return (slice(first, min(first + step, images)) for first in range(0, max(1, images), step))


def convolve(x: Tensor, weight: Tensor, bias: Tensor | None, groups: int) -> Tensor:
    """The convolution x ⋆ weight + bias, in the size of x; differentiable.

    The first layer of many tasks, of many groups of few channels, is a product with the patches of each group: the library takes up to ten
    times as long for it, and lays its maps out so that pooling takes seven times as long.
    """
    if not _thin_groups(x, groups):
        return F.conv2d(x, weight, bias, padding=1, groups=groups)
    patches = _grouped_patches(x, groups)
    products = torch.bmm(patches, weight.reshape(groups, -1, patches.shape[2]).mT)  # (groups, M·H·W, filters)
    by_group = products.view(groups, len(x), *x.shape[2:], -1)  # (groups, M, H, W, filters)
    maps = by_group.permute(1, 2, 3, 0, 4).flatten(3).permute(0, 3, 1, 2)
    return maps if bias is None else maps + along_channels(bias)


def _thin_groups(x: Tensor, groups: int) -> bool:
    """Whether there are many groups of few channels."""
    return groups > 1 and x.shape[1] <= _FEW_CHANNELS * groups and x.device.type == "cpu"


def _grouped_patches(x: Tensor, groups: int) -> Tensor:
    """Of each group, (groups, M·H·W, C·9)."""
    windows = F.pad(x, (1, 1, 1, 1)).unfold(2, 3, 1).unfold(3, 3, 1)  # (M, groups·C, H, W, 3, 3)
    apart = windows.view(len(x), groups, -1, *windows.shape[2:])  # (M, groups, C, H, W, 3, 3)
    return apart.permute(1, 0, 3, 4, 2, 5, 6).flatten(4).flatten(1, 3)


def convolution_gradients(G: Tensor, x: Tensor, weight: Tensor, groups: int, needs: Sequence[bool]) -> tuple[Tensor, Tensor]:
    """Gradients of ⟨x ⋆ weight, G⟩ with respect to x and to weight, those which are needed; differentiable."""
    if _thin_groups(x, groups) and not needs[0]:
        by_group = G.permute(0, 2, 3, 1).reshape(-1, groups, len(weight) // groups).permute(1, 2, 0)  # (groups, filters, M·H·W)
        return x.new_empty(0), torch.bmm(by_group, _grouped_patches(x, groups)).reshape(weight.shape)
    mask = [*needs, False]
    dx, dw, _ = torch.ops.aten.convolution_backward(G, x, weight, None, [1, 1], [1, 1], [1, 1], False, [0, 0], groups, mask)
    return dx, dw


def filter_gradients(G: Tensor, x: Tensor, weight: Tensor, groups: int) -> Tensor:
    """Gradient of ⟨x ⋆ weight, G⟩ with respect to weight; differentiable.

    For the few images of a support set, on a CPU with channels innermost, it is a product with the patches of x: 1.1 to 1.6 times as fast
    as the convolution library's own. For more images the library is as fast or faster.
    """
    M, C, H, W = x.shape
    innermost = x.stride(1) == 1 == G.stride(1)
    if groups > 1 or x.device.type != "cpu" or C < _MANY_CHANNELS or M * H * W > _FEW_PATCHES or not innermost:
        return convolution_gradients(G, x, weight, groups, (False, True))[1]
    windows = F.pad(x.permute(0, 2, 3, 1), (0, 0, 1, 1, 1, 1)).unfold(1, 3, 1).unfold(2, 3, 1)  # (M, H, W, C, 3, 3)
    patches = windows.permute(0, 1, 2, 4, 5, 3).reshape(-1, 9 * C)
    product = G.permute(0, 2, 3, 1).reshape(-1, len(weight)).mT @ patches  # (width, 9·C)
    return product.view(len(weight), 3, 3, C).permute(0, 3, 1, 2)


class _FoldedBlock(torch.autograd.Function):
    """(x, weight, bias) → out, and the places."""

    @staticmethod
    def forward(x: Tensor, weight: Tensor, bias: Tensor, pool: bool, groups: int, keep: bool) -> tuple[Tensor, Tensor]:
        outs, kept = [], []
        for part in parts(x, weight):
            top, places = pool_with_places(convolve(x[part], weight, bias, groups), pool)
            outs.append(top.relu_())
            kept.append(places)
        out = outs[0] if len(outs) == 1 else torch.cat(outs)
        if not keep or not pool:  # without gradients only a tangent wants the places, and it finds them again
            return out, x.new_empty(0, dtype=torch.int64)
        return out, kept[0] if len(kept) == 1 else torch.cat(kept)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
        x, weight, bias, ctx.pool, ctx.groups, _ = inputs
        out, places = output
        ctx.mark_non_differentiable(places)
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(x, weight, out, places)
        ctx.save_for_forward(x, weight, bias, out, places)

    @staticmethod
    def backward(ctx: Any, g: Tensor | None, _: None) -> tuple[Tensor | None, ...]:
        if g is None:
            return None, None, None, None, None, None
        needs_x = ctx.needs_input_grad[0]
        dx, dw, db = _FoldedGradients.apply(g, *ctx.saved_tensors, ctx.groups, needs_x)  # type: ignore[no-untyped-call]  # torch's own
        return dx if needs_x else None, dw, db, None, None, None

    @staticmethod
    def jvp(ctx: Any, dx: Tensor | None, dw: Tensor | None, db: Tensor | None, *_: None) -> tuple[Tensor | None, None]:
        x, weight, bias, out, places = ctx.saved_tensors
        if ctx.pool and places.numel() == 0:
            with torch.no_grad():
                places = pool_with_places(convolve(x, weight, bias, ctx.groups), True)[1]
        return moved(x, weight, (dx, dw, db), places, out, ctx.groups), None

    @staticmethod
    def vmap(info: Any, in_dims: Sequence[int | None], *arguments: Any) -> tuple[Any, Any]:
        x, weight, bias, pool, groups, keep = arguments
        of_x, of_weight, of_bias, *_ = in_dims
        tasks = info.batch_size
        if of_weight is None and of_bias is None:  # tasks are but more images
            images = x.movedim(of_x, 0)  # (B, M, C, H, W)
            results = _FoldedBlock.apply(images.flatten(0, 1), weight, bias, pool, groups, keep)  # type: ignore[no-untyped-call]
            dims = tuple(None if result.numel() == 0 else 0 for result in results)
            return tuple(r if r.numel() == 0 else split(r, 0, tasks) for r in results), dims
        x, weight, bias = fold(x, of_x, tasks), fold_weight(weight, of_weight, tasks), fold(bias, of_bias, tasks)
        return unfold(_FoldedBlock.apply(x, weight, bias, pool, groups * tasks, keep), tasks)  # type: ignore[no-untyped-call]


class _FoldedGradients(torch.autograd.Function):
    """(g, x, weight) → (dx, dweight, dbias), an empty dx where it is not needed; `out` and the places are constants here."""

    @staticmethod
    def forward(
        g: Tensor, x: Tensor, weight: Tensor, out: Tensor, places: Tensor, groups: int, needs_x: bool
    ) -> tuple[Tensor, Tensor, Tensor]:
        dxs, dweight, dbias = [], torch.zeros_like(weight), torch.zeros_like(out[0, :, 0, 0])
        for part in parts(x, weight):
            alive = torch.ops.aten.threshold_backward(g[part], out[part], 0)
            dbias += alive.sum(_POSITIONS)
            G = spread(alive, places[part], maps_like(x[part], weight))
            dx, dw = convolution_gradients(G, x[part], weight, groups, (needs_x, True))
            dweight += dw
            dxs.append(dx)
        return torch.cat(dxs) if needs_x else x.new_empty(0), dweight, dbias

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        *tensors, ctx.groups, ctx.needs_x = inputs
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(*tensors)
        ctx.save_for_forward(*tensors)

    @staticmethod
    def backward(ctx: Any, p: Tensor | None, q: Tensor | None, s: Tensor | None) -> tuple[Tensor | None, ...]:
        g, x, weight, out, places = ctx.saved_tensors
        p = p if ctx.needs_x else None  # of the empty tensor
        dg = moved(x, weight, (p, q, s), places, out, ctx.groups)
        G = spread(g * (out > 0), places, maps_like(x, weight))
        dx = None if q is None else convolution_gradients(G, x, q, ctx.groups, (True, False))[0]
        dw = None if p is None else convolution_gradients(G, p, weight, ctx.groups, (False, True))[1]
        return dg, dx, dw, None, None, None, None

    @staticmethod
    def jvp(ctx: Any, dg: Tensor | None, dx: Tensor | None, dw: Tensor | None, *_: None) -> tuple[Tensor, Tensor, Tensor]:
        g, x, weight, out, places = ctx.saved_tensors
        dg = torch.zeros_like(g) if dg is None else dg
        of_x, of_weight, of_bias = _FoldedGradients.apply(dg, x, weight, out, places, ctx.groups, ctx.needs_x)  # type: ignore[no-untyped-call]
        G = spread(g * (out > 0), places, maps_like(x, weight))
        if dw is not None and ctx.needs_x:
            of_x = of_x + convolution_gradients(G, x, dw, ctx.groups, (True, False))[0]
        if dx is not None:
            of_weight = of_weight + convolution_gradients(G, dx, weight, ctx.groups, (False, True))[1]
        return of_x, of_weight, of_bias

    @staticmethod
    def vmap(info: Any, in_dims: Sequence[int | None], *arguments: Any) -> tuple[Any, Any]:
        g, x, weight, out, places, groups, needs_x = arguments
        tasks = info.batch_size
        g, x, out, places = (fold(v, d, tasks) for v, d in zip((g, x, out, places), (*in_dims[:2], *in_dims[3:5]), strict=True))
        weight = fold_weight(weight, in_dims[2], tasks)
        dx, dw, db = _FoldedGradients.apply(g, x, weight, out, places, groups * tasks, needs_x)  # type: ignore[no-untyped-call]
        (dx, db), (of_x, of_bias) = unfold((dx, db), tasks)
        return (dx, split(dw, 0, tasks), db), (of_x, 0, of_bias)


def maps_like(x: Tensor, weight: Tensor) -> Tensor:
    """An empty tensor in the shape and layout of x ⋆ weight."""
    M, _, H, W = x.shape
    if x.is_contiguous(memory_format=torch.channels_last):
        return x.new_empty(M, H, W, len(weight)).permute(0, 3, 1, 2)
    return x.new_empty(M, len(weight), H, W)


def moved(
    x: Tensor, weight: Tensor, tangents: tuple[Tensor | None, Tensor | None, Tensor | None], places: Tensor, out: Tensor, groups: int
) -> Tensor:
    """The tangent of `out` for tangents of (x, weight, bias), None for zero; it is linear in them."""
    dx, dw, db = tangents
    total = torch.zeros_like(out) if db is None else along_channels(db).expand_as(out)
    if dx is not None:
        total = total + pick(convolve(dx, weight, None, groups), places)
    if dw is not None:
        total = total + pick(convolve(x, dw, None, groups), places)
    return total * (out > 0)
