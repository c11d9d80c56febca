"""Anybody's ONNX file as an encoder of photographs.

The graph has one input of four dimensions, whose first one is open or 1, and its first output is one vector per photograph. What it takes
is read from the input: uint8 (M, size, size, 3) is given pixels as they are; float32 (M, 3, size, size) is given light in [0, 1], less a
mean, divided by a deviation. Where the file's metadata says nothing else, these are ImageNet's, and an open size is 224:

    kshot.mean         three numbers between 0 and 1, such as 0.5, 0.5, 0.5
    kshot.deviation    likewise
    kshot.size         a number of pixels

In: the path of a file. Out: a `PhotographEncoder`. Next: `kshot.encoders.table`.
"""

from hashlib import file_digest
from pathlib import Path

import numpy as np

from kshot.encoders.encoder import Provenance, fingerprint_of
from kshot.encoders.encoder_folder import MOST_BYTES
from kshot.encoders.onnx_file import OnnxFile
from kshot.encoders.photograph_encoder import IMAGENET_DEVIATION, IMAGENET_MEAN, PART, Layout, PhotographEncoder, PhotographForm
from kshot.errors import RecipeError, SavedError
from kshot.printable import printable
from kshot.regular_file import opened
from kshot.value_types import shortened

_USUAL_SIZE = 224
_LARGEST_SIZE = 1024
_DIGITS = 9
"""Digits of a size in metadata; a longer number is no size."""


def open_onnx_photographs(name: str, device: str = "cpu") -> PhotographEncoder:
    """Open an ONNX file as an encoder of photographs.

    Args:
        name: Its path.
        device: Where the network computes.

    Raises:
        SavedError: There is no such file, or it is damaged.
        RecipeError: Its graph takes no photographs, or gives no vectors.
        SetupError: ONNX Runtime is not installed, or cannot use the device.
    """
    path = Path(name)
    graph = OnnxFile(path, device)
    layout, size = _input(graph)
    light = layout == "light"
    mean = _numbers(graph, "kshot.mean", IMAGENET_MEAN) if light else ()
    deviation = _numbers(graph, "kshot.deviation", IMAGENET_DEVIATION) if light else ()
    if light and min(deviation) <= 0:
        raise _unfit(graph, f"its metadata gives deviations of {deviation}; expected positive numbers")
    form = PhotographForm(
        name, 0, _fingerprint(path, layout, size, mean, deviation), size, layout, mean, deviation, Provenance("unknown", name)
    )
    return PhotographEncoder(graph, form.with_features(_features(PhotographEncoder(graph, form), graph)))


def _input(graph: OnnxFile) -> tuple[Layout, int]:
    """Return what the graph takes, and the size of its photographs."""
    found = ", ".join(f"{port.name} {port.type} {tuple('?' if size is None else size for size in port.shape)}" for port in graph.inputs)
    expected = "expected one input, uint8 (M, size, size, 3) or float32 (M, 3, size, size)"
    if len(graph.inputs) != 1 or len(graph.inputs[0].shape) != 4:
        raise _unfit(graph, f"its inputs are {found or 'none'}; {expected}")
    port = graph.inputs[0]
    first, second, third, last = port.shape
    layouts: dict[tuple[str, bool], tuple[Layout, tuple[int | None, int | None]]] = {
        ("tensor(uint8)", last == 3): ("pixels", (second, third)),
        ("tensor(float)", second == 3): ("light", (third, last)),
    }
    if (port.type, True) not in layouts or first not in (None, 1):
        raise _unfit(graph, f"its inputs are {found}; {expected}, with M open or 1")
    layout, sides = layouts[port.type, True]
    known = {side for side in sides if side is not None}
    if len(known) > 1:
        raise _unfit(graph, f"its inputs are {found}; photographs are squares")
    size = known.pop() if known else _open_size(graph)
    if not 1 <= size <= _LARGEST_SIZE:
        raise _unfit(graph, f"its photographs have {size:,} × {size:,} pixels; 1 to {_LARGEST_SIZE:,} are read")
    return layout, size


def _open_size(graph: OnnxFile) -> int:
    text = graph.metadata.get("kshot.size", str(_USUAL_SIZE))
    if not text.isdecimal() or len(text) > _DIGITS:
        raise _unfit(graph, f"its metadata gives kshot.size as {shortened(text)}; expected a number of pixels")
    return int(text)


def _numbers(graph: OnnxFile, name: str, usual: tuple[float, ...]) -> tuple[float, ...]:
    text = graph.metadata.get(name)
    if text is None:
        return usual
    try:
        values = tuple(float(part) for part in text.strip("[]() ").split(","))
    except ValueError:
        values = ()
    if len(values) != 3 or not all(0 <= value <= 1 for value in values):
        raise _unfit(
            graph, f"its metadata gives {name} as {shortened(text)}; expected three numbers between 0 and 1, such as 0.5, 0.5, 0.5"
        )
    return values


def _features(encoder: PhotographEncoder, graph: OnnxFile) -> int:
    size = encoder.form.size
    try:
        vectors = encoder.encode([np.full((size, size, 3), 127, np.uint8)])
    except ValueError as error:  # numpy's, of an output without an axis
        raise _unfit(graph, f"its first output is no array of vectors ({error}); expected one vector, (1, D)") from error
    if vectors.ndim != 2 or len(vectors) != 1 or vectors.shape[1] < 1:
        raise _unfit(graph, f"its first output is {vectors.dtype} {vectors.shape} for one photograph; expected one vector, (1, D)")
    return int(vectors.shape[1])


def _fingerprint(path: Path, *form: object) -> str:
    try:
        with opened(path, MOST_BYTES) as file:
            return fingerprint_of("onnx photographs", str(PART), file_digest(file, "sha256").hexdigest(), repr(form))
    except OSError as error:
        raise SavedError(f"cannot read {printable(path)}: {error.strerror or error}. Check the path.") from error


def _unfit(graph: OnnxFile, reason: str) -> RecipeError:
    return RecipeError(f"{printable(graph.path)} is no encoder of photographs: {reason}.")
