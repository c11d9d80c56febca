"""Morphology of strokes: pure functions on two-dimensional boolean masks, ink True.

In: masks of ink, as `paper` finds them. Out: their parts, their skeletons, and strokes of a given pen. Next: `ink`.
"""

import numpy as np

_AROUND = ((-1, 0), (-1, 1), (0, 1), (1, 1), (1, 0), (1, -1), (0, -1), (-1, -1))
"""The eight neighbours, clockwise from the one above: P2 to P9 of Zhang and Suen. Bit i of a neighbour code is neighbour i."""


def parts_of(mask: np.ndarray, *, diagonal: bool = True) -> tuple[np.ndarray, int]:
    """Number the connected parts of a mask.

    Args:
        mask: bool (H, W).
        diagonal: Whether pixels that touch at a corner belong together.

    Returns:
        int64 (H, W): 0 outside the mask, and 1 to n in the parts, in reading order of their first pixels; and n.

    Example:
        >>> parts_of(np.array([[1, 0, 0], [0, 1, 0], [0, 0, 0], [0, 0, 1]], dtype=bool))[1]
        2
    """
    height, width = mask.shape
    numbers = np.full((height + 2, width + 2), -1, dtype=np.int64)
    numbers[1:-1, 1:-1][mask] = np.arange(int(mask.sum()))
    inside = numbers[1:-1, 1:-1]
    pairs = []
    for down, right in ((0, 1), (1, 0), (1, 1), (1, -1)) if diagonal else ((0, 1), (1, 0)):
        other = numbers[1 + down : 1 + down + height, 1 + right : 1 + right + width]
        both = (inside >= 0) & (other >= 0)
        pairs.append(np.stack([inside[both], other[both]]))
    first, second = np.concatenate(pairs, axis=1)
    root = np.arange(int(mask.sum()))
    while True:  # join the larger root to the smaller, then let each pixel point at its root; a few rounds, however long a stroke
        low, high = np.minimum(root[first], root[second]), np.maximum(root[first], root[second])
        apart = low != high
        if not apart.any():
            break
        first, second, low, high = first[apart], second[apart], low[apart], high[apart]
        np.minimum.at(root, high, low)
        while not np.array_equal(root, root[root]):
            root = root[root]
    roots, part = np.unique(root, return_inverse=True)
    labels = np.zeros(mask.shape, dtype=np.int64)
    labels[mask] = part + 1
    return labels, int(roots.size)


def thin(mask: np.ndarray) -> np.ndarray:
    """Thin a mask to its skeleton, one pixel wide and connected as the mask is.

    T. Y. Zhang and C. Y. Suen, "A fast parallel algorithm for thinning digital patterns", CACM 1984, with two departures:
    a last pass removes the corner pixels of staircases, so that each pixel of a line has two neighbours; and a part that the
    passes would remove completely, such as a square of 2 × 2, keeps its middle pixel.

    Args:
        mask: bool (H, W).

    Returns:
        bool (H, W), a subset of the mask.
    """
    if not mask.any():
        return mask.copy()
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    box = (slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1))
    whole = np.zeros_like(mask)
    whole[box] = _thin_box(mask[box])
    return whole


def prune(skeleton: np.ndarray, length: int) -> np.ndarray:
    """Cut the burrs of a skeleton: side branches of up to `length` pixels from their fork to their end.

    Args:
        skeleton: bool (H, W), one pixel wide.
        length: The longest branch that is cut, in pixels.

    Returns:
        bool (H, W), a subset: at most the pixel beside the fork is left of each burr. Other lines keep their length.
    """
    code = _codes(np.pad(skeleton, 1))
    fork = skeleton & _FORKS[code]
    if length < 1 or not fork.any():
        return skeleton
    labels, count = parts_of(skeleton & ~grow(fork, 1))  # the neighbours of a fork touch each other across it
    sizes = np.bincount(labels.ravel(), minlength=count + 1)
    ends = np.isin(np.arange(count + 1), labels[skeleton & _ENDS[code]])
    forked = np.isin(np.arange(count + 1), labels[grow(fork, 2)])
    cut = ends & forked & (sizes < length)
    cut[0] = False
    kept: np.ndarray = skeleton & ~cut[labels]
    return kept


def grow(mask: np.ndarray, reach: int) -> np.ndarray:
    """Grow a mask to all pixels up to `reach` away, along rows, columns and diagonals alike."""
    wide = _along_rows(mask, reach)
    grown: np.ndarray = np.ascontiguousarray(_along_rows(np.ascontiguousarray(wide.T), reach).T)
    return grown


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
    for down in range(-min(int(radius), side - 1), min(int(radius), side - 1) + 1):  # a disk is a stack of rows
        row = _along_rows(canvas, int((radius * radius - down * down) ** 0.5))
        drawn[max(0, down) : side + min(0, down)] |= row[max(0, -down) : side - max(0, down)]
    return drawn


def pen_width(mask: np.ndarray, skeleton: np.ndarray) -> float:
    """Estimate the width of the pen that drew the mask, in pixels: its area over the length of its skeleton (a diagonal step counts √2).

    Args:
        mask: bool (H, W), with some ink.
        skeleton: The mask, thinned by `thin`.
    """
    straight = int((skeleton[1:] & skeleton[:-1]).sum() + (skeleton[:, 1:] & skeleton[:, :-1]).sum())
    diagonal = int((skeleton[1:, 1:] & skeleton[:-1, :-1]).sum() + (skeleton[1:, :-1] & skeleton[:-1, 1:]).sum())
    length = straight + diagonal * 2**0.5
    area = float(mask.sum())
    # A pen that stays in one place draws a disk. Along a line, it draws a band as long as the line and half a disk at each end.
    return float((-length + (length * length + np.pi * area) ** 0.5) * 2 / np.pi)


def _thin_box(mask: np.ndarray) -> np.ndarray:
    skeleton = np.pad(mask, 1)
    while True:
        before = int(skeleton.sum())
        for removable in (_FIRST, _SECOND):
            skeleton[1:-1, 1:-1] &= ~removable[_codes(skeleton)]
        if int(skeleton.sum()) == before:
            break
    for corner in _CORNERS:
        skeleton[1:-1, 1:-1] &= ~corner[_codes(skeleton)]
    thinned: np.ndarray = skeleton[1:-1, 1:-1]
    labels, count = parts_of(mask)
    for lost in np.setdiff1d(np.arange(1, count + 1), labels[thinned]):
        rows, columns = np.nonzero(labels == lost)
        nearest = np.argmin((rows - rows.mean()) ** 2 + (columns - columns.mean()) ** 2)
        thinned[rows[nearest], columns[nearest]] = True
    return thinned


def _along_rows(mask: np.ndarray, reach: int) -> np.ndarray:
    """Grow a mask to the left and right: a pixel is set when its row has ink within `reach` of it."""
    height, width = mask.shape
    before = np.zeros((height, width + 1), dtype=np.int32)
    np.cumsum(mask, axis=1, out=before[:, 1:])
    right = np.minimum(np.arange(width) + reach + 1, width)
    left = np.maximum(np.arange(width) - reach, 0)
    grown: np.ndarray = before[:, right] > before[:, left]
    return grown


def _codes(padded: np.ndarray) -> np.ndarray:
    """Compute the neighbour code of each inner pixel, uint8 (H, W), of a mask with an empty ring around it (H + 2, W + 2)."""
    height, width = padded.shape[0] - 2, padded.shape[1] - 2
    code = np.zeros((height, width), dtype=np.uint8)
    bits = padded.view(np.uint8)
    for bit, (down, right) in enumerate(_AROUND):
        code |= bits[1 + down : 1 + down + height, 1 + right : 1 + right + width] << np.uint8(bit)
    return code


def _tables() -> tuple[np.ndarray, np.ndarray, list[np.ndarray], np.ndarray, np.ndarray]:
    """List what each of the 256 neighbour codes means: removed in pass 1, in pass 2, as one of four corners; an end; a fork."""
    p = (np.arange(256)[:, None] >> np.arange(8)) & 1  # (256, 8): columns are P2 … P9
    p2, p4, p6, p8 = p[:, 0], p[:, 2], p[:, 4], p[:, 6]
    neighbours = p.sum(1)
    changes = ((p == 0) & (np.roll(p, -1, axis=1) == 1)).sum(1)  # A(P1): 0 → 1 around the pixel
    may_go = (neighbours >= 2) & (neighbours <= 6) & (changes == 1)
    first = may_go & (p2 * p4 * p6 == 0) & (p4 * p6 * p8 == 0)
    second = may_go & (p2 * p4 * p8 == 0) & (p2 * p6 * p8 == 0)
    corners = []
    for a, b, far in ((0, 2, (4, 5, 6)), (2, 4, (6, 7, 0)), (4, 6, (0, 1, 2)), (6, 0, (2, 3, 4))):
        # Two neighbours at a right angle touch each other at their corner; nothing on the far side depends on this pixel.
        corners.append((p[:, a] == 1) & (p[:, b] == 1) & (p[:, list(far)].sum(1) == 0))
    ends = (neighbours == 1) | ((neighbours == 2) & (changes == 1))
    return first, second, corners, ends, changes >= 3


_FIRST, _SECOND, _CORNERS, _ENDS, _FORKS = _tables()
