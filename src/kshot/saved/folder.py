"""A saved learner: a folder with `learner.json` and one safetensors file, written whole or not at all, never unpickled.

`learner.json` names the tensor file by its hash. It is replaced in one step after the tensors are on disk, so at every moment the folder
holds one whole learner, the old one or the new one.

    learner.json              format, names and arguments, preprocessing, shapes, training record
    tensors-0123456789ab.safetensors

In: a learner, how it was built, how its inputs are made, and what it was trained on. Out: `Saved`. Next: `kshot.tasks`.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor

from kshot.atomic import write_bytes, write_json
from kshot.data.preprocess import Preprocess
from kshot.data.preprocess_table import describe, preprocess_from
from kshot.errors import RecipeError, SavedError
from kshot.learners.backbone_form import load_plain_state, plain_name, plain_state
from kshot.learners.learner import Learner
from kshot.learners.table import LearnerSpec, spec_of
from kshot.meta_train.state import STATE
from kshot.saved.origin import TrainingStream, origin_of
from kshot.short_repr import short_repr

FORMAT = 1
RECORD = "learner.json"


@dataclass(frozen=True)
class Saved:
    """A learner and all that is needed to use it.

    Attributes:
        learner: The learner, in evaluation mode, on the CPU.
        preprocess: How its inputs are made; None for a user's own learner saved without preprocessing.
        record: All that its training wrote down: data, split, classes seen, seed, command, scores.
        spec: How the learner is built; None for a user's own learner.
        folder: Folder of the learner.
    """

    learner: Learner
    preprocess: Preprocess | None
    record: Mapping[str, Any] = field(default_factory=dict)
    spec: LearnerSpec | None = None
    folder: Path | None = None

    def __repr__(self) -> str:
        trained = [f"{name}={self.record[name]!r}" for name in ("data", "split", "updates") if name in self.record]
        parts = [repr(self.learner), f"preprocess={self.preprocess!r}", *trained]
        return short_repr("Saved", [*parts, f"folder={None if self.folder is None else str(self.folder)!r}"])


def save(
    folder: str | Path,
    learner: Learner,
    *,
    spec: LearnerSpec | None = None,
    preprocess: Preprocess | None = None,
    trained_on: TrainingStream | None = None,
    record: Mapping[str, Any] | None = None,
    dtype: torch.dtype | None = None,
) -> None:
    """Write a learner.

    Args:
        folder: Folder of the learner; it is made if missing. A learner saved there before is replaced.
        learner: The learner whose parameters and buffers are saved.
        spec: How it was built, so that loading can rebuild it. None: `spec_of` finds it for kshot's own learners on its own backbones. Any
            other learner is loaded by filling it: `load(folder, into=learner)`.
        preprocess: How its inputs are made. None: the same as for `trained_on`.
        trained_on: The stream on which it was trained. The record then names its data, split and classes, so `kshot evaluate` can find
            them again and refuse the classes seen.
        record: Further facts as plain JSON values, for example how well it does. They override those of `trained_on`.
        dtype: The type in which floating-point tensors are written: `torch.float16` halves the folder. Loading widens them to the learner's
            own type, so what is loaded differs from `learner` by that rounding. None: their own types.

    Raises:
        RecipeError: A parameter has no shape yet.
        SavedError: The folder holds something else, the learner has other state than tensors, the disk refused the files, or a number is
            too large for `dtype`. What was there before is untouched.
    """
    folder = Path(folder)
    spec = spec_of(learner) if spec is None else spec
    if folder.exists() and not folder.is_dir():
        raise SavedError(f"{folder} is a file; a learner is saved as a folder. Choose another name.")
    if folder.is_dir() and not (folder / RECORD).exists() and not all(map(_left_by_a_kill, folder.iterdir())):
        raise SavedError(f"{folder} holds other files and no saved learner. Choose an empty or new folder.")
    if trained_on is not None:
        preprocess = trained_on.dataset.preprocess if preprocess is None else preprocess
        record = {**origin_of(trained_on), **(record or {})}
    tensors = {name: tensor.detach().to("cpu", copy=True).contiguous() for name, tensor in plain_state(learner).items()}
    shapes = _shapes(tensors)
    if dtype is not None:
        tensors = {name: _narrowed(name, tensor, dtype) for name, tensor in tensors.items()}
    data = safetensors.torch.save(tensors)
    digest = hashlib.sha256(data).hexdigest()
    file = folder / f"tensors-{digest[:12]}.safetensors"
    write_bytes(file, data)
    write_json(
        folder / RECORD,
        {
            "format": FORMAT,
            "learner": None if spec is None else {"name": spec.learner, "arguments": dict(spec.learner_arguments)},
            "backbone": None if spec is None else {"name": spec.backbone, "arguments": dict(spec.backbone_arguments)},
            "family": learner.family.name,
            "class": f"{type(learner).__module__}.{type(learner).__qualname__}",
            "preprocess": None if preprocess is None else describe(preprocess),
            "tensors": {
                "file": file.name,
                "sha256": digest,
                "shapes": shapes,
                **({} if dtype is None else {"stored_as": _word(dtype)}),
            },
            "record": dict(record or {}),
        },
    )
    for other in list(folder.iterdir()):
        if other.name != file.name and _left_by_a_kill(other):
            other.unlink(missing_ok=True)


def load_folder(folder: Path, into: Learner | None = None) -> Saved:
    """Read a learner.

    Args:
        folder: A folder written by `save`.
        into: A learner to fill, for example one of a user's own class. None builds the saved one.

    Returns:
        The learner in evaluation mode, with its preprocessing and record.

    Raises:
        SavedError: The folder is not a saved learner, is cut off or changed, has a newer format, or was saved from a class that kshot
            cannot build; or its tensors do not fit (the message names the differences).
    """
    content = read_record(folder)
    tensors = {plain_name(name): tensor for name, tensor in _read_tensors(folder, content).items()}
    spec = _spec(folder, content)
    if into is not None:
        learner = into
    elif spec is not None:
        learner = _built(folder, spec)
    else:
        raise SavedError(
            f"{folder} was saved from {content['class']}, which is not one of kshot's own learners on one of its own backbones. "
            "Build one yourself and fill it: kshot.load(folder, into=learner)."
        )
    if "stored_as" in content["tensors"]:
        tensors = _widened(folder, tensors, content["tensors"])
    _check_fit(folder, plain_state(learner), tensors)
    preprocess = _preprocess(folder, content)
    load_plain_state(learner, tensors)
    return Saved(learner.eval(), preprocess, content["record"], spec, folder)


def read_record(folder: Path) -> dict[str, Any]:
    """Read `learner.json` of a saved learner, and check its format.

    Raises:
        SavedError: The file is missing, damaged or newer than this kshot.
    """
    file = folder / RECORD
    if not folder.is_dir():
        raise SavedError(f"there is no folder {folder}. Give the folder of a saved learner, or the name of a shipped one.")
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        if (folder / STATE).is_file():
            raise SavedError(
                f"{folder} is a run whose training is not finished: it has no learner yet. Continue it with kshot train … --resume."
            ) from None
        raise SavedError(f"{folder} is not a saved learner: it has no {RECORD}. Give the folder of a run or of a saved learner.") from None
    except (OSError, ValueError) as error:
        raise SavedError(f"{file} is damaged: {error}. Save or copy the learner again.") from error
    version = content.get("format") if isinstance(content, dict) else None
    if not isinstance(version, int) or isinstance(version, bool):
        raise SavedError(f"{file} is not the record of a saved learner: it has no format. Give the folder of a saved learner.")
    if version > FORMAT:
        raise SavedError(f"{folder} has format {version}; this kshot reads up to {FORMAT}. Install a newer kshot.")
    missing = [key for key in ("learner", "backbone", "family", "class", "preprocess", "tensors", "record") if key not in content]
    if missing:
        raise SavedError(f"{file} is damaged: {', '.join(missing)} is missing. Save or copy the learner again.")
    if not isinstance(content["record"], dict):
        raise SavedError(f"{file} is damaged: record must be a table; found {content['record']!r}. Save or copy the learner again.")
    record: dict[str, Any] = content
    return record


def _read_tensors(folder: Path, content: Mapping[str, Any]) -> dict[str, Tensor]:
    try:
        file = folder / Path(str(content["tensors"]["file"])).name
        expected = content["tensors"]["sha256"]
    except (KeyError, TypeError) as error:
        raise SavedError(f"{folder / RECORD} is damaged: it names no tensor file. Save or copy the learner again.") from error
    try:
        data = file.read_bytes()
    except OSError as error:
        raise SavedError(f"{folder} is cut off: {file.name} cannot be read ({error.strerror}). Save or copy it again.") from error
    if hashlib.sha256(data).hexdigest() != expected:
        raise SavedError(f"{file} is damaged: its {len(data):,} bytes are not the saved ones. Save or copy the learner again.")
    try:
        return safetensors.torch.load(data)
    except SafetensorError as error:
        raise SavedError(f"{file} is not a safetensors file: {error}. Save or copy the learner again.") from error


def _spec(folder: Path, content: Mapping[str, Any]) -> LearnerSpec | None:
    if content["learner"] is None or content["backbone"] is None:
        return None
    for key in ("learner", "backbone"):
        part = content[key]
        if not (isinstance(part, dict) and isinstance(part.get("name"), str) and isinstance(part.get("arguments"), dict)):
            raise SavedError(f"{folder / RECORD} is damaged: {key} must have a name and arguments; found {part!r}.")
    return LearnerSpec(
        learner=content["learner"]["name"],
        backbone=content["backbone"]["name"],
        learner_arguments=content["learner"]["arguments"],
        backbone_arguments=content["backbone"]["arguments"],
        family=content["family"],
    )


def _built(folder: Path, spec: LearnerSpec) -> Learner:
    try:
        return spec.build()
    except RecipeError as error:
        raise SavedError(f"the learner that {folder / RECORD} describes cannot be built: {error}") from error


def _preprocess(folder: Path, content: Mapping[str, Any]) -> Preprocess | None:
    try:
        return None if content["preprocess"] is None else preprocess_from(content["preprocess"])
    except RecipeError as error:
        raise SavedError(f"the preprocessing that {folder / RECORD} describes cannot be made: {error}") from error


def _left_by_a_kill(path: Path) -> bool:
    """Whether a file was left by an interrupted save, or by an earlier learner."""
    return re.fullmatch(rf"tensors-[0-9a-f]{{12}}\.safetensors|\.({re.escape(RECORD)}|tensors-.*)\..*\.part", path.name) is not None


def _check_fit(folder: Path, wanted: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> None:
    differences = [f"{name} is missing from the folder" for name in wanted if name not in found]
    differences += [f"{name} is not part of the learner" for name in found if name not in wanted]
    for name in wanted:
        if name in found and _form(wanted[name]) != _form(found[name]):
            differences.append(f"{name} is {_form(found[name])} in the folder and {_form(wanted[name])} in the learner")
    if differences:
        shown = "; ".join(differences[:5])
        more = f"; and {len(differences) - 5} more" if len(differences) > 5 else ""
        raise SavedError(f"{folder} does not fit the learner: {shown}{more}. Build the learner with the arguments it was saved with.")


def _narrowed(name: str, tensor: Tensor, dtype: torch.dtype) -> Tensor:
    """Return a tensor in the type in which it is stored; whole numbers stay as they are."""
    if not tensor.is_floating_point():
        return tensor
    narrow = tensor.to(dtype)
    if bool((narrow.isinf() & tensor.isfinite()).any()):
        raise SavedError(
            f"{name} holds {float(tensor.abs().max()):g}, which is too large for {_word(dtype)}. Save the learner without dtype."
        )
    return narrow


def _widened(folder: Path, tensors: Mapping[str, Tensor], described: Mapping[str, Any]) -> dict[str, Tensor]:
    """Return tensors that were stored in another type in the types that the learner had."""
    wide = {}
    for name, tensor in tensors.items():
        word = str(described.get("shapes", {}).get(name, "")).partition(" ")[0]
        dtype = getattr(torch, word, None)
        if tensor.is_floating_point() and not isinstance(dtype, torch.dtype):
            raise SavedError(f"{folder / RECORD} is damaged: it names no type for {name}. Save or copy the learner again.")
        wide[name] = tensor.to(dtype) if tensor.is_floating_point() else tensor
    return wide


def _word(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _form(tensor: Tensor) -> str:
    return f"{_word(tensor.dtype)} {tuple(tensor.shape)}"


def _shapes(tensors: Mapping[str, Tensor]) -> dict[str, str]:
    return {name: _form(tensor) for name, tensor in tensors.items()}
