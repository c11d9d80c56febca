"""Ink on paper, brought to the form of Omniglot's drawings: the preprocessing of learners trained on them.

In: a photograph, scan or drawing of any size, colour and pen. Out: uint8 (1, size, size), ink 255 on 0. Next: any data set of
pictures, and prediction.

The form was measured on 3,000 drawings of Omniglot, 105 × 105 pixels of one bit: the longer side of what the pen's middle
passed is 64 pixels in the median (54 to 72 for half of them), its middle is near pixel (50, 50), and the pen is 5 pixels wide.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from kshot.data.inputs import Inputs, map_inputs
from kshot.data.pictures.paper import Contrast, find_contrast, flat_rgb
from kshot.data.pictures.strokes import draw_points, grow, parts_of, pen_width, prune, thin
from kshot.errors import DataError, RecipeError

SIDE = 105
"""Of an Omniglot drawing, in pixels, as are the next three."""
EXTENT = 64.0
MIDDLE = 50.0
PEN = 5.3

_FINE = 3
"""Strokes are thinned and drawn on a canvas this many times as fine as Omniglot's."""
_HAIRLINE = 3.0
"""Pens narrower than this, in pixels of the working size, are thresholded lower."""
_EDGE = 0.1
"""How wide the strip along the picture's edge is, as a share of its sides, in which things are not writing."""
_FILLED = 0.9
"""Of the side of a picture that is zoomed in to the full: what is left is room to move, turn and stretch the ink in."""
_MOST_ENLARGED = 2.0
"""A skeleton much smaller than its ink was (a dot from a broad pen) stays small."""
_NO_INK = (
    "found no ink on this picture, only specks. Take a picture of dark ink on light paper, or of light ink on a dark ground, "
    "that fills a good part of the frame."
)


def resize_ink(kept: Tensor, size: int, zoom: float = 0.0) -> Tensor:
    """Drawings at another size, averaged over the area that each new pixel covers.

    Args:
        kept: uint8 (M, 1, H, H), ink 255 on 0.
        size: The new side.
        zoom: 0 takes the whole square. 1 takes the square around the ink whose sides its longer side fills to 9 tenths; between them
            the square's side is H^(1 - zoom) times that one's to the power of zoom, so that what was drawn larger stays larger.
            Above 0 the ink is in the middle.

    Returns:
        uint8 (M, 1, size, size).
    """
    if zoom == 0:
        return _resize(kept, size)
    side, middles, longest = kept.shape[2], [], []
    for lines in (kept[:, 0].amax(2) > 0, kept[:, 0].amax(1) > 0):  # rows, then columns, that hold ink: (M, H)
        first, beyond = lines.byte().argmax(1), side - lines.flip(1).byte().argmax(1)
        middles.append((first + beyond) // 2)
        longest.append(torch.where(lines.any(1), beyond - first, side))  # empty paper is taken whole
    full = torch.maximum(*longest).double() / _FILLED
    windows = (side ** (1 - zoom) * full**zoom).round().clamp(1, side).long()  # (M,)
    room = side // 2 + 1
    padded = F.pad(kept, (room, room, room, room))
    starts = torch.stack(middles, 1) + room - windows[:, None] // 2  # (M, 2)
    resized = kept.new_empty(len(kept), kept.shape[1], size, size)
    for window in windows.unique().tolist():  # drawings with a window of one size are resized together
        chosen = (windows == window).nonzero()[:, 0]
        cut = [
            padded[i, :, top : top + window, left : left + window] for i, (top, left) in zip(chosen, starts[chosen].tolist(), strict=True)
        ]
        resized[chosen] = _resize(torch.stack(cut), size)
    return resized


def _resize(kept: Tensor, size: int) -> Tensor:
    return F.interpolate(kept, size=(size, size), mode="bilinear", antialias=True)  # (M, 1, size, size)


@dataclass(frozen=True)
class Ink:
    """A picture of ink on paper as an Omniglot drawing of `size` × `size` pixels.

    Dark on light or light on dark, any colours that differ, any pen, size and aspect; uneven light, grain, transparency and a
    camera held sideways (EXIF) are seen to. The ink is found, cropped, scaled to Omniglot's usual extent with its aspect kept,
    drawn again along its skeleton with Omniglot's pen, and centred.

    A file of Omniglot itself (105 × 105 pixels of one bit, ink rarer than paper) is only resized and zoomed, to the bit as in training.

    Args:
        size: The side of what comes out, in pixels.
        zoom: How much of the way, from 0 to 1, a drawing is brought to one common size; see `resize_ink`. Drawings of Omniglot fill
            two thirds of their side in the median, those of some alphabets a quarter.

    Raises:
        RecipeError: The size is not a positive whole number, or zoom is not a number from 0 to 1.

    Example:
        >>> paper = Image.new("L", (300, 200), "white")
        >>> paper.paste(0, (100, 50, 110, 150))
        >>> Ink().picture(paper).shape
        (1, 28, 28)
    """

    name: ClassVar[str] = "ink"

    size: int = 28
    zoom: float = 0.0

    def __post_init__(self) -> None:
        if isinstance(self.size, bool) or not isinstance(self.size, int) or self.size < 1:
            raise RecipeError(f"size of 'ink' is a positive whole number of pixels; found {self.size!r}.")
        if isinstance(self.zoom, bool) or not isinstance(self.zoom, int | float) or not 0 <= self.zoom <= 1:
            raise RecipeError(f"zoom of 'ink' is a number from 0 to 1; found {self.zoom!r}.")

    def picture(self, image: Image.Image) -> np.ndarray:
        """A picture of ink as uint8 (1, size, size), ink 255 on 0.

        Raises:
            DataError: There is no ink on it.
        """
        drawing = _own_form(image)
        if drawing is None:
            drawing = as_drawing(image)
        kept = torch.from_numpy(drawing.astype(np.uint8) * np.uint8(255))[None, None]  # (1, 1, 105, 105)
        return resize_ink(kept, self.size, self.zoom)[0].numpy()

    def to_input(self, kept: Inputs) -> Inputs:
        """Kept drawings `(M, 1, size, size)` as float32 in [0, 1], ink 1."""
        return map_inputs(lambda value: value.float() / 255, kept)

    def arguments(self) -> Mapping[str, Any]:
        """The fields, as plain JSON values."""
        return asdict(self)


def as_drawing(image: Image.Image) -> np.ndarray:
    """The ink of any picture as an Omniglot drawing: bool (105, 105).

    Raises:
        DataError: There is no ink on it.
    """
    contrast = find_contrast(flat_rgb(image))
    return _drawn_again(_strokes(contrast))


def _own_form(image: Image.Image) -> np.ndarray | None:
    """The mask (105, 105) of a picture that is an Omniglot drawing already, or None.

    The files of Omniglot are of one bit a pixel. Grey ones of that size are anyone's, whatever the pen, and mixed with others they would
    be compared with what they are not.
    """
    if image.size != (SIDE, SIDE) or image.mode != "1":
        return None
    dark = ~np.asarray(image)
    return dark if 0 < 2 * dark.sum() < dark.size else None


def _strokes(contrast: Contrast) -> np.ndarray:
    """The strokes of a picture, cut out and scaled so that the longer side is Omniglot's extent on the fine canvas: bool."""
    height, threshold, noise = contrast
    mask = _without_specks(height > threshold, height, threshold)
    if pen_width(mask, thin(mask)) < _HAIRLINE:  # no pixel is all ink: where a line runs between two, each holds half of it
        threshold = max(0.6 * threshold, min(4 * noise, threshold))
        mask = _without_specks(height > threshold, height, threshold)
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    top, bottom, left, right = rows[0], rows[-1] + 1, columns[0], columns[-1] + 1
    # Heights between paper and ink carry where the edge runs inside a pixel; ink that was dropped stays below the threshold.
    soft = np.where(grow(mask, 2), height, np.minimum(height, 0.5 * threshold))[top:bottom, left:right]
    soft = np.clip(soft, 0, 2 * threshold)
    scale = (EXTENT + PEN) * _FINE / max(soft.shape)
    size = [max(1, round(side * scale)) for side in soft.shape]
    scaled = F.interpolate(torch.from_numpy(soft)[None, None], size=size, mode="bicubic", antialias=scale < 1)[0, 0]
    strokes: np.ndarray = F.pad(scaled > threshold, (_FINE, _FINE, _FINE, _FINE)).numpy()
    if not strokes.any():
        raise DataError(_NO_INK)
    return strokes


def _without_specks(mask: np.ndarray, height: np.ndarray, threshold: float) -> np.ndarray:
    """The mask without what is too small, too faint or too close to the picture's edge to have been written."""
    labels, count = parts_of(mask)
    if count == 0:
        raise DataError(_NO_INK)
    pixels = labels[mask] - 1
    areas = np.bincount(pixels, minlength=count)
    strengths = np.bincount(pixels, height[mask], minlength=count) / areas
    rows, columns = np.nonzero(mask)
    boxes = np.empty((count, 4), dtype=np.int64)  # top, bottom, left, right, inclusive
    for column, (values, extreme, start) in enumerate(
        [
            (rows, np.minimum, mask.shape[0]),
            (rows, np.maximum, -1),
            (columns, np.minimum, mask.shape[1]),
            (columns, np.maximum, -1),
        ]
    ):
        limits = np.full(count, start, dtype=np.int64)
        extreme.at(limits, pixels, values)
        boxes[:, column] = limits
    keep = ~_at_the_edge(boxes, _share_in_strip(labels, areas), mask.shape)
    if not keep.any():
        keep[:] = True
    main = int(np.argmax(np.where(keep, areas * strengths, 0)))
    pen = pen_width(labels == main + 1, thin(labels == main + 1))
    keep &= areas >= max(4.0, 0.25 * pen * pen)
    keep &= strengths >= threshold + 0.3 * (strengths[main] - threshold)
    keep[main] = True
    tall = boxes[keep, 1].max() - boxes[keep, 0].min() + 1
    wide = boxes[keep, 3].max() - boxes[keep, 2].min() + 1
    if max(tall, wide) < 0.02 * max(mask.shape):
        raise DataError(_NO_INK)
    return np.isin(labels, np.flatnonzero(keep) + 1)


def _share_in_strip(labels: np.ndarray, areas: np.ndarray) -> np.ndarray:
    """How much of each part lies in the strip along the picture's edge, (n,)."""
    height, width = labels.shape
    strip = np.ones(labels.shape, dtype=bool)
    down, right = round(_EDGE * height), round(_EDGE * width)
    strip[down : height - down, right : width - right] = False
    share: np.ndarray = np.bincount(labels[strip], minlength=areas.size + 1)[1:] / areas
    return share


def _at_the_edge(boxes: np.ndarray, share_in_strip: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Which parts are no writing by where they lie: a table beside the sheet, a shadow's rim, a ruled line across the page."""
    height, width = shape
    top, bottom, left, right = boxes.T
    touches = (top == 0) | (bottom == height - 1) | (left == 0) | (right == width - 1)
    across = (left == 0) & (right == width - 1) & (bottom - top + 1 < 0.08 * height)
    down = (top == 0) & (bottom == height - 1) & (right - left + 1 < 0.08 * width)
    at_the_edge: np.ndarray = across | down | (touches & (share_in_strip > 0.8))
    return at_the_edge


def _drawn_again(strokes: np.ndarray) -> np.ndarray:
    """Strokes of any pen drawn with Omniglot's, at its extent and place: bool (105, 105)."""
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
    drawn = torch.from_numpy(draw_points(rows, columns, SIDE * _FINE, PEN * _FINE))
    drawing: np.ndarray = (F.avg_pool2d(drawn[None, None].float(), _FINE) > 0.5)[0, 0].numpy()
    return drawing


def _without_roughness(strokes: np.ndarray) -> np.ndarray:
    """Edges smoothed and pinholes closed in measure with the pen, so that the skeleton has no burrs and no rings."""
    pen = pen_width(strokes, thin(strokes))
    labels, count = parts_of(~strokes, diagonal=False)
    areas = np.bincount(labels.ravel(), minlength=count + 1)
    areas[0] = 0
    filled: np.ndarray = strokes | ((areas < 0.1 * pen * pen) & (areas > 0))[labels]
    reach = min(int(pen / 6), 6)
    if reach < 1:
        return filled
    soft = F.avg_pool2d(torch.from_numpy(filled)[None, None].float(), 2 * reach + 1, 1, reach)
    smooth: np.ndarray = (F.avg_pool2d(soft, 2 * reach + 1, 1, reach) > 0.5)[0, 0].numpy()
    return smooth if smooth.any() else filled
