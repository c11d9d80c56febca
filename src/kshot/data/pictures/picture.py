"""Photographs and other pictures as squares of a fixed size: the preprocessing of learners of colour or grey pictures.

In: a path or a Pillow image. Out: uint8 (channels, size, size). Next: any data set of pictures, and prediction.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from PIL import Image

from kshot.data.inputs import Inputs, map_inputs
from kshot.data.pictures.flat import Levels, checked_levels, flat_rgb
from kshot.data.pictures.picture_file import opened_picture
from kshot.errors import RecipeError

if TYPE_CHECKING:
    from torch import Tensor

MEAN = {3: (0.485, 0.456, 0.406), 1: (0.5,)}
STD = {3: (0.229, 0.224, 0.225), 1: (0.25,)}
"""Mean and spread of light in [0, 1]: the usual constants of ImageNet for colour, round numbers for grey."""


@dataclass(frozen=True)
class Picture:
    """A picture as `size` × `size` pixels, its aspect kept, upright as its EXIF says.

    Palettes become colours; transparent parts become white, or black under light drawings; 16 bits per channel
    become 8.

    Args:
        size: The side, in pixels.
        channels: 3 for colour, 1 for grey.
        fit: `crop` brings the shorter side to `size` and keeps the middle; `pad` brings the longer side to `size` and fills the rest
            with the mean colour of the picture's edge.
        levels: The range of grey values of more than 8 bits; see `kshot.data.pictures.flat.Levels`.

    Raises:
        RecipeError: An argument has another value than these.

    Example:
        >>> Picture(size=32, channels=1).read(Image.new("RGB", (640, 480))).shape
        (1, 32, 32)
    """

    name: ClassVar[str] = "picture"

    size: int = 84
    channels: int = 3
    fit: Literal["crop", "pad"] = "crop"
    levels: Levels = "full"

    def __post_init__(self) -> None:
        if isinstance(self.size, bool) or not isinstance(self.size, int) or self.size < 1:
            raise RecipeError(f"size of 'picture' is a positive whole number of pixels; found {self.size!r}.")
        if isinstance(self.channels, bool) or self.channels not in (1, 3):
            raise RecipeError(f"channels of 'picture' is 3 for colour or 1 for grey; found {self.channels!r}.")
        if self.fit not in ("crop", "pad"):
            raise RecipeError(f"fit of 'picture' is 'crop' or 'pad'; found {self.fit!r}.")
        object.__setattr__(self, "levels", checked_levels(self.levels, self.name))  # JSON and TOML know no tuples

    def read(self, thing: object) -> np.ndarray:
        """Return a picture as uint8 (channels, size, size).

        Args:
            thing: A path or a Pillow image.

        Raises:
            DataError: It is neither, the file cannot be read, or its grey values have no known range.
        """
        measure = min if self.fit == "crop" else max
        with opened_picture(thing, self.size, measure) as image:
            flat = flat_rgb(image, self.size, measure, self.levels)
            upright = flat if self.channels == 3 else flat.convert("L")
            square = self._cropped(upright) if self.fit == "crop" else self._padded(upright)
        pixels = np.asarray(square)
        return np.ascontiguousarray(pixels[None] if self.channels == 1 else pixels.transpose(2, 0, 1))  # (C, size, size)

    def to_input(self, kept: Inputs) -> Inputs:
        """Return kept pictures `(M, C, size, size)` as float32: light in [0, 1], less `MEAN`, divided by `STD`."""
        return map_inputs(self._standardised, kept)

    def arguments(self) -> Mapping[str, Any]:
        """Return the fields as plain JSON values."""
        return asdict(self)

    def _standardised(self, kept: "Tensor") -> "Tensor":
        light = kept.float() / 255
        mean = light.new_tensor(MEAN[self.channels]).view(-1, 1, 1)
        std = light.new_tensor(STD[self.channels]).view(-1, 1, 1)
        return (light - mean) / std

    def _cropped(self, image: Image.Image) -> Image.Image:
        side = min(image.size)
        left, top = (image.width - side) / 2, (image.height - side) / 2
        box = (left, top, left + side, top + side)
        return image.resize((self.size, self.size), Image.Resampling.BICUBIC, box=box, reducing_gap=3.0)

    def _padded(self, image: Image.Image) -> Image.Image:
        scale = self.size / max(image.size)
        width, height = (max(1, round(side * scale)) for side in image.size)
        small = image.resize((width, height), Image.Resampling.BICUBIC, reducing_gap=3.0)
        pixels = np.asarray(small).reshape(height, width, -1)
        edge = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
        mean = [round(float(value)) for value in edge.mean(0)]
        square = Image.new(image.mode, (self.size, self.size), mean[0] if self.channels == 1 else tuple(mean))
        square.paste(small, ((self.size - width) // 2, (self.size - height) // 2))
        return square
