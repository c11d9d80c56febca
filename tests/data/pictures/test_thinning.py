"""Thinning against the paper's rule, pixel by pixel, and on shapes small enough to check by eye."""

import numpy as np
import pytest

from kshot.data.pictures.strokes import grow, parts_of
from kshot.data.pictures.thinning import thin

CLOCKWISE = ((-1, 0), (-1, 1), (0, 1), (1, 1), (1, 0), (1, -1), (0, -1), (-1, -1))  # P2 to P9


def mask(*rows: str) -> np.ndarray:
    return np.array([[character == "#" for character in row] for row in rows])


def by_the_paper(ink: np.ndarray) -> np.ndarray:
    """The slow, independent version: Zhang and Suen's passes, then the corners of staircases, then the middles of parts that were lost."""
    old = np.pad(ink, 1)
    pixels = list(zip(*np.nonzero(old), strict=True))

    def around(r: int, c: int) -> list[int]:
        return [int(old[r + down, c + right]) for down, right in CLOCKWISE]

    def goes(p: list[int], second: bool) -> bool:
        changes = sum(p[i] == 0 and p[(i + 1) % 8] == 1 for i in range(8))
        kept = p[0] * p[2] * p[6] or p[0] * p[4] * p[6] if second else p[0] * p[2] * p[4] or p[2] * p[4] * p[6]
        return changes == 1 and 2 <= sum(p) <= 6 and not kept

    changed = True
    while changed:
        changed = False
        for second in (False, True):
            gone = [(r, c) for r, c in pixels if old[r, c] and goes(around(r, c), second)]
            for r, c in gone:
                old[r, c] = False
            changed |= bool(gone)
    for corner in (0, 2, 4, 6):
        gone = []
        for r, c in pixels:
            p = around(r, c)
            if old[r, c] and p[corner] and p[(corner + 2) % 8] and not any(p[(corner + step) % 8] for step in (4, 5, 6)):
                gone.append((r, c))
        for r, c in gone:
            old[r, c] = False
    thinned = old[1:-1, 1:-1].copy()
    parts = parts_of(ink)
    for number in range(parts.number):
        rows, columns = np.nonzero(parts.chosen(np.arange(parts.number) == number))
        if not thinned[rows, columns].any():
            nearest = np.argmin((rows - rows.mean()) ** 2 + (columns - columns.mean()) ** 2)
            thinned[rows[nearest], columns[nearest]] = True
    return thinned


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (9, 1), (7, 12), (30, 20)])
def test_pixels_go_by_the_paper_s_rule(shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    for density, reach in ((0.3, 0), (0.6, 0), (0.9, 0), (0.02, 1), (0.02, 2), (0.01, 4)):
        ink = grow(rng.random(shape) < density, reach)
        assert np.array_equal(thin(ink), by_the_paper(ink))


@pytest.mark.slow
@pytest.mark.parametrize("height", [63, 64, 65, 127, 128, 129, 200])
def test_strokes_of_any_height_go_by_the_paper_s_rule(height: int) -> None:
    ink = grow(np.random.default_rng(height).random((height, 24)) < 0.02, 2)
    assert np.array_equal(thin(ink), by_the_paper(ink))
    whole = np.zeros((height + 5, 40), dtype=bool)  # whatever the paper around it
    whole[3 : height + 3, 7:31] = ink
    assert np.array_equal(thin(whole)[3 : height + 3, 7:31], thin(ink))


def test_parts_that_would_go_completely_keep_their_middle() -> None:
    squares = mask("##.....", "##..##.", "....##.", ".......", "#......", "......#", ".....##")
    thinned = thin(squares)
    assert parts_of(thinned).number == 4
    assert thinned[:2, :2].sum() == 1
    assert thinned[1:3, 4:6].sum() == 1
    assert thinned[4, 0]


def test_a_bar_thins_to_its_middle_row() -> None:
    bar = mask("...........", ".#########.", ".#########.", ".#########.", "...........")
    skeleton = thin(bar)
    assert skeleton.sum(0).max() == 1
    assert np.flatnonzero(skeleton.any(1)).tolist() == [2]
    assert skeleton.sum() >= 6


def test_thinning_keeps_parts_and_rings() -> None:
    rng = np.random.default_rng(1)
    for _ in range(5):
        ink = grow(rng.random((60, 60)) < 0.01, 3)
        skeleton = thin(ink)
        assert not (skeleton & ~ink).any()
        assert parts_of(skeleton).number == parts_of(ink).number
        # Rings: the background keeps its parts too (outside counts as one; a frame makes it so).
        assert parts_of(~np.pad(skeleton, 1), diagonal=False).number == parts_of(~np.pad(ink, 1), diagonal=False).number


def test_empty_paper_stays_empty() -> None:
    assert not thin(np.zeros((5, 4), dtype=bool)).any()
