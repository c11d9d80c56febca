"""The patches that a strided 3×3 convolution sees, one per row, so that the convolution becomes a matrix product.

They serve networks of many small tasks at once, whose weights differ from task to task. A batched product is several times as fast as a
grouped convolution, and rows keep their order in memory from one layer to the next. `patches` is linear and `unpatch` is its transpose, so
each is the derivative of the other.
"""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from kshot.backbones.kernels.task_convolution import in_front

_SIDE, _STRIDE, _PAD = 3, 2, 1


def patches(x: Tensor) -> Tensor:
    """Return the 3×3 patches of images padded by one pixel, at every second row and column.

    Args:
        x: (…, M, H, W, C), channels last.

    Returns:
        (…, M·h·w, 9·C) with h = ⌈H / 2⌉ and w = ⌈W / 2⌉. The 9·C numbers of a patch are in the order row, column, channel.
    """
    rows: Tensor = _Patches.apply(x)  # type: ignore[no-untyped-call]  # torch's own
    return rows


def unpatch(rows: Tensor, shape: Sequence[int]) -> Tensor:
    """Apply the transpose of `patches`: add each number to the pixel that `patches` took it from.

    Args:
        rows: (…, M·h·w, 9·C).
        shape: Shape of the images, (…, M, H, W, C).
    """
    image: Tensor = _Unpatch.apply(rows, tuple(shape))  # type: ignore[no-untyped-call]
    return image


def halved(side: int) -> int:
    """Return ⌈side / 2⌉, the side of the maps that a convolution of stride 2 makes."""
    return (side + 1) // _STRIDE


class _Patches(torch.autograd.Function):
    """x (…, M, H, W, C) → (…, M·h·w, 9·C)."""

    @staticmethod
    def forward(x: Tensor) -> Tensor:
        lead, C = x.shape[:-4], x.shape[-1]
        padded = F.pad(x.flatten(0, -4), (0, 0, _PAD, _PAD, _PAD, _PAD))
        windows = padded.unfold(1, _SIDE, _STRIDE).unfold(2, _SIDE, _STRIDE)  # (M, h, w, C, 3, 3)
        return windows.permute(0, 1, 2, 4, 5, 3).reshape(*lead, -1, _SIDE * _SIDE * C)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        ctx.shape = inputs[0].shape

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Tensor:
        return unpatch(g, ctx.shape)

    @staticmethod
    def jvp(ctx: Any, dx: Tensor) -> Tensor:
        return patches(dx)

    @staticmethod
    def vmap(info: Any, in_dims: Sequence[int | None], x: Tensor) -> tuple[Any, Any]:
        return in_front(_Patches, info, in_dims, (x,))


class _Unpatch(torch.autograd.Function):
    """rows (…, M·h·w, 9·C) → (…, M, H, W, C)."""

    @staticmethod
    def forward(rows: Tensor, shape: tuple[int, ...]) -> Tensor:
        *lead, M, H, W, C = shape
        h, w = halved(H), halved(W)
        windows = rows.reshape(-1, h, w, _SIDE, _SIDE, C)
        image = rows.new_zeros(len(windows), H + 2 * _PAD, W + 2 * _PAD, C)
        for down in range(_SIDE):
            for right in range(_SIDE):
                image[:, down : down + _STRIDE * h : _STRIDE, right : right + _STRIDE * w : _STRIDE] += windows[:, :, :, down, right]
        return image.view(*lead, M, *image.shape[1:])[..., _PAD : _PAD + H, _PAD : _PAD + W, :]

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        ctx.shape = inputs[1]

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor, None]:
        return patches(g), None

    @staticmethod
    def jvp(ctx: Any, drows: Tensor, _: None) -> Tensor:
        return unpatch(drows, ctx.shape)

    @staticmethod
    def vmap(info: Any, in_dims: Sequence[int | None], rows: Tensor, shape: tuple[int, ...]) -> tuple[Any, Any]:
        return in_front(_Unpatch, info, in_dims, (rows, (info.batch_size, *shape)))
