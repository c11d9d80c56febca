"""Pictures as squares: sizes, aspects, modes, orientation."""

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from kshot.data.pictures.picture import Picture
from kshot.errors import DataError, RecipeError


def halves(size: tuple[int, int] = (200, 100)) -> Image.Image:
    """Left half red, right half blue."""
    image = Image.new("RGB", size, (255, 0, 0))
    image.paste((0, 0, 255), (size[0] // 2, 0, size[0], size[1]))
    return image


def test_cropping_keeps_the_aspect_and_the_middle() -> None:
    kept = Picture(50).read(halves())
    assert (kept.shape, kept.dtype) == ((3, 50, 50), np.uint8)
    assert kept[:, 25, 10].tolist() == [255, 0, 0]
    assert kept[:, 25, 40].tolist() == [0, 0, 255]
    thirds = Image.new("L", (300, 100), 0)
    thirds.paste(255, (100, 0, 200, 100))
    assert Picture(20, 1).read(thirds).min() > 230  # the middle third is all that is left; resampling looks a little beyond


def test_padding_keeps_everything_and_fills_with_the_edge_s_mean() -> None:
    image = Image.new("RGB", (200, 100), (10, 120, 200))
    image.paste((255, 255, 255), (80, 30, 120, 70))
    kept = Picture(50, fit="pad").read(image)
    assert kept[:, 0, 0].tolist() == [10, 120, 200]
    assert kept[:, 49, 49].tolist() == [10, 120, 200]
    white_rows, white_columns = np.nonzero(kept.min(0) > 200)
    assert np.ptp(white_rows) == pytest.approx(9, abs=1)
    assert np.ptp(white_columns) == pytest.approx(9, abs=1)
    assert Picture(50, 1, "pad").read(image).shape == (1, 50, 50)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "I", "F", "I;16"])
@pytest.mark.parametrize("channels", [1, 3])
def test_every_mode_is_read(mode: str, channels: int) -> None:
    grey = Image.fromarray(np.tile(np.linspace(0, 255, 60).astype(np.uint8), (40, 1)))
    if mode in ("I;16", "I", "F"):
        dtype = {"I;16": np.uint16, "I": np.int32, "F": np.float32}[mode]
        image = Image.fromarray(np.asarray(grey).astype(dtype) * 200)
    else:
        image = grey.convert(mode)
    assert image.mode == mode
    kept = Picture(30, channels, levels=(0, 51_000)).read(image)
    assert kept.shape == (channels, 30, 30)
    assert kept[0, 15, 3] < 100 < 150 < kept[0, 15, 26]


def test_transparent_parts_are_white_and_black_under_light_drawings() -> None:
    dark, light = Image.new("RGBA", (40, 40), (0, 0, 0, 0)), Image.new("RGBA", (40, 40), (255, 255, 255, 0))
    dark.paste((20, 20, 20, 255), (15, 15, 25, 25))
    light.paste((240, 240, 240, 255), (15, 15, 25, 25))
    assert Picture(40, 1).read(dark)[0, 0, 0] == 255
    assert Picture(40, 1).read(light)[0, 0, 0] == 0
    palette = dark.convert("P")
    palette.info["transparency"] = bytes([0] * 256)
    assert Picture(40, 1).read(palette).shape == (1, 40, 40)


def test_the_camera_s_orientation_is_honoured() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    file = io.BytesIO()
    halves((100, 100)).transpose(Image.Transpose.ROTATE_90).save(file, "JPEG", exif=exif, quality=95)
    with Image.open(file) as read:
        kept = Picture(50).read(read)
    assert kept[0, 25, 10] > 200 > 50 > kept[2, 25, 10]


@pytest.mark.parametrize("size", [(1, 1), (1, 500), (700, 2), (3, 3)])
def test_odd_shapes_are_no_trouble(size: tuple[int, int]) -> None:
    for fit in ("crop", "pad"):
        assert Picture(16, fit=fit).read(Image.new("RGB", size, (9, 9, 9))).shape == (3, 16, 16)  # type: ignore[arg-type]  # of a loop


def test_inputs_are_standardised() -> None:
    kept = torch.full((2, 3, 4, 4), 255, dtype=torch.uint8)
    x = Picture(4).to_input(kept)
    assert isinstance(x, torch.Tensor)
    assert x.dtype == torch.float32
    assert torch.allclose(x[0, :, 0, 0], torch.tensor([(1 - 0.485) / 0.229, (1 - 0.456) / 0.224, (1 - 0.406) / 0.225]))
    grey = Picture(4, 1).to_input({"left": kept[:, :1]})
    assert not isinstance(grey, torch.Tensor)
    assert torch.allclose(grey["left"], torch.tensor(2.0))


def test_arguments_are_checked_and_given_back() -> None:
    assert Picture(32, 1, "pad").arguments() == {"size": 32, "channels": 1, "fit": "pad", "levels": "full"}
    for arguments, message in [
        ({"size": 0}, "size of 'picture' is a positive whole number"),
        ({"size": "84"}, "size of 'picture' is a positive whole number"),
        ({"channels": 2}, "channels of 'picture' is 3 for colour or 1 for grey"),
        ({"channels": True}, "channels of 'picture'"),
        ({"fit": "stretch"}, "fit of 'picture' is 'crop' or 'pad'; found 'stretch'"),
    ]:
        with pytest.raises(RecipeError, match=message):
            Picture(**arguments)  # type: ignore[arg-type]  # wrong on purpose


def test_a_path_is_read_as_the_picture_in_it(tmp_path: Path) -> None:
    file = tmp_path / "halves.png"
    halves().save(file)
    for thing in (file, str(file)):
        assert np.array_equal(Picture(20).read(thing), Picture(20).read(halves()))


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "bad.png").write_text("no picture")
    with pytest.raises(DataError, match=r"cannot read .*bad\.png: it is not a picture"):
        Picture().read(tmp_path / "bad.png")
    with pytest.raises(DataError, match=r"there is no file .*none\.png"):
        Picture().read(str(tmp_path / "none.png"))
    for thing, kind in ((np.zeros((3, 4, 4)), "ndarray"), (None, "NoneType"), ([halves()], "list"), (3, "int")):
        with pytest.raises(DataError, match=rf"a picture is a path or a Pillow image; found {kind}\. For an array: Image\.fromarray"):
            Picture().read(thing)
