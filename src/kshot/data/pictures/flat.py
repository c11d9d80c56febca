"""Pictures of every mode as upright 8-bit colours, no larger than they are needed.

In: a decoded Pillow image, from `picture_file`. Out: an RGB image, upright, without transparency. Next: `paper` and `picture`.

Grey values of more than 8 bits are brought to 8 on a scale that is the same for all pictures, because brightness may tell classes apart:
16 bits are divided by 257, and 12 bits of a TIFF by 16.06. What 32-bit integers and floats mean is in no file, so that their range must be
stated (`levels`).
"""

import math
from collections.abc import Callable, Iterator
from typing import Literal

import numpy as np
from PIL import Image, ImageCms, TiffImagePlugin

from kshot.data.pictures.picture_file import DAMAGE, quiet
from kshot.errors import DataError, RecipeError

Levels = Literal["full", "stretch"] | tuple[float, float]
"""Which grey values of more than 8 bits become black and white: `full`, 0 and 65,535, for 16 bits alone; `stretch`, each picture's own
least and greatest; or two numbers for every picture."""

GAP = 3
"""A picture is reduced by a whole factor as long as it stays this many times as large as is needed; the rest is interpolated."""
_BAND = 1 << 22
"""Pixels that are brought to colours at once, so that the memory for it does not grow with the picture."""
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What makes a picture upright, by the value of its EXIF orientation."""
_ORIENTATION = 0x0112
_BITS, _PHOTOMETRIC = 258, 262
"""Tags of TIFF: how many bits a value has, and whether 0 is black. Pillow heeds them in pictures of 8 bits alone."""
_WHITE_IS_ZERO, _BLACK_IS_ZERO = 0, 1


def flat_rgb(image: Image.Image, side: int = 0, measure: Callable[..., int] = max, levels: Levels = "full") -> Image.Image:
    """Return a picture upright, in RGB, with 8 bits per channel, without transparency.

    Transparent parts become white, or black where the visible parts are light, so that ink on a transparent ground stays visible.

    Args:
        image: Of any of Pillow's modes.
        side: How many pixels are needed; a picture of more than 4 megapixels is reduced to at least three times as many. 0 reduces none.
        measure: Which of the picture's sides must have them: `min` or `max`.
        levels: The range of grey values of more than 8 bits.

    Returns:
        A new picture, or `image` itself if it is so already.

    Raises:
        DataError: The picture has no pixels, is of 32-bit integers or floats while `levels` states no range, or cannot be made RGB.
    """
    if min(image.size) < 1:
        raise DataError(f"the picture has no pixels: it is {image.width} × {image.height}. Replace or remove it.")
    if image.mode == "La":
        image = image.convert("LA")
    ends = _ends(image, levels) if _is_deep(image) else None
    if ends is not None and _tiff_tag(image, _PHOTOMETRIC, _BLACK_IS_ZERO) == _WHITE_IS_ZERO:
        ends = ends[1], ends[0]
    ground = _ground(image, ends) if _is_transparent(image) else None
    if image.width * image.height <= _BAND:
        flat = _opaque(_in_8_bits(image, ends), ground)
    else:
        factor = max(1, measure(image.size) // (GAP * side)) if side else 1
        flat = Image.new("RGB", (-(-image.width // factor), -(-image.height // factor)))
        for top, band in _bands(image, factor):
            flat.paste(_opaque(_in_8_bits(band, ends), ground).reduce(factor), (0, top // factor))
    return _turned(flat, _orientation(image))


def upright(image: Image.Image) -> Image.Image:
    """Turn a picture as its EXIF says; one with damaged EXIF stays as it is."""
    return _turned(image, _orientation(image))


def checked_levels(levels: object, owner: str) -> Levels:
    """Return `levels` as a word or a pair of numbers.

    Raises:
        RecipeError: It is neither of the two words nor two finite numbers, the smaller first.
    """
    if levels == "full" or levels == "stretch":
        return levels
    if isinstance(levels, list | tuple) and len(levels) == 2 and all(_is_finite(level) for level in levels) and levels[0] < levels[1]:
        return float(levels[0]), float(levels[1])
    raise RecipeError(f"levels of {owner!r} is 'full', 'stretch', or two numbers, black before white, such as [0, 4095]; found {levels!r}.")


def _is_finite(level: object) -> bool:
    return isinstance(level, int | float) and not isinstance(level, bool) and math.isfinite(level)


def _orientation(image: Image.Image) -> object:
    try:
        with quiet:
            return image.getexif().get(_ORIENTATION)
    except DAMAGE:
        return None


def _turned(image: Image.Image, orientation: object) -> Image.Image:
    turn = _TURNS.get(orientation) if isinstance(orientation, int) else None
    return image if turn is None else image.transpose(turn)


def _bands(image: Image.Image, factor: int = 1) -> Iterator[tuple[int, Image.Image]]:
    """Cut a picture into bands of whole rows, a multiple of `factor`, each with the number of its first row."""
    rows = max(1, _BAND // (image.width * factor)) * factor
    for top in range(0, image.height, rows):
        yield top, image.crop((0, top, image.width, min(top + rows, image.height)))


def _is_deep(image: Image.Image) -> bool:
    return image.mode == "F" or image.mode.startswith("I")


def _is_transparent(image: Image.Image) -> bool:
    return image.has_transparency_data and (not _is_deep(image) or isinstance(image.info.get("transparency"), int))


def _ends(image: Image.Image, levels: Levels) -> tuple[float, float]:
    """Find which grey values become black and white, the smaller first."""
    if isinstance(levels, tuple):
        return levels
    if levels == "stretch":
        finite = (values[np.isfinite(values)] for values in (np.asarray(band) for _, band in _bands(image)))
        ends = [(float(values.min()), float(values.max())) for values in finite if values.size]
        return (min(low for low, _ in ends), max(high for _, high in ends)) if ends else (0.0, 0.0)
    # 16 bits in a PNG or PGM file come as 32-bit integers from some versions of Pillow.
    if image.mode.startswith("I;16") or (image.mode == "I" and image.format in ("PNG", "PPM")):
        return 0.0, 2.0 ** _tiff_tag(image, _BITS, 16) - 1
    what = "floating-point numbers" if image.mode == "F" else "32-bit integers"
    raise DataError(
        f"the picture holds {what}, and no file says which of them are black and white. Save all pictures with 8 or 16 bits; or state the "
        "range, such as data.levels = [0, 4095] in the recipe of `kshot train`, or kshot.Picture(levels=(0, 4095)) in Python."
    )


def _tiff_tag(image: Image.Image, tag: int, usual: int) -> int:
    """Return a tag of a grey TIFF, which holds one number, or what is usual in other files."""
    if not isinstance(image, TiffImagePlugin.TiffImageFile):
        return usual
    found = image.tag_v2.get(tag, usual)
    return int(found[0] if isinstance(found, tuple) else found)


def _in_8_bits(image: Image.Image, ends: tuple[float, float] | None) -> Image.Image:
    if ends is None:
        return image
    black, white = ends
    values = np.asarray(image)
    inside = np.nan_to_num(values.astype(np.float64).clip(min(ends), max(ends)), nan=black)
    grey = Image.fromarray(np.rint((inside - black) * (255 / ((white - black) or 1))).astype(np.uint8))
    if _is_transparent(image):
        grey.putalpha(Image.fromarray(np.where(values == image.info["transparency"], 0, 255).astype(np.uint8)))
    return grey


def _ground(image: Image.Image, ends: tuple[float, float] | None) -> str:
    """Choose the colour behind a picture with transparent parts."""
    seen, weight, least = 0.0, 0.0, 255
    for _, band in _bands(image):
        rgba = _in_8_bits(band, ends).convert("RGBA")
        alpha = np.asarray(rgba.getchannel("A"), dtype=np.float64)
        light = np.asarray(rgba.convert("RGB").convert("L"), dtype=np.float64)
        seen += float((light * alpha).sum())
        weight += float(alpha.sum())
        least = min(least, int(alpha.min()))
    return "white" if seen / max(weight, 1.0) < 128 or least == 255 else "black"


def _opaque(image: Image.Image, ground: str | None) -> Image.Image:
    """Return an 8-bit picture in RGB, on the colour of the ground where it is transparent."""
    if ground is not None:
        rgba = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", rgba.size, ground), rgba).convert("RGB")
    if image.mode == "LAB":
        return _from_lab(image)
    if image.mode == "RGB":
        return image
    try:
        return image.convert("RGB")
    except ValueError as error:
        raise DataError(f"a picture of Pillow's mode {image.mode!r} cannot be made RGB ({error}). Convert it first.") from error


def _from_lab(image: Image.Image) -> Image.Image:
    try:
        lab, srgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
        found = ImageCms.applyTransform(image, ImageCms.buildTransform(lab, srgb, "LAB", "RGB"))
    except (ImportError, ImageCms.PyCMSError) as error:
        raise DataError(f"this Pillow cannot make RGB of a LAB picture ({error}). Convert it first.") from error
    assert found is not None  # it is only where the image is changed in place
    return found
