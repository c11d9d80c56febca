"""Pictures that are nearly the same: shots of one moment, or one picture at two sizes or in two formats.

Two pictures are near copies where the root mean square of the differences between their thumbnails is at most 4 of 255 grey levels. A
thumbnail is the mean of the channels, averaged over 16 × 16 cells. Pictures whose thumbnail is of one grey, to 4 levels, are compared with
none: they are all alike. Another cut, another angle or other light are not found. In: kept pictures. Out: pairs of their numbers. Next:
`kshot.workflows.inspection` reports them.
"""

import numpy as np

from kshot.data.pictures.resample import resize_bytes

CELLS = 16
MOST_APART = 4.0
"""Root mean square of the differences of near copies, in grey levels."""
_AT_ONCE = 256


def near_copies(kept: np.ndarray) -> np.ndarray:
    """Find the pairs of near copies.

    Args:
        kept: uint8 (M, C, H, H).

    Returns:
        int64 (n, 2), the smaller number of a pair first, sorted.

    Example:
        >>> slope = np.tile(np.arange(64, dtype=np.uint8), (64, 1))
        >>> near_copies(np.stack([slope, slope.T, slope + 1])[:, None]).tolist()
        [[0, 2]]
    """
    small = _thumbnails(kept)  # (M, cells · cells)
    numbers = np.flatnonzero(small.std(1) > MOST_APART)
    middle = small[numbers].mean(1, dtype=np.float64)
    order = np.argsort(middle, kind="stable")
    numbers, middle = numbers[order], middle[order]
    vectors = small[numbers].astype(np.float32)
    squares = np.einsum("md,md->m", vectors, vectors)
    beyond = np.searchsorted(middle, middle + MOST_APART, side="right")  # means of near copies differ by no more than the pictures do
    pairs = [np.empty((0, 2), dtype=np.int64)]
    for start in range(0, len(numbers), _AT_ONCE):
        stop = min(start + _AT_ONCE, len(numbers))
        last = int(beyond[stop - 1])
        apart = squares[start:stop, None] + squares[None, start:last] - 2 * vectors[start:stop] @ vectors[start:last].T
        # Products of float32 are rounded: what may be near is measured again, exactly.
        first, second = np.nonzero(apart <= vectors.shape[1] * (MOST_APART**2 + 1))
        one, other = numbers[start + first[first < second]], numbers[start + second[first < second]]
        difference = small[one].astype(np.int64) - small[other]
        near = (difference * difference).mean(1) <= MOST_APART**2
        pairs.append(np.sort(np.stack([one[near], other[near]], 1), axis=1))
    found = np.concatenate(pairs)
    return found[np.lexsort((found[:, 1], found[:, 0]))]


def _thumbnails(kept: np.ndarray) -> np.ndarray:
    """Average the channels, and then cells: uint8 (M, cells · cells)."""
    cells = min(CELLS, kept.shape[-1])
    small = np.empty((len(kept), cells, cells), np.uint8)
    for start in range(0, len(kept), _AT_ONCE):
        grey = np.rint(kept[start : start + _AT_ONCE].mean(1)).astype(np.uint8)  # (m, H, H)
        small[start : start + _AT_ONCE] = resize_bytes(grey, cells)
    return small.reshape(len(kept), cells * cells)
