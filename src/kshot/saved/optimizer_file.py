"""A saved learned optimiser: one safetensors file in a folder, written whole or not at all, with its description in the header.

    optimizer.safetensors     weights; format, rule, checksum, training record

In: a learned optimiser and what it was trained on. Out: `SavedOptimizer`. Next: `shipped`.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypedDict

import safetensors.torch
from torch import Tensor

from kshot.atomic import finite_or_none, write_bytes
from kshot.errors import RecipeError, SavedError
from kshot.learners.learned_updates.learned_optimizer import LearnedOptimizer
from kshot.regular_file import parse_json
from kshot.short_repr import short_repr
from kshot.size_limit import size_limit
from kshot.tensor_file import read_header, read_tensors, unusable
from kshot.value_types import misfit, out_of_range

FORMAT = 1
FILE = "optimizer.safetensors"
_MOST = 2**30


class _Asked(TypedDict):
    functions: dict[str, int]
    estimator: str
    truncation: int


class _Recipe(TypedDict):
    optimizer: _Asked


class _Record(TypedDict, total=False):
    recipe: _Recipe


class _Content(TypedDict):
    """The JSON part of the file. Of the record, what kshot takes apart."""

    format: int
    arguments: dict[str, Any]
    record: _Record


@dataclass(frozen=True)
class SavedOptimizer:
    """A learned optimiser and what is known of its training.

    Attributes:
        optimizer: The learned optimiser.
        record: All that its training wrote down: recipe, seed, command, validations.
        folder: Its folder.
    """

    optimizer: LearnedOptimizer
    record: Mapping[str, Any] = field(default_factory=dict)
    folder: Path | None = None

    def __repr__(self) -> str:
        folder = None if self.folder is None else str(self.folder)
        return short_repr("SavedOptimizer", [repr(self.optimizer), f"updates={self.record.get('updates')!r}", f"folder={folder!r}"])


def save_optimizer(folder: Path, optimizer: LearnedOptimizer, record: Mapping[str, Any]) -> None:
    """Write a learned optimiser.

    Args:
        folder: Its folder; it is made if missing.
        optimizer: The learned optimiser.
        record: Facts of its training as plain JSON values.

    Raises:
        SavedError: A number is not finite, or the disk refused the file. What was there before is untouched.
    """
    tensors = {name: value.detach().to("cpu", copy=True).contiguous() for name, value in optimizer.state_dict().items()}
    if useless := unusable(tensors, tensors):
        raise SavedError(f"the learned optimiser cannot be saved: {useless}. Train it again, with a smaller learning rate.")
    header = {"format": FORMAT, "arguments": optimizer.arguments, "record": finite_or_none(record)}
    header["checksum"] = _checksum(header, tensors)
    write_bytes(folder / FILE, safetensors.torch.save(tensors, {"kshot": json.dumps(header)}))


def load_optimizer(folder: Path) -> SavedOptimizer:
    """Read a learned optimiser.

    Raises:
        SavedError: The file is missing, cut off, damaged or of a newer format, or does not fit.
    """
    file = folder / FILE
    try:
        described = read_header(file, _MOST)
        header = parse_json(described.metadata["kshot"], finite=False)  # earlier versions wrote validations that are not numbers
        if fault := misfit(_Content, header):
            raise ValueError(fault)
        tensors, _ = read_tensors(file, described)
    except (OSError, ValueError, KeyError) as error:
        raise SavedError(f"{file} is not a whole learned optimiser ({error}). Save or copy it again.") from error
    version, arguments, record = header["format"], header["arguments"], header["record"]
    if version > FORMAT:
        raise SavedError(f"{file} has format {version}; this kshot reads up to {FORMAT}. Install a newer kshot.")
    if version < 1:
        raise SavedError(f"{file} is damaged: formats are 1 and more; found {version}. Save or copy it again.")
    if useless := unusable(tensors, tensors):
        raise SavedError(f"{file} cannot train: {useless}. Train or save it again.")
    if fault := out_of_range(arguments):
        raise SavedError(f"the learned optimiser that {file} describes cannot be built: {fault}.")
    if header.get("checksum") != _checksum(header, tensors):
        raise SavedError(f"{file} is damaged: its contents have changed since it was written. Save or copy it again.")
    try:
        with size_limit("the learned optimiser"):
            optimizer = LearnedOptimizer(**arguments)
        optimizer.load_state_dict(tensors)
    except (TypeError, ValueError, RecipeError, RuntimeError) as error:
        raise SavedError(f"the learned optimiser that {file} describes cannot be built: {error}") from error
    return SavedOptimizer(optimizer, record, folder)


def _checksum(header: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> str:
    """The checksum of everything in the file except the checksum."""
    digest = hashlib.sha256(json.dumps({name: value for name, value in header.items() if name != "checksum"}, sort_keys=True).encode())
    for name in sorted(tensors):
        digest.update(f"\0{name}\0{tuple(tensors[name].shape)}\0".encode() + tensors[name].numpy().tobytes())
    return digest.hexdigest()
