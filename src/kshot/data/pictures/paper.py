"""Ink told from paper: how much ink each pixel of a photograph holds.

In: a picture from `flat`. Out: a picture of contrast, high where there is ink, and the height that divides ink from paper. Next: `ink`.

The paper is estimated locally, by a median over wide windows, and subtracted; uneven light and shadows go with it. The rest is projected on
the direction in colour space in which it varies most, so that red ink on green paper of the same grey is found. The rarer side is the ink,
so that chalk on slate is found as well.
"""

from functools import cache
from typing import NamedTuple

import numpy as np
from PIL import Image

from kshot.data.pictures.resample import enlarge_linear, slide
from kshot.errors import DataError

LONGER_SIDE = 480
"""The working size of larger pictures: a pen of 4 pixels in a photograph of 2,000 is still one pixel wide."""
_LONGEST_SIDE = 512
"""Pictures up to this size are taken as they are, such as an eighth of a photograph of 12 megapixels: scaling would cost a fifth of all."""
_CELLS = 30
"""The paper is estimated on a grid of this many cells along the longer side."""
_WIDE_CELL = 12
"""Of cells of this many pixels and more, every second row and column is looked at: a quarter of the pixels has nearly the same median."""
_EVEN = 0.15
"""Light is even when the picture's edge departs from a plane by less than this share of the ink's departure."""
_DARKEST = 0.1
"""Added before the logarithm: below a tenth of full light, differences are noise."""
_LEAST_CONTRAST = 0.08
"""Least depth of ink, in logarithms of light: ink that takes less than 8 % of the paper's light cannot be told from paper."""
_LEAST_STEEPNESS = 0.1
"""Somewhere, the edge of a line rises by this share of its height within 5 pixels; light that fades does not."""
_CONTRAST_TO_NOISE = 5.0
_EVERY = 64
"""One of so many values is looked at to learn roughly where a quantile lies."""


class Contrast(NamedTuple):
    """What a picture holds besides its paper.

    Attributes:
        height: float32 (H, W): 0 on paper, high on ink, in standard steps of logarithmic light.
        threshold: The height that divides the two.
        noise: The standard deviation of the height on paper.
    """

    height: np.ndarray
    threshold: float
    noise: float


def find_contrast(image: Image.Image) -> Contrast:
    """Measure how much ink each pixel of a picture holds.

    Args:
        image: RGB, of any size. It is brought to a working size of 240 to 512 pixels along the longer side.

    Returns:
        The contrast at the working size.

    Raises:
        DataError: Nothing stands out of the paper.
    """
    light = _light(_working_size(_one_channel_if_grey(image)))
    light -= _paper(light)
    height = _smooth(_along_most_variance(light))
    steepness = _steepness(height)
    threshold, ink, paper = _divide(height, steepness)
    # Neighbourhoods of 5 × 5 pixels span three standard deviations of smoothed grain; the calmest quarter of them is paper.
    noise = _quantile(steepness, 0.25) / 3
    blurred = steepness.max() < _LEAST_STEEPNESS * (ink - paper)
    if blurred or ink - paper < max(_LEAST_CONTRAST, _CONTRAST_TO_NOISE * noise):
        raise DataError(
            "found no ink on this picture: nothing stands out of its background. Take a picture of dark ink on light paper, or "
            "of light ink on a dark ground, that fills a good part of the frame."
        )
    return Contrast(height, threshold, noise)


def _one_channel_if_grey(image: Image.Image) -> Image.Image:
    """Return a picture whose channels are equal as its first one: what is computed for one of them holds for all."""
    for some in (image.resize((16, 16), Image.Resampling.NEAREST), image):  # of most colour pictures, no more is looked at
        pixels = np.asarray(some)
        if not (np.array_equal(pixels[..., 0], pixels[..., 1]) and np.array_equal(pixels[..., 0], pixels[..., 2])):
            return image
    return image.getchannel(0)


def _working_size(image: Image.Image) -> Image.Image:
    longer = max(image.size)
    if LONGER_SIDE // 2 <= longer <= _LONGEST_SIDE:
        return image
    side = LONGER_SIDE if longer > LONGER_SIDE else LONGER_SIDE // 2
    size = (max(1, round(image.width * side / longer)), max(1, round(image.height * side / longer)))
    return image.resize(size, Image.Resampling.BICUBIC, reducing_gap=3.0 if side < longer else None)


def _light(image: Image.Image) -> np.ndarray:
    """Return the logarithm of light, float32 (C, H, W): one channel or three."""
    channels = image.split()
    light = np.empty((len(channels), image.height, image.width), np.float32)
    for plane, channel in zip(light, channels, strict=True):
        np.divide(np.asarray(channel), np.float32(255), out=plane, dtype=np.float32)
        plane += _DARKEST
        np.log(plane, out=plane)
    return light


def _paper(light: np.ndarray) -> np.ndarray:
    """Estimate the paper at each pixel, (C, H, W): the median of each cell, smoothed over cells."""
    channels, height, width = light.shape
    cell = max(1, -(-max(height, width) // _CELLS))
    rows, columns = -(-height // cell), -(-width // cell)
    filled = np.pad(light, ((0, 0), (0, rows * cell - height), (0, columns * cell - width)), mode="edge")
    cells = filled.reshape(channels, rows, cell, columns, cell)
    if cell >= _WIDE_CELL:
        cells = cells[:, :, 1::2, :, 1::2]
    cells = cells.transpose(1, 3, 0, 2, 4).reshape(rows, columns, channels, -1)
    middle = cells.shape[-1] // 2
    cells.partition(middle)
    grid = cells[..., middle].astype(np.float64)  # (rows, columns, C)
    plane, even = _plane_of_border(grid)
    smooth = plane if even else plane + _median_around(grid - plane)
    return enlarge_linear(smooth.astype(np.float32).transpose(2, 0, 1), cell)[:, :height, :width]


def _median_around(grid: np.ndarray) -> np.ndarray:
    """Take the median of the cells in half a picture around each cell: it follows uneven light and shadows, never a thin pen."""
    rows, columns, channels = grid.shape
    down, right = min(_CELLS // 4, rows - 1), min(_CELLS // 4, columns - 1)
    padded = np.pad(grid.astype(np.float32), ((down, down), (right, right), (0, 0)), mode="reflect")
    windows = np.lib.stride_tricks.sliding_window_view(padded, (2 * down + 1, 2 * right + 1), axis=(0, 1))
    each = np.require(windows.reshape(rows, columns, channels, -1), requirements="W")
    middle = each.shape[-1] // 2  # of an odd number
    each.partition(middle)
    around: np.ndarray = each[..., middle]
    return around


def _plane_of_border(grid: np.ndarray) -> tuple[np.ndarray, bool]:
    """Fit a plane to the cells along the picture's edge, (rows, columns, C), and find out whether the plane alone describes the paper.

    A pen as broad as a cell can fill more than half of a window, whose median is then ink. The edge of a picture is paper.
    """
    rows, columns, channels = grid.shape
    places, border = _places(rows, columns)
    values = grid.reshape(-1, channels)
    places_there, values_there = places[border], values[border]
    plane_there = np.median(values_there, axis=0)
    for _ in range(5):
        off = np.abs(values_there - plane_there).max(1)
        spread = max(3 * _median(off), 1e-3)
        weights = np.clip(1 - (off / spread) ** 2, 0, None)  # ink that runs over the edge gets no weight
        fit, *_ = np.linalg.lstsq(places_there * weights[:, None], values_there * weights[:, None], rcond=None)
        plane_there = places_there @ fit
    plane = places @ fit
    off = np.abs(values - plane).max(1)
    even = _quantile(off[border], 0.8) <= _EVEN * _quantile(off, 0.98)
    return plane.reshape(grid.shape), even


@cache
def _places(rows: int, columns: int) -> tuple[np.ndarray, np.ndarray]:
    """Return (1, row, column) of each cell, as shares of the picture, (cells, 3); and the numbers of the cells along its edge."""
    row, column = (axis.ravel() for axis in np.mgrid[:rows, :columns])
    on_border = (row == 0) | (row == rows - 1) | (column == 0) | (column == columns - 1)
    return np.stack([np.ones(rows * columns), row / rows, column / columns], axis=1), np.flatnonzero(on_border)


def _along_most_variance(beside_paper: np.ndarray) -> np.ndarray:
    """Project (C, H, W) → (H, W) on the direction of most variance, with the rarer and stronger side positive."""
    direction = np.array([3**0.5])  # of one channel that stands for three
    if len(beside_paper) > 1:
        strength = _weighted_sum(beside_paper, beside_paper)  # (H, W)
        strong = np.flatnonzero(strength >= _quantile(strength, 0.95))
        among = beside_paper.reshape(3, -1).take(strong, axis=1).astype(np.float64)  # (3, n)
        direction = np.linalg.eigh(among @ among.T)[1][:, -1]
    along = _weighted_sum(direction.astype(np.float32), beside_paper)
    return -along if (along * along * along).sum() < 0 else along


def _weighted_sum(weights: np.ndarray, planes: np.ndarray) -> np.ndarray:
    """Return Σ weights[c] · planes[c] over the channels c, (H, W); in place, because planes fill a processor's cache."""
    total: np.ndarray = weights[0] * planes[0]
    for weight, plane in zip(weights[1:], planes[1:], strict=True):
        total += weight * plane
    return total


def _smooth(height: np.ndarray) -> np.ndarray:
    """Apply a 3 × 3 binomial filter: it removes the grain of a camera and leaves a pen."""
    for _ in range(2):  # along the columns, then along the rows
        around = np.concatenate([height[:1], height, height[-1:]])
        smooth = 2 * height
        smooth += around[:-2]
        smooth += around[2:]
        smooth /= 4
        height = smooth.T
    return height


def _steepness(height: np.ndarray) -> np.ndarray:
    """Measure how far the heights of the 5 × 5 pixels around each pixel lie apart."""
    around = np.pad(height, 2, mode="edge")
    steepness: np.ndarray = slide(np.maximum, around, 5) - slide(np.minimum, around, 5)
    return steepness


def _divide(height: np.ndarray, steepness: np.ndarray) -> tuple[float, float, float]:
    """Find the threshold of N. Otsu (1979), and the mean heights of ink and paper, among the pixels close to edges.

    A page has far more paper than ink, which pulls Otsu's threshold into the paper's noise. Close to edges, both are equally frequent.
    """
    near_edges = height[steepness > 0.5 * _quantile(steepness, 0.995)]
    if near_edges.size == 0 or np.ptp(near_edges) == 0:
        return 0.0, 0.0, 0.0
    counts, edges = np.histogram(near_edges, bins=128)
    centres = (edges[:-1] + edges[1:]) / 2
    below = np.cumsum(counts)[:-1]
    above = near_edges.size - below
    sums = np.cumsum(counts * centres)
    mean_below = sums[:-1] / np.maximum(below, 1)
    mean_above = (sums[-1] - sums[:-1]) / np.maximum(above, 1)
    best = int(np.argmax(below * above * (mean_above - mean_below) ** 2))
    return float(edges[best + 1]), float(mean_above[best]), float(mean_below[best])


def _quantile(values: np.ndarray, share: float) -> float:
    """Give what `np.quantile` gives, to the last bit or two, several times as fast: only values near it are ordered."""
    flat = values.reshape(-1)
    place = (flat.size - 1) * flat.dtype.type(share)
    before = int(place)
    after, beyond = min(before + 1, flat.size - 1), place - before
    sample = np.sort(flat[::_EVERY])
    room = 2 * int(sample.size**0.5) + 2  # four standard deviations of a place in the sample
    low, high = (sample[np.clip(before // _EVERY + shift, 0, sample.size - 1)] for shift in (-room, room))
    below = int(np.count_nonzero(flat < low))
    near = flat[(flat >= low) & (flat <= high)]
    if below > before or after - below >= near.size:
        below, near = 0, flat
    ordered = np.partition(near, before - below)  # twice as fast as for two places
    one = ordered[before - below]
    other = ordered[after - below :].min()
    return float(other - (other - one) * (1 - beyond) if beyond >= 0.5 else one + (other - one) * beyond)


def _median(values: np.ndarray) -> float:
    """Give what `np.median` gives, (n,), without its preparations, which take longer than a few hundred values do."""
    middle = values.size // 2
    ordered = np.partition(values, (middle - 1 + values.size % 2, middle))
    return float(ordered[middle - 1 + values.size % 2] + ordered[middle]) / 2
