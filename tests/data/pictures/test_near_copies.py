"""Near copies: by hand, against every pair compared, and on pictures that were saved in two ways."""

import io

import numpy as np
import pytest
from PIL import Image

from kshot.data.pictures import near_copies as module
from kshot.data.pictures.near_copies import near_copies
from kshot.data.pictures.picture import Picture


def test_four_grey_levels_are_the_limit_by_hand() -> None:
    slope = np.tile(np.arange(0, 160, 10, dtype=np.uint8), (16, 1))
    # Half of the cells 5 levels apart: √(25 / 2) = 3.5. Three quarters: √(0.75 · 25) = 4.3.
    half, more = slope.copy(), slope.copy()
    half[:8] += 5
    more[:12] += 5
    kept = np.stack([slope, half, more, slope.T, np.full((16, 16), 80, np.uint8), np.full((16, 16), 81, np.uint8)])[:, None]
    # The second and the third differ in 4 of 16 rows: √(25 / 4) = 2.5. Plain pictures are compared with none.
    assert near_copies(kept).tolist() == [[0, 1], [1, 2]]


def test_all_pairs_are_found_whatever_the_order(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    base = rng.integers(0, 256, (40, 3, 16, 16))
    kept = np.concatenate([base, base[::2] + rng.integers(-6, 7, (20, 3, 16, 16))]).clip(0, 255).astype(np.uint8)
    kept = kept[rng.permutation(60)]
    grey = np.rint(kept.mean(1)).reshape(60, -1)
    slow = [[i, j] for i in range(60) for j in range(i + 1, 60) if ((grey[i] - grey[j]) ** 2).mean() <= 16]
    assert len(slow) > 10
    for at_once in (7, 256):
        monkeypatch.setattr(module, "_AT_ONCE", at_once)
        assert near_copies(kept).tolist() == slow


def test_one_picture_at_two_sizes_and_in_two_formats_is_found() -> None:
    rng = np.random.default_rng(1)
    photographs = [
        Image.fromarray(rng.integers(0, 256, (9, 12, 3), dtype=np.uint8)).resize((400, 300), Image.Resampling.BICUBIC) for _ in range(4)
    ]
    file = io.BytesIO()
    photographs[2].save(file, "JPEG", quality=60)
    kept = np.stack([Picture(84).read(one) for one in (*photographs, photographs[1].resize((200, 150)), Image.open(file))])
    assert near_copies(kept).tolist() == [[1, 4], [2, 5]]


def test_few_or_small_pictures_are_no_trouble() -> None:
    assert near_copies(np.zeros((1, 3, 8, 8), np.uint8)).shape == (0, 2)
    slope = np.arange(16, dtype=np.uint8).reshape(1, 4, 4) * 16
    assert near_copies(np.stack([slope, slope])).tolist() == [[0, 1]]
