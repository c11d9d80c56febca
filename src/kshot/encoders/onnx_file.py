"""An ONNX file, run by ONNX Runtime. Its graph is loaded when it is first needed: whose vectors are all kept needs none.

On a processor, several parts of a batch are computed at once, each on one thread. No thread waits for another inside a layer, so that the
rate holds when the machine has other work, and a number does not depend on how many threads there are. On a GPU, parts follow each other.
"""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from kshot.data.reading import cores
from kshot.errors import RecipeError, SavedError, SetupError, missing_extra
from kshot.printable import printable
from kshot.regular_file import look
from kshot.short_repr import short_repr

_PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}


@dataclass(frozen=True)
class Port:
    """An input or an output of a graph.

    Attributes:
        name: Its name.
        type: ONNX Runtime's name of its type, such as `tensor(float)`.
        shape: Its sizes; None for those that the graph leaves open.
    """

    name: str
    type: str
    shape: tuple[int | None, ...]


class OnnxFile:
    """An ONNX file.

    Args:
        path: The file.
        device: `cpu`, `cuda` (the first GPU), or `cuda:1`.
        extra: The extra of kshot that installs ONNX Runtime, for the message where it is missing.

    Raises:
        SavedError: There is no such file; or, when it is first needed, it is damaged.
        RecipeError: There is no device of that name.
        SetupError: ONNX Runtime is not installed, or has no GPU.
    """

    def __init__(self, path: Path, device: str = "cpu", *, extra: str = "photos") -> None:
        self._runtime = _runtime(extra)
        self._provider = _provider(device, self._runtime)
        if (found := look(path, SavedError)) != "file":
            there = {"folder": "there is a folder", "nothing": "there is nothing"}.get(found, "it is no regular file")
            raise SavedError(f"{printable(path)} is no ONNX file: {there}. Check the path.")
        self.path, self.device = path, device

    def __repr__(self) -> str:
        return short_repr("OnnxFile", [f"'{printable(self.path)}'", f"device={self.device!r}"])

    @cached_property
    def _open(self) -> "_Open":
        options = self._runtime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3
        try:  # without the fallback, which prints
            session = self._runtime.InferenceSession(str(self.path), options, providers=[self._provider], enable_fallback=0)
            inputs, outputs = (tuple(map(_port, ports)) for ports in (session.get_inputs(), session.get_outputs()))
            return _Open(session, inputs, outputs, dict(session.get_modelmeta().custom_metadata_map))
        except Exception as error:  # ONNX Runtime's errors have no class in common; a damaged name is no UTF-8
            raise SavedError(f"cannot open {printable(self.path)} as an ONNX file: {_first_line(error)}. Make or copy it again.") from error

    @property
    def inputs(self) -> tuple[Port, ...]:
        """What the graph takes."""
        return self._open.inputs

    @property
    def outputs(self) -> tuple[Port, ...]:
        """What it gives."""
        return self._open.outputs

    @property
    def metadata(self) -> Mapping[str, str]:
        """Texts by name that the file holds beside the graph."""
        return self._open.metadata

    def run(self, given: Mapping[str, np.ndarray]) -> np.ndarray:
        """Return the first output for inputs by name.

        Raises:
            SavedError: The graph does not take them.
        """
        session = self._open.session
        try:
            found: np.ndarray = session.run([self.outputs[0].name], dict(given))[0]
        except Exception as error:  # ONNX Runtime's errors have no class in common
            shapes = ", ".join(f"{name} {value.dtype} {value.shape}" for name, value in given.items())
            raise SavedError(f"{printable(self.path)} cannot be computed with {shapes}: {_first_line(error)}.") from error
        return found

    def run_each(self, parts: Sequence[Mapping[str, np.ndarray]]) -> list[np.ndarray]:
        """Return the first output for each part of a batch, in order; on a processor, as many are computed at once as it has cores."""
        if len(parts) == 1 or self.device != "cpu" or cores() == 1:
            return [self.run(part) for part in parts]
        _ = self._open  # once, not in every thread
        with ThreadPoolExecutor(min(cores(), max(1, len(parts)))) as pool:
            return list(pool.map(self.run, parts))


@dataclass(frozen=True)
class _Open:
    session: Any
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    metadata: Mapping[str, str]


def _runtime(extra: str) -> Any:
    try:
        import onnxruntime
    except ImportError as error:
        raise missing_extra("onnxruntime", extra, "a frozen encoder") from error
    return onnxruntime


def _provider(device: str, runtime: Any) -> str | tuple[str, dict[str, int]]:
    kind, _, number = device.partition(":")
    if kind not in _PROVIDERS or (number and not (kind == "cuda" and number.isdecimal())):
        raise RecipeError(f"encoders compute on cpu, cuda, or a numbered GPU such as cuda:1; found {device!r}.")
    if _PROVIDERS[kind] not in runtime.get_available_providers():
        raise SetupError(
            "this ONNX Runtime computes on no GPU. Use --device cpu, or put its build for GPUs in its place: "
            "pip uninstall onnxruntime, then pip install onnxruntime-gpu."
        )
    return (_PROVIDERS[kind], {"device_id": int(number or 0)}) if kind == "cuda" else _PROVIDERS[kind]


def _port(port: Any) -> Port:
    return Port(port.name, port.type, tuple(size if isinstance(size, int) else None for size in port.shape))


def _first_line(error: Exception) -> str:
    return printable((str(error).splitlines() or [type(error).__name__])[0])
