"""An encoder of photographs that learns: its last blocks in PyTorch, and photographs cropped, mirrored and coloured anew each time.

A photograph is kept as its middle square. What the encoder sees of it is the middle seven eighths; in training it sees another part each
time: half to all of the square, up to a third wider than high or higher than wide, mirrored in half of the cases, and with up to a quarter
more or less light, contrast and colour. In: a network that `kshot.encoders.photograph_export` has built. Out: a `Tunable`. Next:
`kshot.tasks.tune`. PyTorch is imported in functions.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageEnhance

from kshot.encoders.photograph_encoder import PART, PhotographEncoder

if TYPE_CHECKING:
    from torch import Tensor, nn

_AT_ONCE = 16
"""Photographs in a part of a batch: about 1 GB in training where the last blocks learn."""
_LEAST_AREA, _MOST_RATIO, _MOST_COLOUR = 0.5, 4 / 3, 0.25


class TunablePhotographs:
    """The network of an encoder of photographs. See `Tunable`.

    Args:
        frozen: Reads photographs.
        network: Takes `pixels`, uint8 (M, size, size, 3), and returns vectors (M, D).
        trained: Its parameters that are trained.
        files: Writes the network, as it is then, as the files of an encoder with the given fingerprint.
    """

    most_cost = _AT_ONCE

    def __init__(
        self,
        frozen: PhotographEncoder,
        network: "nn.Module",
        trained: "Iterable[nn.Parameter]",
        files: Callable[[str], Mapping[str, bytes]],
    ) -> None:
        self.network = network.requires_grad_(False)
        for parameter in trained:
            parameter.requires_grad_(True)
        self._frozen, self._files = frozen, files

    def read(self, thing: object) -> np.ndarray:
        """Return the middle square of a photograph, uint8 (S, S, 3). Errors are those of `Encoder.read`, which sees its middle part."""
        return self._frozen.read_square(thing, square_side(self._frozen.form.size))

    def cost(self, item: np.ndarray) -> int:
        """Return 1: all photographs have one size."""
        return 1

    def given(self, items: Sequence[np.ndarray], seeds: Sequence[int] | None = None) -> "Mapping[str, Tensor]":
        """Return the pixels of M photographs, uint8 (M, size, size, 3): the middle part, or with seeds, varied."""
        import torch

        size = self._frozen.form.size
        seen = [middle(item, size) for item in items] if seeds is None else [varied(*one, size) for one in zip(items, seeds, strict=True)]
        return {"pixels": torch.from_numpy(np.stack(seen))}

    def files(self, fingerprint: str) -> Mapping[str, bytes]:
        """Write the network. See `Tunable.files`."""
        return self._files(fingerprint)


def square_side(size: int) -> int:
    """Return S, the side of the largest square around `size` pixels that begins and ends at whole pixels.

    Example:
        >>> square_side(224), square_side(260)
        (256, 296)
    """
    return size + 2 * math.floor(size * (1 / PART - 1) / 2 + 1e-9)  # 224 gives 15.999… for 16


def middle(square: np.ndarray, size: int) -> np.ndarray:
    """Return the middle part of a square, (size, size, 3)."""
    start = (len(square) - size) // 2
    return square[start : start + size, start : start + size]


def varied(square: np.ndarray, seed: int, size: int) -> np.ndarray:
    """Return a part of a square, mirrored or not, in other light and colours: uint8 (size, size, 3), a function of the seed.

    Args:
        square: uint8 (S, S, 3).
        seed: By which all is drawn.
        size: Of the part, in pixels.
    """
    random, side = np.random.default_rng(seed), len(square)
    area, ratio = random.uniform(_LEAST_AREA, 1), math.exp(random.uniform(-1, 1) * math.log(_MOST_RATIO))
    width, height = (min(side, side * math.sqrt(area * one)) for one in (ratio, 1 / ratio))
    left, top = random.uniform(0, side - width), random.uniform(0, side - height)
    image = Image.fromarray(square).resize((size, size), Image.Resampling.BILINEAR, box=(left, top, left + width, top + height))
    if random.random() < 0.5:
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    for enhance in (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color):
        image = enhance(image).enhance(random.uniform(1 - _MOST_COLOUR, 1 + _MOST_COLOUR))
    return np.asarray(image)
