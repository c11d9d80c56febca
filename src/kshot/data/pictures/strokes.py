"""Morphology of strokes: pure functions on two-dimensional boolean masks, ink True.

In: masks of ink, as `paper` finds them. Out: their parts, their skeletons, and strokes of a given pen. Next: `ink`.
"""

from typing import NamedTuple

import numpy as np

_AROUND = ((-1, 0), (-1, 1), (0, 1), (1, 1), (1, 0), (1, -1), (0, -1), (-1, -1))
"""The eight neighbours, clockwise from the one above: P2 to P9 of Zhang and Suen. Bit i of a neighbour code is neighbour i."""


class Parts(NamedTuple):
    """The connected parts of a mask. Each is runs of ink: pixels that follow each other in a row.

    Attributes:
        row, start, end: int64 (runs,): a run is the pixels from start to before end of its row; in reading order.
        part: int64 (runs,), which part each run belongs to, from 0, in reading order of their first pixels.
        number: How many parts there are.
        mask: bool (H, W), the mask.
    """

    row: np.ndarray
    start: np.ndarray
    end: np.ndarray
    part: np.ndarray
    number: int
    mask: np.ndarray

    @property
    def areas(self) -> np.ndarray:
        """How many pixels each part has, int64 (number,)."""
        return np.bincount(self.part, self.end - self.start, self.number).astype(np.int64)

    @property
    def numbers(self) -> np.ndarray:
        """Which part each pixel of the mask belongs to, int64 (pixels,), in reading order."""
        return np.repeat(self.part, self.end - self.start)

    def chosen(self, keep: np.ndarray) -> np.ndarray:
        """Return the mask of the parts that `keep`, bool (number,), chooses: bool (H, W)."""
        kept = np.zeros_like(self.mask)
        kept[self.mask] = keep[self.numbers]
        return kept


def parts_of(mask: np.ndarray, *, diagonal: bool = True) -> Parts:
    """Find the connected parts of a mask.

    Args:
        mask: bool (H, W).
        diagonal: Whether pixels that touch at a corner belong together.

    Example:
        >>> parts_of(np.array([[1, 0, 0], [0, 1, 0], [0, 0, 0], [0, 0, 1]], dtype=bool)).number
        2
    """
    wide = mask.shape[1] + 2  # between two rows lie two empty pixels, so that runs of different rows neither meet nor touch at a corner
    padded = np.zeros((mask.shape[0], wide), dtype=bool)
    padded[:, 1:-1] = mask
    line = padded.reshape(-1)
    edges = np.flatnonzero(line[1:] ^ line[:-1]) + 1
    starts, ends = edges[::2], edges[1::2]
    reach = int(diagonal)
    lowest = np.searchsorted(ends, starts + (wide - reach), side="right")  # the runs of the next row that touch each run
    beyond = np.searchsorted(starts, ends + (wide + reach), side="left")
    counts = beyond - lowest
    first = np.repeat(np.arange(starts.size), counts)
    second = np.arange(first.size) + np.repeat(lowest - np.cumsum(counts) + counts, counts)
    root = _joined(first, second, starts.size)
    is_root = root == np.arange(starts.size)
    row = starts // wide
    before = row * wide + 1
    # Roots are first runs, so that parts are numbered in reading order.
    return Parts(row, starts - before, ends - before, (np.cumsum(is_root) - 1)[root], int(is_root.sum()), mask)


def _joined(first: np.ndarray, second: np.ndarray, count: int) -> np.ndarray:
    """Find for each of `count` things the first thing that it is connected to by pairs (first, second), int64 (number,)."""
    root = np.arange(count)
    while True:  # join the larger root to the smaller, then let each thing point at its root; a few rounds, however long a stroke
        low, high = np.minimum(root[first], root[second]), np.maximum(root[first], root[second])
        apart = low != high
        if not apart.any():
            return root
        first, second, low, high = first[apart], second[apart], low[apart], high[apart]
        np.minimum.at(root, high, low)
        while True:
            further = root[root]
            if np.array_equal(root, further):
                break
            root = further


def prune(skeleton: np.ndarray, length: int) -> np.ndarray:
    """Cut the burrs of a skeleton: side branches of up to `length` pixels from their fork to their end.

    Args:
        skeleton: bool (H, W), one pixel wide.
        length: The longest branch that is cut, in pixels.

    Returns:
        bool (H, W), a subset: at most the pixel beside the fork is left of each burr. Other lines keep their length.
    """
    padded = np.pad(skeleton, 1)
    line = padded.reshape(-1)
    pixels = np.flatnonzero(line)
    around = np.array([down * padded.shape[1] + right for down, right in _AROUND])
    code = np.packbits(line[pixels[:, None] + around].reshape(-1), bitorder="little")
    if length < 1 or not _FORKS[code].any():
        return skeleton
    fork, end = np.zeros_like(skeleton), np.zeros_like(skeleton)
    fork[skeleton], end[skeleton] = _FORKS[code], _ENDS[code]
    parts = parts_of(skeleton & ~grow(fork, 1))  # the neighbours of a fork touch each other across it
    ends = np.bincount(parts.numbers, end[parts.mask], parts.number) > 0
    forked = np.bincount(parts.numbers, grow(fork, 2)[parts.mask], parts.number) > 0
    kept: np.ndarray = skeleton & ~parts.chosen(ends & forked & (parts.areas < length))
    return kept


def grow(mask: np.ndarray, reach: int) -> np.ndarray:
    """Grow a mask to all pixels up to `reach` away, along rows, columns and diagonals alike."""
    return _along_rows(_along_rows(mask, reach).T, reach).T


def draw_points(rows: np.ndarray, columns: np.ndarray, side: int, diameter: float) -> np.ndarray:
    """Set down a round pen at each point.

    Args:
        rows: Rows of the points, in pixels of the canvas, float (n,); points outside the canvas are clipped to its edge.
        columns: Columns of the points, likewise.
        side: Side of the square canvas, in pixels.
        diameter: Diameter of the pen, in pixels.

    Returns:
        bool (side, side).
    """
    canvas = np.zeros((side, side), dtype=bool)
    canvas[np.clip(np.rint(rows), 0, side - 1).astype(np.int64), np.clip(np.rint(columns), 0, side - 1).astype(np.int64)] = True
    drawn = np.zeros_like(canvas)
    radius = diameter / 2
    row, wide = canvas, 0
    for down in range(min(int(radius), side - 1), -1, -1):  # a disk is a stack of rows, the narrowest at its top and bottom
        half = int((radius * radius - down * down) ** 0.5)
        row, wide = _along_rows(row, half - wide), half
        drawn[down:] |= row[: side - down]
        drawn[: side - down] |= row[down:]
    return drawn


def pen_width(mask: np.ndarray, skeleton: np.ndarray) -> float:
    """Estimate the width of the pen that drew the mask, in pixels: its area over the length of its skeleton (a diagonal step counts √2).

    Args:
        mask: bool (H, W), with some ink.
        skeleton: The mask, thinned by `thin`.
    """
    straight = _count(skeleton[1:] & skeleton[:-1]) + _count(skeleton[:, 1:] & skeleton[:, :-1])
    diagonal = _count(skeleton[1:, 1:] & skeleton[:-1, :-1]) + _count(skeleton[1:, :-1] & skeleton[:-1, 1:])
    length = straight + diagonal * 2**0.5
    area = float(_count(mask))
    # A pen that stays in one place draws a disk. Along a line, it draws a band as long as the line and half a disk at each end.
    return float((-length + (length * length + np.pi * area) ** 0.5) * 2 / np.pi)


def _along_rows(mask: np.ndarray, reach: int) -> np.ndarray:
    """Grow a mask to the left and right: a pixel is set when its row has ink within `reach` of it."""
    grown, width = mask, mask.shape[1]
    done, most = 0, min(reach, width - 1)
    while done < most:  # twice as far each time, as far as there is no gap
        step = min(most - done, 2 * done + 1)
        wider = grown.copy(order="K")
        wider[:, step:] |= grown[:, :-step]
        wider[:, :-step] |= grown[:, step:]
        grown, done = wider, done + step
    return grown


def _count(mask: np.ndarray) -> int:
    return int(np.count_nonzero(mask))


def _tables() -> tuple[np.ndarray, np.ndarray]:
    """List what each of the 256 neighbour codes means: an end of a line; a fork."""
    p = (np.arange(256)[:, None] >> np.arange(8)) & 1  # (256, 8): columns are P2 … P9
    changes = ((p == 0) & (np.roll(p, -1, axis=1) == 1)).sum(1)  # A(P1): 0 → 1 around the pixel
    neighbours = p.sum(1)
    return (neighbours == 1) | ((neighbours == 2) & (changes == 1)), changes >= 3


_ENDS, _FORKS = _tables()
