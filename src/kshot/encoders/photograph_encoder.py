"""Photographs to vectors through an ONNX file: read at the size of the network, cropped to the middle square, a few at a time.

    pixels    the graph takes uint8 (M, size, size, 3) and scales them itself; so do all graphs that kshot writes
    light     the graph takes float32 (M, 3, size, size): light in [0, 1], less a mean, divided by a deviation, per channel

Of a picture, the middle square is taken, seven eighths of its shorter side, and brought to `size`. That is how the networks were tested on
ImageNet, and it measures best. In: an ONNX file and a `PhotographForm`. Out: an `Encoder`. Next: `kshot.encoders.embed`.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal, TypedDict

import numpy as np
from PIL import Image

from kshot.data.pictures.flat import flat_rgb
from kshot.data.pictures.picture_file import opened_picture
from kshot.encoders.encoder import Provenance, Reads, Tunable, cannot_learn
from kshot.encoders.encoder_folder import GRAPH, MOST_BYTES, described, read_description, write_files
from kshot.encoders.onnx_file import OnnxFile
from kshot.errors import DataError, SavedError
from kshot.printable import printable
from kshot.regular_file import read_bytes
from kshot.short_repr import short_repr

KIND = "photographs"
PART = 0.875
"""Of the shorter side of a picture, in its middle, that the network sees."""
IMAGENET_MEAN, IMAGENET_DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of light in [0, 1]: what most networks for photographs were trained with."""
_AT_ONCE = 4
"""Photographs that one thread computes at a time. Maps of more do not fit into a processor's cache."""
_ON_GPU = 64

Layout = Literal["pixels", "light"]


@dataclass(frozen=True)
class PhotographForm:
    """What an encoder of photographs is, beside its graph.

    Attributes:
        name: As `--encoder` takes it.
        features: D.
        fingerprint: As of every encoder.
        size: Side of the square that the network sees, in pixels.
        layout: What the graph takes; see above.
        mean: Of `light`, for red, green and blue; empty for `pixels`.
        deviation: Likewise.
        provenance: Of the weights.
    """

    name: str
    features: int
    fingerprint: str
    size: int
    layout: Layout
    mean: tuple[float, ...]
    deviation: tuple[float, ...]
    provenance: Provenance

    def with_features(self, features: int) -> "PhotographForm":
        """Return the same form for another D."""
        return replace(self, features=features)


class PhotographDescription(TypedDict):
    """What `encoder.json` holds: the fields of a `PhotographForm`, and the SHA-256 of each file."""

    kind: str
    name: str
    features: int
    fingerprint: str
    size: int
    layout: Layout
    mean: list[float]
    deviation: list[float]
    provenance: dict[str, str]
    digests: dict[str, str]


class PhotographEncoder:
    """A frozen network for photographs.

    Args:
        graph: Its ONNX file.
        form: What it is.
        held: What keeps the file there, if it lies in a temporary folder.
        learns: Loads the network that the graph was written from; None if it is not here.
    """

    def __init__(
        self,
        graph: OnnxFile,
        form: PhotographForm,
        *,
        held: object = None,
        learns: "Callable[[PhotographEncoder], Tunable] | None" = None,
    ) -> None:
        self.name, self.features, self.fingerprint, self.provenance = form.name, form.features, form.fingerprint, form.provenance
        self.reads: Reads = "photographs"
        self.form = form
        self._graph, self._held, self._learns = graph, held, learns

    def __repr__(self) -> str:
        size = f"{self.form.size}×{self.form.size} pixels"
        return short_repr("PhotographEncoder", [repr(self.name), size, f"features={self.features}", f"fingerprint={self.fingerprint!r}"])

    def read(self, thing: object) -> np.ndarray:
        """Return a photograph as uint8 (size, size, 3).

        Args:
            thing: A path, a Pillow image, or an array of pixels, uint8 (H, W, 3) or (H, W).

        Raises:
            DataError: It is none of these, or the file cannot be read; the message says why.
        """
        return self.read_square(thing, self.form.size)

    def read_square(self, thing: object, pixels: int) -> np.ndarray:
        """Return the middle square of a photograph at the scale of `read`, uint8 (pixels, pixels, 3). Errors are those of `read`.

        Args:
            thing: As of `read`.
            pixels: Side of the square, at most `size` / `PART`. The middle `size` pixels of it are what `read` returns, to rounding.
        """
        if isinstance(thing, np.ndarray):
            thing = _image(thing)
        needed = math.ceil(self.form.size / PART)
        with opened_picture(thing, needed, min) as image:
            flat = flat_rgb(image, needed, min)
        side = PART * min(flat.size) * pixels / self.form.size
        left, top = (flat.width - side) / 2, (flat.height - side) / 2
        square = flat.resize((pixels, pixels), Image.Resampling.BILINEAR, box=(left, top, left + side, top + side), reducing_gap=3.0)
        return np.asarray(square)

    def tunable(self) -> Tunable:
        """Load the network. See `TunableEncoder.tunable`."""
        if self._learns is None:
            raise cannot_learn(self.name)
        return self._learns(self)

    def encode(self, items: Sequence[Any]) -> np.ndarray:
        """Return the vectors (M, D) of M photographs as `read` gives them."""
        if not items:
            return np.empty((0, self.features), np.float32)
        step = self._graph.inputs[0].shape[0] or (_AT_ONCE if self._graph.device == "cpu" else _ON_GPU)
        found = self._graph.run_each([self.inputs(items[start : start + step]) for start in range(0, len(items), step)])
        return np.concatenate(found).astype(np.float32, copy=False)

    def write(self, folder: Path) -> None:
        """Write the encoder into a folder; see `PortableEncoder.write`."""
        write_files(folder, photograph_files(self.form, _content(self._graph.path)))

    @property
    def input_form(self) -> Mapping[str, Any]:
        """What the graph takes, in words."""
        size = self.form.size
        square = (
            f"the middle square of the upright photograph, {PART:g} of its shorter side, at {size} × {size} pixels, red, green and blue"
        )
        if self.form.layout == "pixels":
            return {self._graph.inputs[0].name: f"uint8 (M, {size}, {size}, 3): {square}"}
        light = f"float32 (M, 3, {size}, {size}): {square}; light in [0, 1], less the mean, divided by the deviation"
        return {self._graph.inputs[0].name: light, "mean": list(self.form.mean), "deviation": list(self.form.deviation)}

    def inputs(self, items: Sequence[np.ndarray]) -> Mapping[str, np.ndarray]:
        """Return what the graph takes for M photographs as `read` gives them. See `GraphEncoder.inputs`."""
        pixels = np.stack(items)  # (M, size, size, 3)
        if self.form.layout == "pixels":
            return {self._graph.inputs[0].name: pixels}
        mean, deviation = (np.array(values, np.float32) for values in (self.form.mean, self.form.deviation))
        light = (pixels.astype(np.float32) / np.float32(255) - mean) / deviation
        return {self._graph.inputs[0].name: np.ascontiguousarray(light.transpose(0, 3, 1, 2))}  # (M, 3, size, size)


def photograph_files(form: PhotographForm, graph: bytes) -> dict[str, bytes]:
    """Return the files of an encoder by name; see `kshot.encoders.encoder_folder`."""
    return described({"kind": KIND, **asdict(form)}, {GRAPH: graph})


def read_photograph_encoder(
    folder: Path,
    device: str = "cpu",
    *,
    name: str = "",
    held: object = None,
    learns: Callable[[PhotographEncoder], Tunable] | None = None,
) -> PhotographEncoder:
    """Open an encoder of photographs from its folder.

    Args:
        folder: Holds the files.
        device: Where the network computes.
        name: As `--encoder` took it; empty: as the folder says.
        held: What keeps the folder there, if it is a temporary one.
        learns: Loads the network that the graph was written from; None if it is not here.

    Raises:
        SavedError: A file is missing or damaged.
        SetupError: ONNX Runtime is not installed, or cannot use the device.
    """
    found: PhotographDescription = read_description(folder, PhotographDescription, KIND)
    form = form_of(found, name)
    return PhotographEncoder(OnnxFile(folder / GRAPH, device), form, held=held, learns=learns)


def form_of(found: PhotographDescription, name: str = "") -> PhotographForm:
    """Return the form that a description gives; `name` takes the place of its own, unless it is empty."""
    return PhotographForm(
        name or found["name"],
        found["features"],
        found["fingerprint"],
        found["size"],
        found["layout"],
        tuple(found["mean"]),
        tuple(found["deviation"]),
        Provenance(**{part: found["provenance"].get(part, "") for part in ("licence", "source", "package")}),
    )


def _image(pixels: np.ndarray) -> Image.Image:
    if pixels.dtype != np.uint8 or not (pixels.ndim == 2 or (pixels.ndim == 3 and pixels.shape[2] == 3)) or 0 in pixels.shape:
        raise DataError(
            f"an array of pixels is uint8 (H, W, 3), or (H, W) for grey; found {pixels.dtype} {pixels.shape}. Bring it to that form."
        )
    return Image.fromarray(pixels)


def _content(path: Path) -> bytes:
    try:
        return read_bytes(path, MOST_BYTES)
    except OSError as error:
        raise SavedError(f"cannot read {printable(path)}: {error.strerror or error}. The encoder cannot be written without it.") from error
