"""A PyTorch network as an ONNX graph: written once per encoder, and kept only if it gives PyTorch's numbers. Needs onnx and onnxscript.

In: a network and an example of what it is given. Out: the bytes of an ONNX file. Next: `kshot.encoders.encoder_folder` keeps them.
"""

import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np

from kshot.encoders.encoder_folder import GRAPH
from kshot.encoders.onnx_file import OnnxFile
from kshot.errors import ContractError, RecipeError, missing_extra
from kshot.printable import printable

if TYPE_CHECKING:
    from torch import Tensor, nn

WITHIN = 1e-4
"""How far a number of the graph may be from PyTorch's."""
OUTPUT = "vectors"


def exported(
    network: "nn.Module", given: Mapping[str, "Tensor"], dynamic: Mapping[str, Mapping[int, str]], *, name: str, extra: str
) -> tuple[bytes, np.ndarray]:
    """Write a network as an ONNX file, and compare the two.

    Args:
        network: Takes the inputs as keyword arguments, and returns vectors (M, D). It is not changed.
        given: An example of each input, in the order of the network's arguments, of at least two items.
        dynamic: Which sizes of an input may be others later, by place, each with a name. Sizes of one name are equal.
        name: Of the encoder, for messages.
        extra: The extra of kshot that installs what is needed.

    Returns:
        The file, whose output is called `vectors`; and the vectors of the example, float32 (M, D).

    Raises:
        SetupError: onnx or onnxscript is not installed.
        RecipeError: The network cannot be written as a graph, or returns anything but one vector per item.
        ContractError: The graph gives other numbers than the network.
    """
    import torch

    try:
        import onnx  # noqa: F401  # what torch.onnx needs
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise missing_extra(error.name or "onnxscript", extra, "writing an encoder as an ONNX file, once,") from error
    dimensions = {of: torch.export.Dim(of) for sizes in dynamic.values() for of in sizes.values()}
    shapes = {one: {place: dimensions[of] for place, of in sizes.items()} for one, sizes in dynamic.items()}
    frozen = _frozen(network, tuple(given))
    with torch.no_grad():
        vectors = frozen(*given.values())
    items = len(next(iter(given.values())))
    if not isinstance(vectors, torch.Tensor) or vectors.ndim != 2 or len(vectors) != items or vectors.dtype != torch.float32:
        form = f"{vectors.dtype} {tuple(vectors.shape)}" if isinstance(vectors, torch.Tensor) else type(vectors).__name__
        raise RecipeError(f"the network of encoder {name!r} must return vectors, float32 ({items}, D), for {items} items; found {form}.")
    try:
        with quiet(), torch.no_grad():
            program: Any = torch.onnx.export(
                frozen,
                tuple(given.values()),
                dynamo=True,
                dynamic_shapes=(tuple(shapes.get(one, {}) for one in given),),
                input_names=list(given),
                output_names=[OUTPUT],
                verbose=False,
            )
            graph: bytes = program.model_proto.SerializeToString()
    except Exception as error:  # what the exporter raises has no class in common
        reason = printable((str(error).splitlines() or [type(error).__name__])[0])
        raise RecipeError(f"the network of encoder {name!r} cannot be written as an ONNX file: {reason}") from error
    with TemporaryDirectory(prefix="kshot-export-") as folder:
        path = Path(folder) / GRAPH
        path.write_bytes(graph)
        found = OnnxFile(path, extra=extra).run({one: value.numpy() for one, value in given.items()})
    off = float(np.abs(found - vectors.numpy()).max()) if found.shape == tuple(vectors.shape) else float("inf")
    if not off <= WITHIN * max(1.0, float(vectors.abs().max())):
        raise ContractError(
            f"the ONNX file of encoder {name!r} differs from its network by {off:.2g}; at most {WITHIN} is allowed. Please report it."
        )
    return graph, vectors.numpy()


def _frozen(network: "nn.Module", names: tuple[str, ...]) -> "nn.Module":
    """Return a module that calls a network by keyword, as it is in evaluation, on the CPU."""
    import copy

    from torch import nn

    class Frozen(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = copy.deepcopy(network).cpu().eval()

        def forward(self, *given: "Tensor") -> "Tensor":
            vectors: Tensor = self.network(**dict(zip(names, given, strict=True)))
            return vectors

    return Frozen().eval()


@contextmanager
def quiet() -> Iterator[None]:
    """Keep what PyTorch and other people's packages say while they load and export from the terminal."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
