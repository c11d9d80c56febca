"""The steps of telling ink from paper that are computed otherwise than NumPy would, and what is read of a large photograph."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from kshot.data.pictures.ink import Ink, as_drawing
from kshot.data.pictures.paper import _along_most_variance, _median, _quantile, find_contrast
from kshot.data.pictures.strokes import grow


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("count", [1, 2, 3, 63, 64, 1000, 57_600])
@pytest.mark.parametrize("share", [0.25, 0.95, 0.995])
def test_quantiles_are_those_of_numpy(dtype: type[np.floating], count: int, share: float) -> None:
    rng = np.random.default_rng(count)
    spread = (rng.random(count) ** 4 * 9).astype(dtype)
    tied, two = np.where(rng.random(count) < 0.9, dtype(0), spread), np.where(rng.random(count) < share, dtype(1), dtype(5))
    ordered = np.sort(spread)  # so that every 64th value is not like the others
    ordered[::64] = ordered[-1]
    for values in (spread, tied, two, ordered, np.full(count, 3, dtype)):
        expected = float(np.quantile(values, share))
        assert _quantile(values, share) == pytest.approx(expected, rel=1e-6, abs=1e-5 * float(np.ptp(values)))


@pytest.mark.parametrize("count", [1, 2, 3, 10, 101])
def test_medians_are_those_of_numpy(count: int) -> None:
    values = np.random.default_rng(count).random(count)
    assert _median(values) == np.median(values)


def test_one_channel_stands_for_three_equal_ones() -> None:
    light = np.random.default_rng(0).normal(size=(1, 30, 40)).astype(np.float32) ** 3
    np.testing.assert_allclose(_along_most_variance(light), _along_most_variance(np.repeat(light, 3, axis=0)), rtol=1e-5)


def test_a_grey_picture_is_measured_as_one_that_is_nearly_grey() -> None:
    """One pixel of colour, far from the ink, makes three channels necessary."""
    pixels = np.full((300, 260, 3), 230, np.uint8)
    pixels[60:240, 100:112] = 40
    grey = find_contrast(Image.fromarray(pixels))
    pixels[295, 250] = 230, 230, 229
    coloured = find_contrast(Image.fromarray(pixels))
    np.testing.assert_allclose(grey.height, coloured.height, atol=0.02)
    assert grey.threshold == pytest.approx(coloured.threshold, abs=0.02)
    assert grey.noise == pytest.approx(coloured.noise, abs=1e-3)


@pytest.mark.slow
def test_a_large_photograph_is_read_from_an_eighth_of_it_as_from_the_whole(tmp_path: Path) -> None:
    image = Image.new("L", (3840, 1600), 225)
    ImageDraw.Draw(image).line([(1000, 1400), (1900, 300), (2800, 1400), (1200, 900)], fill=45, width=50)
    image.save(tmp_path / "large.jpg")
    whole = as_drawing(Image.open(tmp_path / "large.jpg"))
    eighth = Ink(105).read(tmp_path / "large.jpg")[0] > 127
    assert (whole ^ eighth).sum() < 0.1 * whole.sum()
    assert not (whole & ~grow(eighth, 1)).any()  # no edge is off by more than one pixel
    assert not (eighth & ~grow(whole, 1)).any()
