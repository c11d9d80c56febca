"""Every mode of Pillow as 8-bit colours, each worked by hand: two pixels, what they must become, and why."""

import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from kshot.data.pictures import flat
from kshot.data.pictures.flat import checked_levels, flat_rgb
from kshot.data.pictures.ink import Ink
from kshot.data.pictures.picture import Picture
from kshot.errors import DataError, RecipeError

Rgb = tuple[int, int, int]


def grey(value: int) -> Rgb:
    return (value, value, value)


def array(*values: float, dtype: str) -> Image.Image:
    return Image.fromarray(np.array([values], dtype))


def pixels(mode: str, *values: object) -> Image.Image:
    image = Image.new(mode, (len(values), 1))
    for place, value in enumerate(values):
        image.putpixel((place, 0), value)  # type: ignore[arg-type]  # as many numbers as the mode has bands
    return image


def palette(transparent: int | None = None) -> Image.Image:
    image = Image.new("P", (2, 1))
    image.putpalette([10, 20, 30, 200, 100, 0])
    image.putpixel((1, 0), 1)
    if transparent is not None:
        image.info["transparency"] = transparent
    return image


def in_16_bits_with_hole() -> Image.Image:
    image = array(257 * 7, 500, dtype="u2")
    image.info["transparency"] = 500
    return image


BY_HAND: dict[str, tuple[Callable[[], Image.Image], tuple[Rgb, Rgb]]] = {
    "1": (lambda: pixels("1", 0, 1), (grey(0), grey(255))),
    "L": (lambda: pixels("L", 7, 200), (grey(7), grey(200))),
    "LA": (lambda: pixels("LA", (7, 255), (200, 0)), (grey(7), grey(255))),  # what is seen is dark: white behind it
    "LA, light": (lambda: pixels("LA", (250, 255), (9, 0)), (grey(250), grey(0))),  # what is seen is light: black behind it
    "LA, half": (lambda: pixels("LA", (0, 255), (0, 51)), (grey(0), grey(204))),  # a fifth of black on white: 255 · 0.8
    "P": (lambda: palette(), ((10, 20, 30), (200, 100, 0))),
    "P, transparent": (lambda: palette(1), ((10, 20, 30), grey(255))),
    "RGB": (lambda: pixels("RGB", (1, 2, 3), (255, 0, 9)), ((1, 2, 3), (255, 0, 9))),
    "RGBA": (lambda: pixels("RGBA", (1, 2, 3, 255), (255, 0, 9, 0)), ((1, 2, 3), grey(255))),
    "CMYK": (lambda: pixels("CMYK", (255, 0, 0, 0), (0, 0, 0, 55)), ((0, 255, 255), grey(200))),  # cyan takes red; black takes all
    "YCbCr": (lambda: pixels("YCbCr", (80, 128, 128), (76, 85, 255)), (grey(80), (254, 0, 0))),  # the second is red, rounded
    "LAB": (lambda: pixels("LAB", (0, 128, 128), (255, 128, 128)), (grey(0), grey(255))),  # L from 0 to 100 %, a = b = 0
    "HSV": (lambda: pixels("HSV", (0, 0, 90), (0, 255, 200)), (grey(90), (200, 0, 0))),
    "I;16": (lambda: array(65535, 257 * 40, dtype="u2"), (grey(255), grey(40))),
    "I;16, rounded": (lambda: array(128, 129, dtype="u2"), (grey(0), grey(1))),  # 128 / 257 = 0.498, 129 / 257 = 0.502
    "I;16, transparent": (in_16_bits_with_hole, (grey(7), grey(255))),
    "I;16B": (lambda: Image.frombytes("I;16B", (2, 1), bytes([255, 255, 40, 40])), (grey(255), grey(40))),  # 40 · 256 + 40 = 40 · 257
}


@pytest.mark.parametrize("mode", BY_HAND)
def test_each_mode_by_hand(mode: str) -> None:
    make, expected = BY_HAND[mode]
    image = make()
    assert image.mode == mode.partition(",")[0]
    found = flat_rgb(image)
    assert (found.mode, found.size) == ("RGB", (2, 1))
    # Black and white of LAB come out of colour management one step off.
    assert np.abs(np.asarray(found, dtype=int)[0] - np.array(expected)).max() <= (mode == "LAB")


@pytest.mark.parametrize("value", [0, 1000, 65535])
@pytest.mark.parametrize("dtype", ["<u2", ">u2"])
def test_brightness_of_16_bits_is_the_picture_s_own(value: int, dtype: str) -> None:
    plain = Image.fromarray(np.full((32, 32), value, dtype))
    assert (Picture(size=4, channels=1).read(plain) == round(value / 257)).all()


@pytest.mark.parametrize("suffix", ["png", "tiff", "pgm"])
def test_16_bits_in_a_file_are_divided_by_257(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"scan.{suffix}"
    values = np.tile(np.array([[0, 257 * 40], [257 * 200, 65535]], np.uint16), (8, 8))
    if suffix == "pgm":
        path.write_bytes(b"P5 16 16 65535\n" + values.astype(">u2").tobytes())
    else:
        Image.fromarray(values).save(path)
    assert Picture(16, 1).read(path)[0, :2, :2].tolist() == [[0, 40], [200, 255]]


@pytest.mark.parametrize(("dtype", "what"), [("i4", "32-bit integers"), ("f4", "floating-point numbers")])
def test_values_without_a_known_range_ask_for_one(tmp_path: Path, dtype: str, what: str) -> None:
    image = Image.fromarray(np.array([[0, 51], [102, 255]], dtype))
    path = tmp_path / "measured.tiff"
    image.save(path)
    for reader in (Picture(2, 1), Ink()):
        with pytest.raises(DataError, match=rf"measured\.tiff: the picture holds {what}.*data\.levels = \[0, 4095\]"):
            reader.read(path)
    stated = Picture(2, 1, levels=(0, 510))
    assert stated.read(image)[0].tolist() == [[0, 26], [51, 128]]  # 25.5 and 127.5 are rounded to even
    assert np.array_equal(stated.read(path), stated.read(image))
    assert Picture(2, 1, levels=(51, 102)).read(image)[0].tolist() == [[0, 0], [255, 255]]  # what lies outside is cut off


def test_stretching_is_done_only_on_request_and_is_named_in_the_record() -> None:
    faint = array(1000, 1201, 1400, dtype="u2")
    assert np.asarray(flat_rgb(faint))[0, :, 0].tolist() == [4, 5, 5]
    assert np.asarray(flat_rgb(faint, levels="stretch"))[0, :, 0].tolist() == [0, 128, 255]
    assert np.asarray(flat_rgb(array(5.0, 5.0, dtype="f4"), levels="stretch"))[0, :, 0].tolist() == [0, 0]
    for reader in (Picture(levels="stretch"), Ink(levels="stretch")):
        assert reader.arguments()["levels"] == "stretch"
        assert type(reader)(**reader.arguments()) == reader
    assert Picture(levels=[0, 4095]) == Picture(**Picture(levels=(0, 4095)).arguments())  # type: ignore[arg-type]  # as JSON gives it


def test_levels_say_nothing_of_8_bits() -> None:
    assert np.asarray(flat_rgb(pixels("L", 7, 9), levels="stretch"))[0, :, 0].tolist() == [7, 9]


def test_numbers_that_are_none_become_black_or_an_end() -> None:
    odd = array(np.nan, np.inf, -np.inf, 1.0, 2.0, dtype="f4")
    assert np.asarray(flat_rgb(odd, levels="stretch"))[0, :, 0].tolist() == [0, 255, 0, 0, 255]
    assert np.asarray(flat_rgb(array(np.nan, dtype="f4"), levels="stretch"))[0, 0, 0] == 0


@pytest.mark.parametrize("levels", ["wide", (1, 0), (0, 0), (0,), (0, float("nan")), (0, float("inf")), (False, True), ("0", "1"), None, 3])
def test_levels_are_a_word_or_a_range(levels: object) -> None:
    with pytest.raises(RecipeError, match=r"levels of 'scan' is 'full', 'stretch', or two numbers"):
        checked_levels(levels, "scan")


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "P", "I;16", "F"])
@pytest.mark.parametrize("factor", [1, 2, 5])
def test_bands_are_the_whole_picture(mode: str, factor: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    shape = (47, 31) if mode in ("L", "P", "I;16", "F") else (47, 31, len(mode))
    kind = {"I;16": np.uint16, "F": np.float32}.get(mode, np.uint8)
    image = Image.fromarray(rng.integers(0, 256 if kind is np.uint8 else 65536, shape).astype(kind))
    if mode == "P":
        image = image.convert("P")
    whole = flat_rgb(image, levels=(0, 65535)).reduce(factor)
    monkeypatch.setattr(flat, "_BAND", 100)
    banded = flat_rgb(image, 31 // (3 * factor), min, (0, 65535))
    assert banded.size == (-(-31 // factor), -(-47 // factor))
    assert np.array_equal(np.asarray(banded), np.asarray(whole))


def tiff(bits: int, photometric: int, data: bytes) -> bytes:
    """A grey TIFF of 8 × 8 pixels, written by hand: Pillow writes neither 12 bits nor white as 0."""
    sizes = [(256, 8), (257, 8), (258, bits), (259, 1), (262, photometric), (273, 0), (277, 1), (278, 8), (279, len(data))]
    start = 8 + 2 + 12 * len(sizes) + 4
    tags = b"".join(struct.pack("<HHII", tag, 4, 1, start if tag == 273 else value) for tag, value in sizes)
    return b"II*\0" + struct.pack("<IH", 8, len(sizes)) + tags + struct.pack("<I", 0) + data


@pytest.mark.parametrize(
    ("bits", "photometric", "data", "expected"),
    [
        (12, 1, b"\xff" * 96, 255),
        (12, 1, b"\x80\x08\x00" * 32, 128),  # 2048 of 4095
        (16, 1, b"\xff" * 128, 255),
        (16, 0, b"\0" * 128, 255),  # white is 0
        (16, 0, b"\xff\xff" * 64, 0),
        (8, 0, b"\0" * 64, 255),
    ],
)
def test_a_tiff_says_how_many_bits_it_has_and_whether_0_is_black(
    tmp_path: Path, bits: int, photometric: int, data: bytes, expected: int
) -> None:
    (tmp_path / "x.tif").write_bytes(tiff(bits, photometric, data))
    found = Picture(4, 1).read(tmp_path / "x.tif")
    assert (int(found.min()), int(found.max())) == (expected, expected)


def test_stretching_turns_a_picture_whose_white_is_0(tmp_path: Path) -> None:
    (tmp_path / "x.tif").write_bytes(tiff(16, 0, struct.pack("<64H", *([100] * 32 + [200] * 32))))
    found = np.asarray(Picture(8, 1, levels="stretch").read(tmp_path / "x.tif"))[0]
    assert (int(found[0, 0]), int(found[-1, -1])) == (255, 0)
