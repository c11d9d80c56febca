"""Pictures at another size, in NumPy alone, bit for bit as PyTorch's CPU kernels make them.

Learners were trained on drawings that `torch.nn.functional.interpolate` had resized. A user's picture is brought to the same form without
PyTorch, so these are its formulas in its precision (`aten/src/ATen/native/cpu/UpSampleKernel.cpp`): 16-bit weights for bytes, float32 for
floats. `enlarge_linear`, which serves the paper alone, rounds otherwise. In: arrays. Out: arrays of another size. Next: `ink` and `paper`.
"""

from collections.abc import Callable
from functools import lru_cache

import numpy as np

_MOST_BITS = 22
"""PyTorch's limit on the fraction bits of its 16-bit weights."""
_AT_ONCE = 16
"""Pictures that are resized together: enough for long loops in NumPy, few enough for a processor's cache."""
_BLOCK = 16384
"""New values that are computed together, likewise."""


def resize_bytes(pictures: np.ndarray, size: int) -> np.ndarray:
    """Square pictures at another size, averaged over the area that each new pixel covers.

    Equal to `interpolate(mode="bilinear", antialias=True)` of a uint8 tensor.

    Args:
        pictures: uint8 (..., H, H).
        size: The new side.

    Returns:
        uint8 (..., size, size).
    """
    side = pictures.shape[-1]
    if size == side:
        return pictures.copy()
    taps, bits = _whole_taps(side, size)
    squares = pictures.reshape(-1, side, side)
    resized = np.empty((len(squares), size, size), np.uint8)
    for start in range(0, len(squares), _AT_ONCE):
        some = squares[start : start + _AT_ONCE]  # (M, H, H)
        wide = _weighted(some.transpose(2, 0, 1), taps, bits)  # (size, M, H)
        small = _weighted(wide.transpose(2, 1, 0), taps, bits)  # rows (size, M, size)
        resized[start : start + _AT_ONCE] = small.transpose(1, 0, 2)
    return resized.reshape(*pictures.shape[:-2], size, size)


def resize_cubic(values: np.ndarray, rows: int, columns: int, *, averaged: bool) -> np.ndarray:
    """Values on a grid of another size, by cubic interpolation.

    Equal to `interpolate(mode="bicubic", antialias=averaged)` of a float32 tensor, but for the last bit of some values.

    Args:
        values: float32 (H, W).
        rows: The new height.
        columns: The new width.
        averaged: Whether each new value is averaged over the area that it covers, as is right where the grid becomes coarser.

    Returns:
        float32 (rows, columns).
    """
    height, width = values.shape
    table = _cubic_area_taps if averaged else _cubic_taps
    wide = _along_first(values.T, table(width, columns))  # (columns, H)
    return _along_first(wide.T, table(height, rows))


def enlarge_linear(grid: np.ndarray, factor: int) -> np.ndarray:
    """A grid `factor` times as fine, by linear interpolation.

    Equal to `interpolate(mode="bilinear")` of a float32 tensor but for rounding. Between equal values, all are the same, to the bit.

    Args:
        grid: float32 (C, rows, columns).
        factor: How many new cells there are for each old one.

    Returns:
        float32 (C, rows · factor, columns · factor).
    """
    wide = _finer_rows(grid.transpose(0, 2, 1), factor)  # (C, columns · factor, rows)
    return _finer_rows(wide.transpose(0, 2, 1), factor)


Taps = tuple[np.ndarray, np.ndarray]
"""Which old cells make each new one, int (new, taps), and with what weights, (new, taps)."""


def slide(join: np.ufunc, values: np.ndarray, side: int) -> np.ndarray:
    """Join (`np.add`, `np.maximum`) the values of each square window.

    Args:
        join: Joins two arrays; it is associative, as sums of whole numbers are.
        values: (H, W).
        side: Side of a window, in cells.

    Returns:
        (H - side + 1, W - side + 1), one entry per window.
    """
    for _ in range(2):  # along the columns, then along the rows
        joined, length = values, 1
        for bit in f"{side:b}"[1:]:  # two windows make one of twice the length
            joined, length = join(joined[:-length], joined[length:]), 2 * length
            if bit == "1":
                joined, length = join(joined[:-1], values[length:]), length + 1
        values = joined.T
    return values


@lru_cache(64)
def _whole_taps(before: int, after: int) -> tuple[Taps, int]:
    """Give taps with whole weights, and how many of their bits stand behind the point."""
    places, weights = _area_taps(before, after, 1.0, lambda x: np.clip(1 - x, 0, None), np.float64)
    bits = next((bits for bits in range(_MOST_BITS) if int(0.5 + weights.max() * (1 << (bits + 1))) >= 1 << 15), _MOST_BITS)
    return (places, np.floor(0.5 + weights * (1 << bits)).astype(np.int32)), bits


def _weighted(values: np.ndarray, taps: Taps, bits: int) -> np.ndarray:
    """(before, ...) uint8 -> (after, ...) uint8, rounded at the point.

    Not by a product of matrices, which would start threads for every picture.
    """
    rows = values.astype(np.int32, order="C")
    places, weights = taps
    sums: np.ndarray = np.einsum("pt...,pt->p...", rows[places], weights)  # of whole numbers: NumPy's own loop, in one thread
    sums += 1 << (bits - 1)
    sums >>= bits
    return sums.astype(np.uint8)


def _area_taps(before: int, after: int, reach: float, kernel: Callable[[np.ndarray], np.ndarray], dtype: type[np.floating]) -> Taps:
    """Each new cell is a weighted mean of what it covers, at least of the `reach` old cells to each side."""
    one, half = dtype(1), dtype(0.5)
    scale = dtype(before) / dtype(after)
    support = dtype(reach) * max(scale, one)
    narrowing = one / max(scale, one)
    middle = scale * (np.arange(after).astype(dtype) + half)  # (after,)
    most = int(np.ceil(support)) * 2 + 1
    first = np.maximum((middle - support + half).astype(np.int64), 0)
    count = np.clip(np.minimum((middle + support + half).astype(np.int64), before) - first, 0, most)
    tap = np.arange(most)
    distance = np.abs(((tap + first[:, None]).astype(dtype) - middle[:, None] + half) * narrowing)
    weights = np.where(tap < count[:, None], kernel(distance), dtype(0)).astype(dtype)  # (after, most)
    total = np.zeros(after, dtype)
    for column in weights.T:  # one after another, as rounding depends on the order
        total += column
    return np.minimum(first[:, None] + tap, before - 1), weights / total[:, None]


def _cubic_area_taps(before: int, after: int) -> Taps:
    return _area_taps(before, after, 2.0, lambda x: _keys(x, np.float32(-0.5)), np.float32)


def _cubic_taps(before: int, after: int) -> Taps:
    where = _fused(np.float32(before) / np.float32(after), np.arange(after, dtype=np.float32) + np.float32(0.5), np.float32(-0.5))
    floor = np.floor(where)
    beyond = where - floor  # (after,)
    distances = np.stack([beyond + 1, beyond, 1 - beyond, (1 - beyond) + 1], 1)
    return np.clip(floor[:, None].astype(np.int64) + np.arange(-1, 3), 0, before - 1), _keys(distances, np.float32(-0.75))


def _finer_rows(grid: np.ndarray, factor: int) -> np.ndarray:
    """(C, rows, W) float32 -> (C, rows · factor, W): new rows between the middles of two old ones, and the outer ones beyond them."""
    channels, rows, width = grid.shape
    edged = np.pad(grid, ((0, 0), (1, 1), (0, 0)), mode="edge")
    before = edged[:, :-1, None]
    share = (np.arange(factor, dtype=np.float32) + np.float32(0 if factor % 2 else 0.5)) / np.float32(factor)
    between = (edged[:, 1:, None] - before) * share[:, None]  # (C, rows + 1, factor, W)
    between += before
    first = (factor + 1) // 2
    finer: np.ndarray = between.reshape(channels, (rows + 1) * factor, width)[:, first : first + rows * factor]
    return finer


def _keys(x: np.ndarray, a: np.float32) -> np.ndarray:
    """The cubic kernel of R. Keys (1981) at distances x, with the slope `a` at 1."""
    near = _fused(_fused(a + 2, x, -(a + 3)) * x, x, np.float32(1))
    far = _fused(_fused(_fused(a, x, -5 * a), x, 8 * a), x, -4 * a)
    return np.where(x < 1, near, np.where(x < 2, far, np.float32(0)))


def _along_first(values: np.ndarray, taps: Taps) -> np.ndarray:
    """(before, ...) float32 -> (after, ...), each product added to the sum in one rounding, as a fused multiply-add does.

    Two roundings would make specks of even paper: the weights of its equal values would not add up to one.
    """
    places, weights = taps
    exact = values.astype(np.float64, order="C")  # in which a product of two float32 has room
    after = np.empty((len(places), *values.shape[1:]), np.float32)
    block = max(1, _BLOCK // max(1, values[0].size))
    for start in range(0, len(places), block):
        rows = slice(start, start + block)
        sums = after[rows]
        for number in range(places.shape[1]):
            product = exact.take(places[rows, number], axis=0)
            product *= weights[rows, number].reshape(-1, *(1 for _ in values.shape[1:]))
            if number:
                product += sums
            sums[...] = product
    return after


def _fused(a: np.ndarray | np.floating, b: np.ndarray, c: np.ndarray | np.floating) -> np.ndarray:
    """Return a · b + c of float32 with one rounding, as compilers make it."""
    whole: np.ndarray = (np.multiply(a, b, dtype=np.float64) + c).astype(np.float32)
    return whole
