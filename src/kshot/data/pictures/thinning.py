"""Thinning: strokes of ink become lines, one pixel wide.

In: masks of ink, as `paper` finds them. Out: their skeletons. Next: `ink`.

The 64 bits of a word are 64 pixels of one column, spaced evenly down the mask. The words above, below, left and right of a word therefore
hold the neighbours of all its pixels, and no bit is shifted but for the first and the last words of the columns.
"""

import numpy as np

from kshot.data.pictures.strokes import parts_of


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


def _thin_box(mask: np.ndarray) -> np.ndarray:
    words = _Words(mask)
    alone = words.thin()
    words.cut_corners()
    thinned = words.mask()
    if alone:
        parts = parts_of(mask)
        left = np.bincount(parts.numbers, thinned[mask], parts.number)
        for lost in np.flatnonzero(left == 0):
            rows, columns = (axis[parts.numbers == lost] for axis in np.nonzero(mask))
            nearest = np.argmin((rows - rows.mean()) ** 2 + (columns - columns.mean()) ** 2)
            thinned[rows[nearest], columns[nearest]] = True
    return thinned


class _Words:
    """A mask of (H, W) as words of 64 pixels: row r of the mask is bit r // layers of the words in layer r % layers.

    Layers follow each other in one array. Between two lies an empty word, the neighbour of the first column and of the last; before the
    first and after the last lie copies of the last and the first, shifted by one bit.
    """

    def __init__(self, mask: np.ndarray) -> None:
        self._shape = height, width = mask.shape
        self._layers = -(-height // 64)
        wide = width + 1
        rows = np.zeros((64 * self._layers, wide), dtype=bool)
        rows[:height, 1:] = mask
        across = np.ascontiguousarray(rows.reshape(64, -1).T)  # (words, 64)
        packed = np.packbits(across.reshape(-1), bitorder="little").view("<u8")
        start, stop = wide + 1, wide + 1 + packed.size
        words = np.zeros(stop + start, dtype=np.uint64)
        words[start:stop] = packed
        self._here = words[start:stop]
        self._around = tuple(  # P2 to P9 of the paper: clockwise from the one above
            words[start + shift : stop + shift] for shift in (-wide, 1 - wide, 1, wide + 1, wide, wide - 1, -1, -wide - 1)
        )
        self._before, self._first = words[1:start], words[start : start + wide]
        self._last, self._after = words[stop - wide : stop], words[stop : stop + wide]

    def mask(self) -> np.ndarray:
        """Return the mask, bool (H, W)."""
        across = np.unpackbits(self._here.astype("<u8").view(np.uint8), bitorder="little").reshape(-1, 64)
        rows = np.ascontiguousarray(across.T).reshape(64 * self._layers, -1).view(bool)
        return rows[: self._shape[0], 1:].copy()

    def thin(self) -> bool:
        """Remove what Zhang and Suen's passes remove; return whether a part may have gone completely.

        A pixel goes where A(P1) = 1 and 2 ≤ B(P1) ≤ 6, unless P4 · P6 · (P2 + P8) in the first pass, or P2 · P8 · (P4 + P6) in the second.
        A(P1) = 1 means that its neighbours in the mask are one run around it. The run has two pixels or more where it holds pixels beside
        P1 and pixels at its corners. It has six or fewer where a corner is missing; both passes keep pixels with all of P2, P4, P6 and P8.
        """
        p2, p3, p4, p5, p6, p7, p8, p9 = self._around
        here = self._here
        gone = alone = np.zeros_like(here)
        quiet, second = 0, False
        while quiet < 2:
            self._wrap()
            not_p4, not_p8 = ~p4, ~p8
            # From P2 over P3 to P4, a run begins where P3 is 0 and P4 is 1, or P3 is 1 and P2 is 0: at most once. So in each quarter.
            a = (p2 ^ not_p4) & p3 ^ p4
            b = (p6 ^ not_p4) & p5 ^ p6
            c = (p6 ^ not_p8) & p7 ^ p8
            d = (p2 ^ not_p8) & p9 ^ p2
            right_or_down, left_or_up = p4 | p6, p8 | p2
            beside = right_or_down | left_or_up
            corners = p3 ^ p5  # are not all alike
            corners |= p7 ^ p9
            corners |= p3 ^ p7
            alone = alone | gone & ~(beside | corners)  # of a part that goes completely, no pixel has a neighbour afterwards
            keep = p8 & p2 & right_or_down if second else p4 & p6 & left_or_up
            keep |= a & b | c & d  # three runs
            a ^= b
            a ^= c
            a ^= d
            a &= beside
            a &= corners
            a &= here
            gone = a & ~keep
            here ^= gone
            quiet = 0 if gone.any() else quiet + 1
            second = not second
        return bool(alone.any())

    def cut_corners(self) -> None:
        """Remove each pixel between two neighbours that touch at their corner, if nothing on its far side depends on it."""
        p = self._around
        for one, other, far in ((0, 2, (4, 5, 6)), (2, 4, (6, 7, 0)), (4, 6, (0, 1, 2)), (6, 0, (2, 3, 4))):
            self._wrap()
            self._here &= ~(p[one] & p[other]) | p[far[0]] | p[far[1]] | p[far[2]]

    def _wrap(self) -> None:
        """Copy the first and the last layer to the other's far side, where a pixel's neighbour is a bit further on."""
        np.left_shift(self._last, np.uint64(1), out=self._before)
        np.right_shift(self._first, np.uint64(1), out=self._after)
