"""Warped pictures: a function of their numbers, small, and nothing for what is no picture."""

import numpy as np
import pytest
import torch

from kshot.data.arrays import ArrayDataset
from kshot.episodes.counter_random import streams, unit, words
from kshot.episodes.draw import draw_episodes
from kshot.episodes.episode import DrawnEpisodes
from kshot.episodes.shape import EpisodeShape
from kshot.episodes.warp import _KEY, _MOVE, _SHEAR, _STRETCH, _TURN, affine, draw_warps, elastic
from kshot.errors import EpisodeError

WARPS = {"affine": affine, "elastic": elastic}


def square() -> torch.Tensor:
    """A square of ink in the middle of 1,000 sheets, uint8 (1000, 1, 40, 40)."""
    images = torch.zeros(1000, 1, 40, 40, dtype=torch.uint8)
    images[:, :, 12:28, 12:28] = 255
    return images


@pytest.mark.parametrize("name", list(WARPS))
def test_a_warp_depends_on_nothing_but_its_number(name: str) -> None:
    images, numbers = square()[:50], np.arange(-25, 25, dtype=np.int16)
    warped = WARPS[name](images, numbers)
    assert isinstance(warped, torch.Tensor)
    assert warped.shape == images.shape
    assert warped.dtype == torch.uint8
    torch.testing.assert_close(WARPS[name](images[:7], numbers[20:27]), warped[20:27], rtol=0, atol=0)
    assert len({row.numpy().tobytes() for row in warped}) == 50


@pytest.mark.parametrize("name", list(WARPS))
def test_warps_move_and_stretch_within_their_limits_and_not_to_one_side(name: str) -> None:
    numbers = np.arange(1000).astype(np.int16)
    warped = WARPS[name](square(), numbers)
    assert isinstance(warped, torch.Tensor)
    mass = warped.float()[:, 0] / 255
    area = mass.sum((1, 2)) / 256
    assert 0.5 < float(area.min()) < 0.9 < 1.1 < float(area.max()) < 1.8  # 0.85² to 1.15², and bending
    centre = (mass.sum(1) * torch.arange(40)).sum(1) / mass.sum((1, 2)) - 19.5
    assert float(centre.abs().max()) < 5  # 0.12 of half the side is 2.4 pixels, enlarged and bent
    assert abs(float(centre.mean())) < 0.2


def test_a_warped_drawing_is_what_the_formulas_give_pixel_for_pixel() -> None:
    """By numpy alone, in float64: what another processor rounds otherwise in float32 must not change a pixel."""
    numbers, height, width = np.arange(-3, 40, dtype=np.int16), 12, 9
    images = np.random.default_rng(0).integers(0, 256, (len(numbers), 1, height, width)).astype(np.uint8)
    uniform = unit(words(streams(_KEY, numbers.astype(np.int64) & 0xFFFF), 0, 6))
    turn, wide, high, shear, right, down = (2 * uniform - 1) * np.array([_TURN, _STRETCH, _STRETCH, _SHEAR, _MOVE, _MOVE])[:, None]
    expected = np.zeros_like(images)
    for item, row, column in np.ndindex(len(numbers), height, width):
        x, y = (2 * column + 1) / width - 1, (2 * row + 1) / height - 1
        cosine, sine = np.cos(turn[item]), np.sin(turn[item])
        from_x = cosine * (1 + wide[item]) * x + (shear[item] - sine) * (1 + high[item]) * y + right[item]
        from_y = sine * (1 + wide[item]) * x + cosine * (1 + high[item]) * y + down[item]
        at_column, at_row = ((from_x + 1) * width - 1) / 2, ((from_y + 1) * height - 1) / 2
        left, top, ink = int(np.floor(at_column)), int(np.floor(at_row)), 0.0
        for r, c in ((top, left), (top, left + 1), (top + 1, left), (top + 1, left + 1)):
            if 0 <= r < height and 0 <= c < width:
                ink += images[item, 0, r, c] * (1 - abs(at_row - r)) * (1 - abs(at_column - c))
        expected[item, 0, row, column] = round(ink)
    warped = affine(torch.from_numpy(images), numbers)
    assert isinstance(warped, torch.Tensor)
    np.testing.assert_array_equal(warped.numpy(), expected)


def test_photographs_are_continued_at_their_border_and_paper_is_paper() -> None:
    numbers = np.arange(200).astype(np.int16)
    white = affine(torch.full((200, 3, 16, 16), 200, dtype=torch.uint8), numbers)
    assert isinstance(white, torch.Tensor)
    assert white.unique().tolist() == [200]
    ink = affine(torch.full((200, 1, 16, 16), 200, dtype=torch.uint8), numbers)
    assert isinstance(ink, torch.Tensor)
    assert int(ink.min()) == 0


def test_each_item_of_a_class_has_a_warp_of_its_own() -> None:
    data = ArrayDataset(np.zeros((60, 1, 4, 4), np.uint8), np.repeat(np.arange(6), 10))
    (drawn,) = draw_episodes(data.index, EpisodeShape(3, 2, 3, augment="elastic"), 5, np.arange(400))
    assert isinstance(drawn, DrawnEpisodes)
    assert drawn.support_changes is not None
    assert drawn.query_changes is not None
    changes = np.concatenate([drawn.support_changes, drawn.query_changes], axis=1)  # (400, 15) of 65,536
    assert np.mean([len(set(row)) for row in changes]) > 14.9
    assert np.abs(changes.mean()) < 3 * 2**15 / np.sqrt(3 * changes.size)
    given = np.arange(5, dtype=np.uint64)[None]
    np.testing.assert_array_equal(draw_warps(given, 4)[3], draw_warps(given[:, 3:4], 4)[0])


@pytest.mark.parametrize("name", list(WARPS))
def test_what_is_no_image_is_refused(name: str) -> None:
    with pytest.raises(EpisodeError, match=rf"augment='{name}' warps images \(M, C, H, W\); found \(3, 5\)"):
        WARPS[name](torch.zeros(3, 5), np.zeros(3, np.int16))
    with pytest.raises(EpisodeError, match="found a mapping"):
        WARPS[name]({"a": torch.zeros(3, 5)}, np.zeros(3, np.int16))
