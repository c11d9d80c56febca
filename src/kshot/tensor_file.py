"""Reading safetensors files: first the header, which is small, then the tensors, once it is known that they are wanted.

A header says the form of each tensor, `float32 (3, 1, 3, 3)`. It is compared with what a learner needs before anything is allocated.
Faults of a file are an `OSError` (it cannot be read) or a `ValueError` (it is not a safetensors file); the caller knows what the file is
for and says so. PyTorch is imported by `read_tensors` alone; `read_arrays` reads the same files into NumPy.
"""

import hashlib
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from safetensors import SafetensorError

from kshot.regular_file import opened, parse_json, read_bytes

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

MOST_BYTES = 2**35
"""Bytes of a file of tensors, before anything is known of what it should hold."""
_MOST_HEADER = 64 * 2**20
_LONGEST_NAME = 200
"""Characters of a tensor's name that a message shows."""
_DTYPES = {
    "F64": ("float64", 8), "F32": ("float32", 4), "F16": ("float16", 2), "BF16": ("bfloat16", 2), "C64": ("complex64", 8),
    "I64": ("int64", 8), "I32": ("int32", 4), "I16": ("int16", 2), "I8": ("int8", 1), "U8": ("uint8", 1), "BOOL": ("bool", 1),
}  # fmt: skip
"""A type of numbers in a header → its name in PyTorch, and the bytes of one number."""


@dataclass(frozen=True)
class Header:
    """What a safetensors file says of itself.

    Attributes:
        forms: The form of each tensor, by name, as `form` writes it.
        metadata: Texts by name.
        size: Bytes of the whole file.
    """

    forms: Mapping[str, str]
    metadata: Mapping[str, str]
    size: int


def form(tensor: "Tensor | np.ndarray") -> str:
    """Write dtype and shape of a tensor: `float32 (3, 1, 3, 3)`."""
    return _form(str(tensor.dtype).removeprefix("torch."), tensor.shape)


def read_header(path: Path, most: int = MOST_BYTES) -> Header:
    """Read the header of a safetensors file.

    Args:
        path: The file.
        most: Bytes that the file may have.

    Raises:
        OSError: It cannot be read, is not a regular file, or is larger.
        ValueError: It is not a safetensors file, is cut off, or holds a type of numbers that PyTorch does not have.
    """
    with opened(path, most) as file:
        size = file.seek(0, 2)
        file.seek(0)
        length = int.from_bytes(file.read(8), "little")
        if size < 8 or length > min(size - 8, _MOST_HEADER):
            raise ValueError("it is not a safetensors file, or is cut off in its header")
        try:
            table = parse_json(file.read(length).decode("utf-8"))
        except ValueError as error:
            raise ValueError(f"its header is not that of a safetensors file: {error}") from error
    if not isinstance(table, dict):
        raise ValueError("its header is not that of a safetensors file: it is no table")
    metadata = table.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise ValueError("the metadata in its header are not texts by name")
    forms, end = {}, 0
    for name, entry in table.items():
        dtype, shape, stop = _entry(name, entry)
        forms[name], end = _form(dtype, shape), max(end, stop)
    if 8 + length + end != size:
        raise ValueError(f"its header describes {8 + length + end:,} bytes; found {size:,}")
    return Header(forms, metadata, size)


def read_tensors(path: Path, header: Header) -> "tuple[dict[str, Tensor], str]":
    """Read the tensors of a safetensors file.

    Args:
        path: The file.
        header: From `read_header`. The caller has found that its tensors are wanted.

    Returns:
        The tensors by name, and the SHA-256 of the whole file in hexadecimal digits.

    Raises:
        OSError: It cannot be read, or has grown.
        ValueError: It is not a safetensors file.
    """
    import safetensors.torch

    data = read_bytes(path, header.size)
    try:
        return safetensors.torch.load(data), hashlib.sha256(data).hexdigest()
    except (SafetensorError, KeyError) as error:
        raise ValueError(str(error)) from error


def read_arrays(path: Path, header: Header) -> "tuple[dict[str, np.ndarray], str]":
    """Read the tensors of a safetensors file as arrays of NumPy. Arguments, results and errors are those of `read_tensors`."""
    import safetensors.numpy

    data = read_bytes(path, header.size)
    try:
        return safetensors.numpy.load(data), hashlib.sha256(data).hexdigest()
    except (SafetensorError, KeyError, TypeError) as error:  # TypeError: a type of numbers that NumPy does not have
        raise ValueError(str(error)) from error


def misfits(wanted: "Mapping[str, Tensor]", found: Mapping[str, str], where: str) -> str:
    """Say how the tensors of a file differ from those of a module: the first five differences; empty if there is none.

    Args:
        wanted: Parameters and buffers of the module.
        found: Forms of the tensors in the file.
        where: What the file is called in the text, for example `the folder`.
    """
    differences = [f"{_shown(name)} is missing from {where}" for name in wanted if name not in found]
    differences += [f"{_shown(name)} is not part of the learner" for name in found if name not in wanted]
    for name in wanted:
        if name in found and form(wanted[name]) != found[name]:
            differences.append(f"{_shown(name)} is {found[name]} in {where} and {form(wanted[name])} in the learner")
    return "; ".join(differences[:5]) + (f"; and {len(differences) - 5} more" if len(differences) > 5 else "")


def unusable(tensors: "Mapping[str, Tensor]", parameters: Iterable[str]) -> str:
    """Name the first tensor whose numbers make every answer useless: `backbone.x holds 3 values that are not finite`; empty if none does.

    Parameters and running statistics are finite, and a running variance is not negative. Other buffers may hold minus infinity, as masks
    do, but neither NaN nor infinity.

    Args:
        tensors: Tensors by name.
        parameters: Names of those that are parameters.
    """
    strict = set(parameters)
    for name, tensor in tensors.items():
        if not (tensor.is_floating_point() or tensor.is_complex()):
            continue
        last = name.rpartition(".")[2]
        bad = ~tensor.isfinite()
        if name not in strict and not last.startswith("running_"):
            bad &= tensor != -math.inf
        if count := int(bad.sum()):
            return f"{name} holds {count:,} of {tensor.numel():,} values that are not finite"
        if last == "running_var" and bool((tensor < 0).any()):
            return f"{name} holds a negative variance"
    return ""


def _shown(name: str) -> str:
    return name if len(name) <= _LONGEST_NAME else f"{name[:_LONGEST_NAME]}…"


def _entry(name: str, entry: object) -> tuple[str, list[int], int]:
    """Return the dtype, the shape and the end of one tensor in a header."""
    if not isinstance(entry, dict):
        raise ValueError(f"the tensor {_shown(name)!r} has no description")
    dtype, shape, offsets = entry.get("dtype"), _counts(entry.get("shape")), _counts(entry.get("data_offsets"))
    if not isinstance(dtype, str) or dtype not in _DTYPES:
        raise ValueError(f"the tensor {_shown(name)!r} has numbers of the type {dtype!r}; known are {', '.join(_DTYPES)}")
    if shape is None or offsets is None or len(offsets) != 2:
        raise ValueError(f"the tensor {_shown(name)!r} has no shape and place")
    begin, stop = offsets
    word, size = _DTYPES[dtype]
    if stop - begin != math.prod(shape) * size:
        raise ValueError(f"the tensor {_shown(name)!r} of {_form(word, shape)} has {stop - begin:,} bytes")
    return word, shape, stop


def _counts(values: object) -> list[int] | None:
    return values if isinstance(values, list) and all(type(value) is int and value >= 0 for value in values) else None


def _form(word: str, shape: Iterable[int]) -> str:
    return f"{word} {tuple(shape)}"
