"""A saved learner: a folder with `learner.json` and one safetensors file, written whole or not at all, never unpickled.

`learner.json` names the tensor file by its hash. It is replaced in one step after the tensors are on disk, so at every moment the folder
holds one whole learner, the old one or the new one.

    learner.json              format, names and arguments, preprocessing, shapes, training record
    tensors-0123456789ab.safetensors

In: a learner, how it was built, how its inputs are made, and what it was trained on. Out: `Saved`. Next: `kshot.tasks`.
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor

from kshot.atomic import json_text, write_bytes, write_text
from kshot.data.preprocess import Preprocess
from kshot.data.preprocess_table import describe, preprocess_from
from kshot.errors import KshotError, RecipeError, SavedError
from kshot.learners.backbone_form import load_plain_state, plain_name, plain_state
from kshot.learners.learner import Learner
from kshot.learners.table import LearnerSpec, spec_of
from kshot.regular_file import look, names_in
from kshot.results.score.evaluate import evaluating
from kshot.saved.origin import TrainingStream, origin_of
from kshot.saved.record_file import FORMAT, RECORD, check_facts, read_record
from kshot.short_repr import short_repr
from kshot.tensor_file import form, misfits, read_header, read_tensors, unusable


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
        SavedError: The folder is none or holds something else (`require_place`), the learner has other state than tensors or numbers that
            are not finite, a fact is not JSON, a number is too large for `dtype`, or the disk refused the files. What was there before is
            untouched.
    """
    folder = Path(folder)
    require_place(folder)
    spec = spec_of(learner) if spec is None else spec
    if dtype is not None and not isinstance(dtype, torch.dtype):
        raise SavedError(f"dtype must be a torch.dtype, such as torch.float16; found {dtype!r}.")
    if trained_on is not None:
        preprocess = trained_on.dataset.preprocess if preprocess is None else preprocess
        record = {**origin_of(trained_on), **(record or {})}
    check_facts(record or {})
    tensors = {name: tensor.detach().to("cpu", copy=True).contiguous() for name, tensor in plain_state(learner).items()}
    if useless := unusable(tensors, map(plain_name, dict(learner.named_parameters()))):
        raise SavedError(f"the learner cannot be saved: {useless}. Train it again, with a smaller learning rate.")
    shapes = {name: form(tensor) for name, tensor in tensors.items()}
    if dtype is not None:
        tensors = {name: _narrowed(name, tensor, dtype) for name, tensor in tensors.items()}
    data = safetensors.torch.save(tensors)
    digest = hashlib.sha256(data).hexdigest()
    file = folder / f"tensors-{digest[:12]}.safetensors"
    content = {
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
    }
    try:
        text = json_text(content)
    except ValueError as error:
        raise SavedError(f"the learner cannot be saved: {error}. Give plain values that JSON has.") from error
    write_bytes(file, data)  # all that could be refused has been checked
    write_text(folder / RECORD, text + "\n")
    for name in names_in(folder, SavedError):
        if name != file.name and _left_by_a_kill(name):
            (folder / name).unlink(missing_ok=True)


def require_place(folder: Path) -> None:
    """Refuse a place where `save` may not write a learner.

    Raises:
        SavedError: It is a file or a link to nothing, or a folder that holds other files and no saved learner.
    """
    there = look(folder, SavedError)
    if there == "nothing" and folder.is_symlink():
        raise SavedError(f"{folder} is a link to nothing; a learner is saved as a folder. Remove the link, or choose another name.")
    if there not in ("folder", "nothing"):
        raise SavedError(f"{folder} is a file; a learner is saved as a folder. Remove it, or choose another name.")
    names = names_in(folder, SavedError)
    if RECORD not in names and not all(map(_left_by_a_kill, names)):
        raise SavedError(f"{folder} holds other files and no saved learner. Choose an empty or new folder.")


def load_folder(folder: Path, into: Learner | None = None) -> Saved:
    """Read a learner.

    Args:
        folder: A folder written by `save`.
        into: A learner to fill, for example one of a user's own class. None builds the saved one.

    Returns:
        The learner in evaluation mode, with its preprocessing and record.

    Raises:
        SavedError: The folder is not a saved learner, is cut off or changed, has a newer format, or was saved from a class that kshot
            cannot build; its tensors do not fit (the message names the differences), or hold numbers that are not finite.
    """
    content = read_record(folder)
    spec = _spec(content)
    if into is not None:
        learner = into
    elif spec is not None:
        learner = _built(folder, spec)
    else:
        raise SavedError(
            f"{folder} was saved from {content['class']}, which is not one of kshot's own learners on one of its own backbones. "
            "Build one yourself and fill it: kshot.load(folder, into=learner)."
        )
    preprocess = _preprocess(folder, content)
    if spec is not None and preprocess is not None:
        _check_reads(folder, learner, preprocess)
    tensors = _read(folder, content, plain_state(learner))
    if useless := unusable(tensors, map(plain_name, dict(learner.named_parameters()))):
        raise SavedError(f"{folder} cannot answer: {useless}. Train or save the learner again.")
    load_plain_state(learner, tensors)
    return Saved(learner.eval(), preprocess, content["record"], spec, folder)


def _read(folder: Path, content: Mapping[str, Any], wanted: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Read the tensors of a saved learner: first their forms, which must fit, then the numbers, which must be those that were saved."""
    file = folder / Path(content["tensors"]["file"]).name
    try:
        header = read_header(file)
        forms = {plain_name(name): found for name, found in _widened(folder, content, header.forms).items()}
        if differing := misfits(wanted, forms, "the folder"):
            raise SavedError(f"{folder} does not fit the learner: {differing}. Build the learner with the arguments it was saved with.")
        tensors, digest = read_tensors(file, header)
    except OSError as error:
        raise SavedError(f"{folder} is cut off: {file.name} cannot be read ({error.strerror}). Save or copy it again.") from error
    except ValueError as error:
        raise SavedError(f"{file} is damaged or not a safetensors file: {error}. Save or copy the learner again.") from error
    if digest != content["tensors"]["sha256"]:
        raise SavedError(f"{file} is damaged: its {header.size:,} bytes are not the saved ones. Save or copy the learner again.")
    return {plain_name(name): tensor.to(wanted[plain_name(name)].dtype) for name, tensor in tensors.items()}


def _widened(folder: Path, content: Mapping[str, Any], forms: Mapping[str, str]) -> Mapping[str, str]:
    """Return the forms of tensors that are stored in another type, in the types that the learner had; whole numbers stay as they are."""
    described = content["tensors"]
    if "stored_as" not in described:
        return forms
    wide = {}
    for name, stored in forms.items():
        own, floating = described.get("shapes", {}).get(name, "").partition(" ")[0], stored.startswith(("float", "bfloat"))
        if floating and not own:
            raise SavedError(f"{folder / RECORD} is damaged: it names no type for {name}. Save or copy the learner again.")
        wide[name] = f"{own} {stored.partition(' ')[2]}" if floating else stored
    return wide


def _spec(content: Mapping[str, Any]) -> LearnerSpec | None:
    if content["learner"] is None or content["backbone"] is None:
        return None
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


def _check_reads(folder: Path, learner: Learner, preprocess: Preprocess) -> None:
    """Refuse a preprocessing of pictures whose items the learner's backbone cannot read."""
    arguments = preprocess.arguments()
    if "size" not in arguments:
        return
    kept = torch.zeros(1, arguments.get("channels", 1), arguments["size"], arguments["size"], dtype=torch.uint8)
    try:
        with evaluating(learner), torch.no_grad():
            learner.get_submodule("backbone")(preprocess.to_input(kept))  # all learners in the table have one
    except KshotError:
        raise
    except (RuntimeError, ValueError) as error:
        first = str(error).partition("\n")[0].rstrip(".")
        raise SavedError(
            f"{folder} is damaged: its backbone cannot read the items of its preprocessing, {preprocess!r}: {first}. "
            "Save or copy the learner again."
        ) from error


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


def _word(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _left_by_a_kill(name: str) -> bool:
    """Whether a file was left by an interrupted save, or by an earlier learner."""
    return re.fullmatch(rf"tensors-[0-9a-f]{{12}}\.safetensors|\.({re.escape(RECORD)}|tensors-.*)\..*\.part", name) is not None
