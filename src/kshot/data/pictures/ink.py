"""Ink on paper, brought to the form of Omniglot's drawings: the preprocessing of learners trained on them.

In: a photograph, scan or drawing of any size, colour and pen, as a path or a Pillow image. Out: uint8 (1, size, size), ink 255 on 0.
Next: any data set of pictures, and prediction.

The form was measured on 3,000 drawings of Omniglot, 105 × 105 pixels of one bit. The longer side of the path of the pen's middle is
64 pixels in the median (54 to 72 for half of the drawings), its middle is near pixel (50, 50), and the pen is 5 pixels wide.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import numpy as np
from PIL import Image

from kshot.data.inputs import Inputs, map_inputs
from kshot.data.pictures.flat import Levels, checked_levels, flat_rgb, upright
from kshot.data.pictures.paper import LONGER_SIDE, Contrast, find_contrast
from kshot.data.pictures.picture_file import opened_picture
from kshot.data.pictures.resample import resize_bytes, resize_cubic, slide
from kshot.data.pictures.strokes import Parts, draw_points, grow, parts_of, pen_width, prune
from kshot.data.pictures.thinning import thin
from kshot.errors import DataError, RecipeError

SIDE = 105
"""Side of an Omniglot drawing in pixels; the next three are its usual extent, middle and pen, also in pixels."""
EXTENT = 64.0
MIDDLE = 50.0
PEN = 5.3

_FINE = 3
"""Strokes are thinned and drawn on a canvas this many times as fine as Omniglot's."""
_HAIRLINE = 3.0
"""Pens narrower than this, in pixels of the working size, get a lower threshold."""
_EDGE = 0.1
"""Width of the strip along the picture's edge in which nothing is writing, as a share of the picture's sides."""
_FILLED = 0.9
"""Share of the side that ink fills at zoom 1. The rest is room in which augmentations move, turn and stretch the ink."""
_MOST_ENLARGED = 2.0
"""A skeleton much smaller than its ink was (a dot from a broad pen) stays small."""
_NO_INK = (
    "found no ink on this picture, only specks. Take a picture of dark ink on light paper, or of light ink on a dark ground, "
    "that fills a good part of the frame."
)


def resize_ink(kept: np.ndarray, size: int, zoom: float = 0.0) -> np.ndarray:
    """Drawings at another size, averaged over the area that each new pixel covers.

    Args:
        kept: uint8 (M, 1, H, H), ink 255 on 0.
        size: The new side.
        zoom: 0 takes the whole square. 1 takes the square around the ink whose side is 10 ninths of the ink's longer side. Between them,
            the square's side is H^(1 - zoom) times that one's to the power of zoom, so that what was drawn larger stays larger.
            Above 0 the ink is in the middle.

    Returns:
        uint8 (M, 1, size, size).
    """
    if zoom == 0:
        return resize_bytes(kept, size)
    side, middles, longest = kept.shape[2], [], []
    ink = kept[:, 0] > 0
    for axis in (2, 1):
        lines = np.any(ink, axis)  # rows, then columns, that hold ink: (M, H)
        first, beyond = lines.argmax(1), side - lines[:, ::-1].argmax(1)
        middles.append((first + beyond) // 2)
        longest.append(np.where(lines.any(1), beyond - first, side))  # empty paper is taken whole
    full = np.maximum(*longest) / _FILLED
    windows = np.rint(side ** (1 - zoom) * full**zoom).clip(1, side).astype(np.int64)  # (M,)
    room = side // 2 + 1
    padded = np.pad(kept, ((0, 0), (0, 0), (room, room), (room, room)))
    starts = np.stack(middles, 1) + room - windows[:, None] // 2  # (M, 2)
    resized = np.empty((len(kept), kept.shape[1], size, size), np.uint8)
    for window in np.unique(windows):  # drawings with a window of one size are resized together
        chosen = np.flatnonzero(windows == window)
        cut = [padded[i, :, top : top + window, left : left + window] for i, (top, left) in zip(chosen, starts[chosen], strict=True)]
        resized[chosen] = resize_bytes(np.stack(cut), size)
    return resized


@dataclass(frozen=True)
class Ink:
    """A picture of ink on paper as an Omniglot drawing of `size` × `size` pixels.

    Dark on light or light on dark, any colours that differ, any pen, size and aspect; uneven light, grain, transparency and a
    camera held sideways (EXIF) are handled. The ink is found, cropped, scaled to Omniglot's usual extent with its aspect kept,
    drawn again along its skeleton with Omniglot's pen, and centred.

    A file of Omniglot itself (105 × 105 pixels of one bit, ink rarer than paper) is only resized and zoomed, bit for bit as in training.

    Args:
        size: The side of the result, in pixels.
        zoom: How far a drawing is brought to one common size, from 0 (not at all) to 1; see `resize_ink`. Drawings of Omniglot fill
            two thirds of their side in the median, and only a quarter in some alphabets.
        levels: The range of grey values of more than 8 bits; see `kshot.data.pictures.flat.Levels`.

    Raises:
        RecipeError: The size is not a positive whole number, zoom is not a number from 0 to 1, or levels is no range.

    Example:
        >>> paper = Image.new("L", (300, 200), "white")
        >>> paper.paste(0, (100, 50, 110, 150))
        >>> Ink().read(paper).shape
        (1, 28, 28)
    """

    name: ClassVar[str] = "ink"

    size: int = 28
    zoom: float = 0.0
    levels: Levels = "full"

    def __post_init__(self) -> None:
        if isinstance(self.size, bool) or not isinstance(self.size, int) or self.size < 1:
            raise RecipeError(f"size of 'ink' is a positive whole number of pixels; found {self.size!r}.")
        if isinstance(self.zoom, bool) or not isinstance(self.zoom, int | float) or not 0 <= self.zoom <= 1:
            raise RecipeError(f"zoom of 'ink' is a number from 0 to 1; found {self.zoom!r}.")
        object.__setattr__(self, "levels", checked_levels(self.levels, self.name))  # JSON and TOML know no tuples

    def read(self, thing: object) -> np.ndarray:
        """Return a picture of ink as uint8 (1, size, size), ink 255 on 0.

        Args:
            thing: A path or a Pillow image.

        Raises:
            DataError: It is neither, the file cannot be read, its grey values have no known range, or there is no ink on the picture.
        """
        with opened_picture(thing, LONGER_SIDE, gap_of_eighth=1) as image:
            drawing = _own_form(image)
            if drawing is None:
                drawing = as_drawing(image, self.levels)
        kept: np.ndarray = resize_ink(drawing[None, None].astype(np.uint8) * np.uint8(255), self.size, self.zoom)[0]
        return kept

    def to_input(self, kept: Inputs) -> Inputs:
        """Return kept drawings `(M, 1, size, size)` as float32 in [0, 1], ink 1."""
        return map_inputs(lambda value: value.float() / 255, kept)

    def arguments(self) -> Mapping[str, Any]:
        """Return the fields as plain JSON values."""
        return asdict(self)


def as_drawing(image: Image.Image, levels: Levels = "full") -> np.ndarray:
    """Draw the ink of any picture as an Omniglot drawing: bool (105, 105).

    Raises:
        DataError: There is no ink on it, or its grey values have no known range.
    """
    contrast = find_contrast(flat_rgb(image, LONGER_SIDE, max, levels))
    return _drawn_again(_strokes(contrast))


def _own_form(image: Image.Image) -> np.ndarray | None:
    """Return the mask (105, 105) of a picture that is an Omniglot drawing already, or None.

    The files of Omniglot have one bit per pixel. A grey picture of that size may be anyone's, with any pen: without being drawn again, it
    would not be comparable with other pictures of its class.
    """
    if image.size != (SIDE, SIDE) or image.mode != "1":
        return None
    dark = ~np.asarray(upright(image))
    return dark if 0 < 2 * dark.sum() < dark.size else None


def _strokes(contrast: Contrast) -> np.ndarray:
    """Cut out the strokes of a picture, scaled so that the longer side is Omniglot's extent on the fine canvas: bool."""
    height, threshold, noise = contrast
    mask, pen = _without_specks(height > threshold, height, threshold)
    if pen < _HAIRLINE:  # no pixel is all ink: a line between two pixels is half in each
        threshold = max(0.6 * threshold, min(4 * noise, threshold))
        mask, _ = _without_specks(height > threshold, height, threshold)
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    box = (slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1))
    mask, height = mask[box], height[box]
    # Heights between paper and ink tell where the edge runs inside a pixel; ink that was dropped stays below the threshold.
    soft = np.where(grow(mask, 2), height, np.minimum(height, 0.5 * threshold))
    soft = np.clip(soft, 0, 2 * threshold)
    scale = (EXTENT + PEN) * _FINE / max(soft.shape)
    size = [max(1, round(side * scale)) for side in soft.shape]
    strokes = np.pad(resize_cubic(soft, size[0], size[1], averaged=scale < 1) > threshold, _FINE)
    if not strokes.any():
        raise DataError(_NO_INK)
    return strokes


def _without_specks(mask: np.ndarray, height: np.ndarray, threshold: float) -> tuple[np.ndarray, float]:
    """Remove what is too small, too faint or too close to the picture's edge to be writing, and measure the pen of what is left."""
    parts = parts_of(mask)
    if parts.number == 0:
        raise DataError(_NO_INK)
    areas = parts.areas
    strengths = np.bincount(parts.numbers, height[mask], parts.number) / areas
    boxes = _boxes(parts)
    keep = ~_at_the_edge(boxes, _share_in_strip(parts), mask.shape)
    if not keep.any():
        keep[:] = True
    main = np.arange(parts.number) == np.argmax(np.where(keep, areas * strengths, 0))
    largest = parts.chosen(main)
    skeleton = thin(largest)
    pen = pen_width(largest, skeleton)
    keep &= areas >= max(4.0, 0.25 * pen * pen)
    keep &= strengths >= threshold + 0.3 * (strengths[main] - threshold)
    keep |= main
    tall = boxes[keep, 1].max() - boxes[keep, 0].min() + 1
    wide = boxes[keep, 3].max() - boxes[keep, 2].min() + 1
    if max(tall, wide) < 0.02 * max(mask.shape):
        raise DataError(_NO_INK)
    if np.count_nonzero(keep) == 1:
        return largest, pen
    others = parts.chosen(keep & ~main)
    kept = largest | others
    return kept, pen_width(kept, skeleton | thin(others))  # parts do not touch, so that each is thinned as if alone


def _boxes(parts: Parts) -> np.ndarray:
    """Return the top, bottom, left and right pixels of each part, int64 (number, 4)."""
    boxes = np.tile(np.array([parts.mask.shape[0], -1, parts.mask.shape[1], -1]), (parts.number, 1))
    for side, extreme, values in (
        (0, np.minimum, parts.row),
        (1, np.maximum, parts.row),
        (2, np.minimum, parts.start),
        (3, np.maximum, parts.end - 1),
    ):
        extreme.at(boxes[:, side], parts.part, values)
    return boxes


def _share_in_strip(parts: Parts) -> np.ndarray:
    """Measure which share of each part lies in the strip along the picture's edge, (number,)."""
    height, width = parts.mask.shape
    down, right = round(_EDGE * height), round(_EDGE * width)
    within = np.minimum(parts.end, width - right) - np.maximum(parts.start, right)  # pixels of each run between the strip's sides
    within[(parts.row < down) | (parts.row >= height - down)] = 0
    outside = parts.areas - np.bincount(parts.part, within.clip(0), parts.number)
    share: np.ndarray = outside / parts.areas
    return share


def _at_the_edge(boxes: np.ndarray, share_in_strip: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Find the parts whose place shows that they are not writing: a table beside the sheet, a shadow's rim, a ruled line."""
    height, width = shape
    top, bottom, left, right = boxes.T
    touches = (top == 0) | (bottom == height - 1) | (left == 0) | (right == width - 1)
    across = (left == 0) & (right == width - 1) & (bottom - top + 1 < 0.08 * height)
    down = (top == 0) & (bottom == height - 1) & (right - left + 1 < 0.08 * width)
    at_the_edge: np.ndarray = across | down | (touches & (share_in_strip > 0.8))
    return at_the_edge


def _drawn_again(strokes: np.ndarray) -> np.ndarray:
    """Draw strokes of any pen again with Omniglot's pen, at its extent and place: bool (105, 105)."""
    smooth = _without_roughness(strokes)
    skeleton = thin(smooth)
    pen = pen_width(smooth, skeleton)
    skeleton = prune(skeleton, round(0.35 * pen))
    rows, columns = (axis.astype(np.float64) for axis in np.nonzero(skeleton))
    extent = max(np.ptp(rows), np.ptp(columns))
    scale = min(EXTENT * _FINE / max(extent, 1.0), _MOST_ENLARGED)
    middle = (MIDDLE + 0.5) * _FINE - 0.5
    rows = (rows - (rows.min() + rows.max()) / 2) * scale + middle
    columns = (columns - (columns.min() + columns.max()) / 2) * scale + middle
    drawn = draw_points(rows, columns, SIDE * _FINE, PEN * _FINE).view(np.uint8)
    drawing: np.ndarray = slide(np.add, drawn, _FINE)[::_FINE, ::_FINE] > _FINE * _FINE // 2
    return drawing


def _without_roughness(strokes: np.ndarray) -> np.ndarray:
    """Smooth edges and close pinholes in proportion to the pen, so that the skeleton has no burrs and no rings."""
    pen = pen_width(strokes, thin(strokes))
    paper = parts_of(~strokes, diagonal=False)
    holes = paper.areas < 0.1 * pen * pen
    filled = strokes | paper.chosen(holes) if holes.any() else strokes
    reach = min(int(pen / 6), 6)
    if reach < 1:
        return filled
    window = 2 * reach + 1
    inked = slide(np.add, np.pad(filled.astype(np.int16), reach), window)  # how many pixels of each window are ink
    smooth: np.ndarray = slide(np.add, np.pad(inked, reach), window) > window**4 // 2  # the mean of the windows' means
    return smooth if smooth.any() else filled
