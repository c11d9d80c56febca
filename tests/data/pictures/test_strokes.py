"""Parts, pruning and pens, on shapes small enough to check by eye."""

import math

import numpy as np
import pytest

from kshot.data.pictures.strokes import draw_points, grow, parts_of, pen_width, prune
from kshot.data.pictures.thinning import thin


def mask(*rows: str) -> np.ndarray:
    return np.array([[character == "#" for character in row] for row in rows])


def parts_by_flooding(ink: np.ndarray, *, diagonal: bool) -> np.ndarray:
    """The slow, independent version: one pixel at a time."""
    labels = np.zeros(ink.shape, dtype=np.int64)
    count = 0
    for start in zip(*np.nonzero(ink), strict=True):
        if labels[start]:
            continue
        count += 1
        todo = [start]
        while todo:
            r, c = todo.pop()
            if not (0 <= r < ink.shape[0] and 0 <= c < ink.shape[1]) or not ink[r, c] or labels[r, c]:
                continue
            labels[r, c] = count
            todo += [(r + a, c + b) for a in (-1, 0, 1) for b in (-1, 0, 1) if diagonal or a * b == 0]
    return labels


@pytest.mark.parametrize("diagonal", [True, False])
def test_parts_are_those_that_flooding_finds(diagonal: bool) -> None:
    rng = np.random.default_rng(0)
    for density in (0.1, 0.4, 0.6, 0.9):
        ink = rng.random((23, 31)) < density
        parts, labels = parts_of(ink, diagonal=diagonal), parts_by_flooding(ink, diagonal=diagonal)
        assert np.array_equal(parts.numbers + 1, labels[ink])
        assert parts.number == labels.max()
        assert parts.areas.tolist() == np.bincount(labels[ink])[1:].tolist()
        for row, start, end, part in zip(parts.row, parts.start, parts.end, parts.part, strict=True):
            assert (labels[row, start:end] == part + 1).all()
        odd = np.arange(parts.number) % 2 == 0
        assert np.array_equal(parts.chosen(odd), labels % 2 == 1)


def test_an_empty_mask_has_no_parts() -> None:
    parts = parts_of(np.zeros((4, 5), dtype=bool))
    assert parts.number == 0
    assert parts.areas.size == 0
    assert not parts.chosen(np.zeros(0, dtype=bool)).any()


def test_pruning_takes_a_burr_and_leaves_the_line() -> None:
    line_with_burr = mask("....#......", "....#......", "....#......", "###########", "...........")
    pruned = prune(line_with_burr, 3)
    assert not pruned[:2].any()
    assert pruned[3, [0, 1, 2, 8, 9, 10]].all()
    assert np.array_equal(prune(line_with_burr, 0), line_with_burr)
    alone = mask("....", ".##.", "....")
    assert np.array_equal(prune(alone, 5), alone)


def test_growing_reaches_all_neighbours() -> None:
    dot = np.zeros((7, 9), dtype=bool)
    dot[3, 4] = True
    grown = grow(dot, 2)
    assert grown.sum() == 25
    assert grown[1:6, 2:7].all()


def test_a_pen_is_a_disk_and_is_clipped_at_the_edge() -> None:
    drawn = draw_points(np.array([10.0, 0.0]), np.array([10.0, 20.0]), 21, 7.0)
    row, column = np.mgrid[:21, :21]
    disk = (row - 10) ** 2 + (column - 10) ** 2 <= 3.5**2
    corner = row**2 + (column - 20) ** 2 <= 3.5**2
    assert np.array_equal(drawn, disk | corner)


@pytest.mark.parametrize("diameter", [5.0, 9.0, 15.0])
@pytest.mark.parametrize("slope", [0.0, 0.5, 1.0])
def test_the_width_of_a_pen_is_found(diameter: float, slope: float) -> None:
    steps = np.linspace(0, 1, 400)
    drawn = draw_points(30 + 80 * slope * steps, 30 + 80 * steps, 150, diameter)
    assert pen_width(drawn, thin(drawn)) == pytest.approx(diameter, rel=0.2)


def test_the_width_of_a_dot_is_its_diameter() -> None:
    dot = draw_points(np.array([20.0]), np.array([20.0]), 41, 20.0)
    assert pen_width(dot, thin(dot)) == pytest.approx(2 * math.sqrt(dot.sum() / math.pi), rel=0.15)
