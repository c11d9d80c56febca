"""Pictures made for it: the same characters drawn with many pens, papers and cameras must come out as the same Omniglot drawing."""

import contextlib
import io
import math
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageDraw, ImageFilter

from kshot.data.pictures.ink import EXTENT, Ink, as_drawing, resize_ink
from kshot.data.pictures.strokes import grow, pen_width
from kshot.data.pictures.thinning import thin
from kshot.errors import DataError, RecipeError

Strokes = list[list[tuple[float, float]]]
Colour = tuple[int, int, int]

CHARACTERS: dict[str, Strokes] = {
    "G": [[(80, 25), (60, 12), (30, 20), (15, 50), (25, 80), (55, 90), (82, 75), (82, 55), (55, 55)]],
    "H": [[(20, 10), (22, 90)], [(78, 12), (80, 88)], [(20, 48), (80, 52)]],
    "i": [[(50, 35), (48, 90)], [(50, 10), (51, 11)]],
    "theta": [[(50 + 35 * math.cos(t / 6), 50 + 42 * math.sin(t / 6)) for t in range(39)], [(15, 50), (85, 52)]],
    "wave": [[(5, 40), (20, 60), (35, 40), (50, 60), (65, 40), (80, 60), (95, 42)]],
}
WHITE, BLACK = (255, 255, 255), (0, 0, 0)


def drawn(
    character: str,
    pen: float = 8,
    paper: Colour = WHITE,
    ink: Colour = BLACK,
    *,
    size: tuple[int, int] = (400, 400),
    place: tuple[float, float, float] = (0.15, 0.15, 0.7),
) -> Image.Image:
    """A character by a round pen, drawn large and averaged down; `place` is left, top and side as shares of the picture."""
    fine = 1 if min(size) > 600 else max(2, 480 // max(size))
    width, height = size[0] * fine, size[1] * fine
    image = Image.new("RGB", (width, height), paper)
    draw = ImageDraw.Draw(image)
    left, top, side, radius = place[0] * width, place[1] * height, place[2] * min(width, height) / 100, pen * fine / 2
    for stroke in CHARACTERS[character]:
        points = [(left + x * side, top + y * side) for x, y in stroke]
        draw.line(points, fill=ink, width=max(1, round(2 * radius)))
        for x, y in points:
            draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=ink)
    return image.resize(size, Image.Resampling.BOX)


def changed(image: Image.Image, change: Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]) -> Image.Image:
    """`change(pixels, row, column)`, with rows and columns as shares of the picture."""
    pixels = np.asarray(image).astype(np.float64)
    row, column = np.mgrid[: pixels.shape[0], : pixels.shape[1]]
    after = change(pixels, (row / pixels.shape[0])[..., None], (column / pixels.shape[1])[..., None])
    return Image.fromarray(np.clip(after, 0, 255).astype(np.uint8))


def grainy(image: Image.Image, sigma: float = 8) -> Image.Image:
    rng = np.random.default_rng(0)
    return changed(image, lambda pixels, row, column: pixels + rng.normal(0, sigma, pixels.shape))


def unevenly_lit(image: Image.Image) -> Image.Image:
    return changed(image, lambda pixels, row, column: pixels * (0.35 + 0.39 * column + 0.26 * row))


def shadowed(image: Image.Image) -> Image.Image:
    shade = Image.new("L", image.size, 255)
    ImageDraw.Draw(shade).polygon([(0, 0), (0.6 * image.width, 0), (0.1 * image.width, image.height), (0, image.height)], fill=140)
    soft = np.asarray(shade.filter(ImageFilter.GaussianBlur(image.width / 80)))[..., None] / 255
    return changed(image, lambda pixels, row, column: pixels * soft)


def on_table(image: Image.Image) -> Image.Image:
    return changed(image, lambda pixels, row, column: np.where((row < 0.06) | (column > 0.95), 50.0, pixels))


def ruled(image: Image.Image) -> Image.Image:
    lined = image.copy()
    draw = ImageDraw.Draw(lined)
    for line in range(1, 8):
        draw.line([(0, line * image.height / 8), (image.width, line * image.height / 8)], fill=(205, 215, 235), width=2)
    return Image.fromarray(np.minimum(np.asarray(image), np.asarray(lined)))


def as_jpeg(image: Image.Image, quality: int = 20, orientation: int = 1) -> Image.Image:
    exif = Image.Exif()
    exif[0x0112] = orientation
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality, exif=exif)
    read = Image.open(file)
    read.load()
    return read


def on_nothing(image: Image.Image, ink: Colour) -> Image.Image:
    grey = np.asarray(image.convert("L"))
    return Image.fromarray(np.dstack([np.broadcast_to(np.uint8(ink), (*grey.shape, 3)), 255 - grey]))


def in_16_bits(image: Image.Image) -> Image.Image:
    return Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16) * 100 + 3000)


PAPERS: dict[str, Callable[[str], Image.Image]] = {
    "thin pen": lambda c: drawn(c, 1),
    "thick pen": lambda c: drawn(c, 30),
    "thick pen, tight crop": lambda c: drawn(c, 22, size=(200, 200), place=(0.08, 0.08, 0.84)),
    "very large": lambda c: drawn(c, 7, size=(2400, 2400)),
    "20 pixels": lambda c: drawn(c, 2, size=(20, 20), place=(0.1, 0.1, 0.8)),
    "28 pixels, light on dark": lambda c: drawn(c, 2, BLACK, WHITE, size=(28, 28)),
    "chalk": lambda c: grainy(drawn(c, 9, (30, 50, 40), (220, 220, 210))),
    "blue on yellow": lambda c: drawn(c, 7, (250, 230, 90), (40, 60, 200)),
    "red on green of the same grey": lambda c: drawn(c, 9, (60, 140, 60), (190, 83, 60)),
    "dark on dark": lambda c: grainy(drawn(c, 10, (60, 60, 60), (15, 15, 15)), 4),
    "pencil": lambda c: grainy(drawn(c, 7, (240, 240, 235), (170, 170, 175), size=(900, 900)), 5),
    "uneven light": lambda c: grainy(unevenly_lit(drawn(c, 10, (235, 230, 215), (40, 40, 60), size=(700, 700)))),
    "shadow": lambda c: grainy(shadowed(drawn(c, 10, (235, 230, 215), (40, 40, 60), size=(700, 700))), 6),
    "shadow, thick pen": lambda c: grainy(shadowed(drawn(c, 50, (235, 230, 215), (40, 40, 60), size=(700, 700))), 6),
    "noise": lambda c: grainy(drawn(c, 10, (200, 200, 200), (70, 70, 70)), 25),
    "JPEG": lambda c: as_jpeg(drawn(c, 5, (230, 230, 230), (50, 50, 90))),
    "ruled paper": lambda c: grainy(ruled(drawn(c, 9, (245, 245, 240), (30, 40, 120), size=(700, 700))), 4),
    "table at the edge": lambda c: on_table(unevenly_lit(drawn(c, 9, (245, 245, 240), (30, 40, 120)))),
    "wide, small in a corner": lambda c: drawn(c, 6, size=(1200, 700), place=(0.6, 0.3, 0.3)),
    "tall": lambda c: drawn(c, 8, size=(400, 900), place=(0.2, 0.5, 0.6)),
    "transparent": lambda c: on_nothing(drawn(c, 8), BLACK),
    "transparent, white ink": lambda c: on_nothing(drawn(c, 8), WHITE),
    "sideways": lambda c: as_jpeg(drawn(c, 8).transpose(Image.Transpose.ROTATE_90), 90, orientation=6),
    "16 bits": lambda c: in_16_bits(drawn(c, 8)),
}


@cache
def plain(character: str) -> np.ndarray:
    return as_drawing(drawn(character))


def agreement(one: np.ndarray, other: np.ndarray) -> float:
    """The share of ink that has ink of the other within one pixel."""
    return float(((one & grow(other, 1)).sum() + (other & grow(one, 1)).sum()) / (one.sum() + other.sum()))


@pytest.mark.parametrize("paper", PAPERS)
@pytest.mark.parametrize("character", ["G", *(pytest.param(name, marks=pytest.mark.slow) for name in ("i", "theta"))])
def test_whatever_the_paper_the_drawing_is_the_same(character: str, paper: str) -> None:
    found = as_drawing(PAPERS[paper](character))
    agreed = agreement(plain(character), found)
    assert agreed > 0.93
    assert max(agreement(plain(other), found) for other in CHARACTERS if other != character) < agreed - 0.1


@pytest.mark.parametrize("pen", [8, *(pytest.param(pen, marks=pytest.mark.slow) for pen in (2, 30))])
@pytest.mark.parametrize("character", CHARACTERS)
def test_drawings_are_like_those_of_omniglot(character: str, pen: int) -> None:
    drawing = as_drawing(drawn(character, pen))
    assert drawing.shape == (105, 105)
    assert 4.4 < pen_width(drawing, thin(drawing)) < 6.1  # as in nine tenths of Omniglot's drawings; the median is 5.0
    rows, columns = np.nonzero(drawing)
    longer = max(np.ptp(rows), np.ptp(columns)) + 1
    assert longer == pytest.approx(EXTENT + 5, abs=2)
    assert (rows.min() + rows.max()) / 2 == pytest.approx(50, abs=1)
    assert (columns.min() + columns.max()) / 2 == pytest.approx(50, abs=1)


def test_the_aspect_is_kept() -> None:
    dash = Image.new("L", (400, 300), 255)
    dash.paste(0, (100, 140, 300, 150))
    rows, columns = np.nonzero(as_drawing(dash))
    assert np.ptp(rows) < 6
    assert np.ptp(columns) == pytest.approx(EXTENT + 4, abs=2)


def test_a_dot_stays_a_dot() -> None:
    dot = Image.new("L", (400, 300), 255)
    ImageDraw.Draw(dot).ellipse((180, 130, 220, 170), fill=0)
    rows, columns = np.nonzero(as_drawing(dot))
    assert max(np.ptp(rows), np.ptp(columns)) < 20


@pytest.mark.parametrize("size", [28, 105])
def test_omniglot_s_own_form_is_only_resized(size: int) -> None:
    ink = np.zeros((105, 105), dtype=bool)
    ink[3:60, 10:13] = True  # far from the middle, and a pen of 3 pixels: nothing may be normalised
    ink[100, 100] = True
    image = Image.fromarray(np.where(ink, 0, 255).astype(np.uint8)).convert("1")
    trained_on = resize_ink(ink.astype(np.uint8)[None, None] * np.uint8(255), size)[0]
    assert np.array_equal(Ink(size).read(image), trained_on)


@pytest.mark.parametrize("mode", ["L", "P", "RGB"])
def test_pictures_that_happen_to_have_omniglot_s_size_are_anyones(mode: str) -> None:
    """A letter must come out alike whether it is drawn on 104, 105 or 106 pixels."""
    found = []
    for side in (104, 105, 106):
        image = Image.new("1", (side, side), 1)
        ImageDraw.Draw(image).line([(20, 80), (35, 20), (50, 80)], fill=0, width=3)
        found.append(Ink(105).read(image.convert(mode))[0] > 127)
    for other in (found[0], found[2]):
        assert (found[1] ^ other).sum() < 0.25 * other.sum()


def test_light_on_dark_of_omniglot_s_size_is_not_its_form() -> None:
    ink = np.zeros((105, 105), dtype=bool)
    ink[3:60, 10:13] = True
    inverted = Image.fromarray(np.where(ink, 255, 0).astype(np.uint8))
    rows, _ = np.nonzero(Ink(105).read(inverted)[0])
    assert (rows.min() + rows.max()) / 2 == pytest.approx(50, abs=1)


def test_resizing_averages() -> None:
    kept = np.zeros((2, 1, 105, 105), np.uint8)
    kept[1] = 255
    resized = resize_ink(kept, 28)
    assert (resized.shape, resized.dtype) == ((2, 1, 28, 28), np.uint8)
    assert resized[0].max() == 0
    assert resized[1].min() == 255


def _box(images: np.ndarray) -> list[tuple[int, int, int, int]]:
    found = []
    for ink in images[:, 0] > 127:
        rows, columns = np.flatnonzero(ink.any(1)), np.flatnonzero(ink.any(0))
        found.append((rows[0], rows[-1] + 1, columns[0], columns[-1] + 1))
    return found


def test_zoomed_in_to_the_full_ink_fills_nine_tenths_in_the_middle() -> None:
    kept = np.zeros((3, 1, 100, 100), np.uint8)
    kept[0, 0, 10:28, 70:79] = 255  # 18 high, in the upper right corner
    kept[1, 0, 5:95, 40:60] = 255  # 90 high
    kept[2, 0, :, 3:5] = 255  # all of it: nothing is cut off
    (top, bottom, left, right), middle, tall = _box(resize_ink(kept, 200, 1.0))
    assert (bottom - top, right - left) == (180, 90)
    assert (top, left) == (10, 60)  # a window of 20 × 20 from pixel (9, 64)
    assert middle == (10, 190, 80, 120)
    assert tall == (0, 200, 98, 102)


@pytest.mark.slow
@given(st.floats(0.01, 0.8), st.integers(10, 60), st.integers(10, 60), st.integers(0, 44), st.integers(0, 44))
def test_zoom_keeps_the_order_of_sizes_and_forgets_the_place(zoom: float, high: int, wide: int, down: int, right: int) -> None:
    kept = np.zeros((3, 1, 105, 105), np.uint8)
    kept[0, 0, down : down + high, right : right + wide] = 255
    kept[1, 0, :high, :wide] = 255
    kept[2, 0, 20 : 20 + min(high + 20, 85), 20 : 20 + min(wide + 20, 85)] = 255
    zoomed = resize_ink(kept, 105, zoom)
    assert np.array_equal(zoomed[0], zoomed[1])
    sides = [max(bottom - top, right - left) for top, bottom, left, right in _box(zoomed)]
    assert sides[0] <= sides[2]
    assert sides[0] >= max(high, wide) - 2  # never smaller than it was


def test_a_drawing_is_zoomed_as_in_training_and_empty_paper_stays() -> None:
    ink = np.zeros((105, 105), dtype=bool)
    ink[3:60, 10:13] = True
    kept = ink.astype(np.uint8)[None, None] * np.uint8(255)
    image = Image.fromarray(np.where(ink, 0, 255).astype(np.uint8)).convert("1")
    assert np.array_equal(Ink(56, 0.7).read(image), resize_ink(kept, 56, 0.7)[0])
    assert not np.array_equal(Ink(56, 0.7).read(image), Ink(56).read(image))
    assert resize_ink(np.zeros((2, 1, 105, 105), np.uint8), 28, 0.5).max() == 0


def test_inputs_are_ink_one() -> None:
    x = Ink().to_input(torch.tensor([[[[0, 51, 255]]]], dtype=torch.uint8))
    assert isinstance(x, torch.Tensor)
    assert x.dtype == torch.float32
    assert torch.allclose(x.flatten(), torch.tensor([0, 0.2, 1]))


@pytest.mark.parametrize(
    "blank",
    [
        Image.new("RGB", (300, 200), "white"),
        Image.new("L", (105, 105), 0),
        Image.new("RGBA", (50, 50), (0, 0, 0, 0)),
        Image.new("L", (1, 1), 9),
        grainy(Image.new("RGB", (300, 300), (200, 200, 200)), 12),
        grainy(unevenly_lit(Image.new("RGB", (300, 300), (200, 200, 200))), 3),
    ],
    ids=["white", "black", "transparent", "one pixel", "grain", "uneven light"],
)
def test_blank_paper_is_an_error(blank: Image.Image) -> None:
    with pytest.raises(DataError, match="found no ink on this picture"):
        Ink().read(blank)


def test_a_path_is_read_as_the_picture_in_it_and_named_where_it_has_no_ink(tmp_path: Path) -> None:
    drawn("G").save(tmp_path / "G.png")
    assert np.array_equal(Ink().read(tmp_path / "G.png"), Ink().read(drawn("G")))
    assert np.array_equal(Ink().read(str(tmp_path / "G.png")), Ink().read(drawn("G")))
    Image.new("RGB", (300, 200), "white").save(tmp_path / "blank.png")
    with pytest.raises(DataError, match=r"blank\.png: found no ink on this picture"):
        Ink().read(tmp_path / "blank.png")
    with pytest.raises(DataError, match="a picture is a path or a Pillow image; found ndarray"):
        Ink().read(np.zeros((9, 9)))


@pytest.mark.parametrize("size", [(1, 40), (40, 1), (2, 2), (3, 500), (4000, 7), (17, 23)])
def test_odd_shapes_give_a_drawing_or_a_plain_error(size: tuple[int, int]) -> None:
    rng = np.random.default_rng(size)
    for density in (0.02, 0.5, 0.98):
        image = Image.fromarray(np.where(rng.random((size[1], size[0])) < density, 0, 255).astype(np.uint8))
        with contextlib.suppress(DataError):  # specks are no ink; any other error is a fault of ours
            assert Ink().read(image).shape == (1, 28, 28)


def test_arguments_are_checked_and_given_back() -> None:
    assert Ink(32, 0.5).arguments() == {"size": 32, "zoom": 0.5, "levels": "full"}
    assert Ink(levels=[0, 4095]).levels == (0.0, 4095.0)  # type: ignore[arg-type]  # as JSON and TOML give it
    for size in (0, -3, 2.5, True, "28"):
        with pytest.raises(RecipeError, match="size of 'ink' is a positive whole number"):
            Ink(size)  # type: ignore[arg-type]  # wrong on purpose
    for zoom in (-0.1, 1.1, True, "1", float("nan")):
        with pytest.raises(RecipeError, match="zoom of 'ink' is a number from 0 to 1"):
            Ink(28, zoom)  # type: ignore[arg-type]  # wrong on purpose
