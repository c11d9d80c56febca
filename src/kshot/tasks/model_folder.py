"""A model on disk: a folder with `model.json` and one safetensors file, written whole or not at all, never unpickled.

`model.json` names the file of arrays by its hash. It is replaced in one step after the arrays are on disk, so at every moment the folder
holds one whole model, the old one or the new one.

    model.json                       format, classes, encoder, head, examples' names, estimate
    arrays-0123456789ab.safetensors  the examples' vectors and labels, and the arrays of the head
    encoder.json encoder.onnx …      the encoder, where the model is complete in itself, or the encoder was tuned
    tuning.safetensors               the state of a tuning that was stopped, until the model is there

In: a `Model`. Out: a folder, and from it the model again. Next: `kshot.tasks.fit`, `kshot.tasks.answers`.
"""

import hashlib
import os
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from shutil import rmtree
from typing import Any

import numpy as np
import safetensors.numpy

from kshot.atomic import json_text, write_bytes, write_text
from kshot.encoders.encoder import PortableEncoder, Provenance
from kshot.encoders.encoder_folder import DESCRIPTION
from kshot.errors import SavedError
from kshot.regular_file import look, names_in, read_json
from kshot.tasks.certainty.certainty import certainty_from
from kshot.tasks.class_weights import ClassWeights
from kshot.tasks.heads.head import FittedHead
from kshot.tasks.model import EncoderFacts, Model
from kshot.tasks.model_record import (
    AGAIN,
    FORMAT,
    RECORD,
    ArraysRecord,
    Content,
    check_arrays,
    check_numbers,
    read_record,
)
from kshot.tasks.numbers.columns import columns_from_dict
from kshot.tensor_file import Header, read_arrays, read_header
from kshot.version import VERSION

TUNING = "tuning.safetensors"
"""The file of a tuning that was stopped."""

REPORT, SCORE = "report.html", "estimate.html"
"""The pages of a model, in its folder: what its own examples say of it, and the last score."""
PAGES = (REPORT, SCORE)
"""They describe the model that was there, so that a new one removes them."""


def check_output(folder: Path, *, overwrite: bool = False, resume: bool = False) -> None:
    """Check before the long work that a model can be written to a folder.

    Args:
        folder: The folder.
        overwrite: Whether a model that is there, or a tuning that was stopped, may be replaced.
        resume: Whether a tuning that was stopped is gone on with.

    Raises:
        SavedError: It is a file, holds a model or a tuning that may not be replaced, or holds other files; or there is nothing to resume.
    """
    if look(folder, SavedError) not in ("folder", "nothing"):
        raise SavedError(f"{folder} is a file; a model is saved as a folder. Choose another name.")
    names = names_in(folder, SavedError)
    if resume:
        if TUNING not in names:
            raise SavedError(f"there is no tuning to resume in {folder}: {TUNING} is missing. Give the command without --resume.")
        return
    if TUNING in names and not overwrite:
        raise SavedError(f"{folder} holds a tuning that was stopped. Go on with --resume, or begin again with --overwrite.")
    if RECORD in names and not overwrite:
        raise SavedError(f"{folder} holds a model. Replace it with --overwrite, or choose another folder.")
    half = any(name.startswith("arrays-") for name in names)  # of a model whose record was not written any more
    if RECORD not in names and not all(_left_by_a_kill(name) or (half and name.startswith("encoder.")) for name in names):
        raise SavedError(f"{folder} holds other files and no model. Choose an empty or new folder.")


def save_model(folder: Path, model: Model, encoder: PortableEncoder | None = None) -> None:
    """Write a model. A model that is there is replaced; its encoder, if it lies beside it, stays with a model that reads with the same one.

    Args:
        folder: The folder.
        model: The model.
        encoder: Its encoder, to be written beside it; None: the model's reader finds it by its name.

    Raises:
        SavedError: The folder holds something else, or the disk refused the files. What was there before is untouched.
    """
    content, arrays = parts_of(model)
    write_model(folder, content, arrays, encoder)


def parts_of(model: Model) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Return a model as plain values, without their `arrays`, and arrays by name; `model_from` makes the model from them again."""
    arrays = {"vectors": model.vectors, "labels": model.labels}
    arrays |= {f"head/{name}": array for name, array in model.head.arrays.items()}
    if model.description_vectors is not None:
        arrays["descriptions"] = model.description_vectors
    if model.certainty is not None:
        arrays |= model.certainty.arrays()
    head = model.head
    content = {
        "format": FORMAT,
        "kshot": VERSION,
        "classes": list(model.classes),
        "encoder": model.encoder.as_dict(),
        "head": {
            "name": model.head_name,
            "form": head.form,
            "feature_map": head.feature_map,
            "temperature": head.temperature,
            "settings": dict(head.settings),
        },
        "columns": {**model.columns},
        "numbers": None if model.numbers is None else model.numbers.as_dict(),
        "descriptions": {name: list(sentences) for name, sentences in model.descriptions.items()},
        "findings": {**model.findings},
        **({"weights": model.weights.as_dict()} if model.weights.asked else {}),
        "examples": list(model.names),
    }
    return content, arrays


def write_model(folder: Path, content: Mapping[str, Any], arrays: Mapping[str, np.ndarray], encoder: PortableEncoder | None = None) -> None:
    """Write the record of a model, of whichever kind, and its arrays. Errors are those of `save_model`.

    Args:
        folder: The folder.
        content: The record, with its `encoder`, but without its `arrays`.
        arrays: The arrays by their names.
        encoder: The encoder, to be written beside them.
    """
    check_output(folder, overwrite=True)
    data = safetensors.numpy.save({name: np.ascontiguousarray(array) for name, array in arrays.items()})
    digest = hashlib.sha256(data).hexdigest()
    file = folder / f"arrays-{digest[:12]}.safetensors"
    try:
        text = json_text({**content, "arrays": {"file": file.name, "sha256": digest}})
    except ValueError as error:
        raise SavedError(f"the model cannot be saved: {error}.") from error
    write_bytes(file, data)  # all that could be refused has been checked
    if encoder is not None:
        encoder.write(folder)
    write_text(folder / RECORD, text + "\n")
    other = _holds_another(folder, content["encoder"]["fingerprint"])
    for name in names_in(folder, SavedError):
        if name in PAGES or (name != file.name and _left_by_a_kill(name)) or (other and name.startswith("encoder.")):
            remove = rmtree if look(folder / name, SavedError) == "folder" else os.unlink
            remove(folder / name)


def _holds_another(folder: Path, fingerprint: str) -> bool:
    """Whether what lies in a folder of an encoder belongs to another one, or to none. A damaged description is left for its reader."""
    if look(folder / DESCRIPTION, SavedError) != "file":
        return True
    try:
        described = read_json(folder / DESCRIPTION)
    except (OSError, ValueError):
        return False
    return isinstance(described, dict) and described.get("fingerprint") != fingerprint


def load_model(folder: str | Path) -> Model:
    """Read a model.

    Raises:
        SavedError: The folder is no model, is cut off or damaged, or has a newer format.
    """
    folder = Path(folder)
    content = read_record(folder)
    arrays = read_model_arrays(folder, content["arrays"])
    try:
        return replace(model_from(content, arrays), folder=folder)
    except ValueError as error:
        raise SavedError(f"{folder} is damaged: {error}. {AGAIN}") from error


def model_from(content: Content, arrays: Mapping[str, np.ndarray]) -> Model:
    """Return the model whose parts these are, without a folder.

    Args:
        content: The record, of which the form has been checked.
        arrays: The arrays by name.

    Raises:
        ValueError: Record and arrays do not fit.
    """
    head = content["head"]
    encoder = content["encoder"]
    try:
        check_arrays(arrays, content)
        certainty = certainty_from(arrays)
        weights = ClassWeights(**content.get("weights", {}))
        numbers = None if content["numbers"] is None else columns_from_dict(content["numbers"])
        check_numbers(numbers, content)
    except SavedError as error:
        raise ValueError(str(error)) from error
    return Model(
        encoder=EncoderFacts(
            encoder["name"],
            encoder["reads"],
            encoder["features"],
            encoder["fingerprint"],
            Provenance(encoder["licence"], encoder["source"], encoder["package"]),
        ),
        classes=tuple(content["classes"]),
        head_name=head["name"],
        head=FittedHead(
            head["form"],
            head["feature_map"],
            {name.removeprefix("head/"): array for name, array in arrays.items() if name.startswith("head/")},
            head["temperature"],
            head["settings"],
        ),
        vectors=arrays["vectors"],
        labels=arrays["labels"],
        names=tuple(content["examples"]),
        findings=dict(content["findings"]),
        columns=dict(content["columns"]),
        numbers=numbers,
        descriptions=content["descriptions"],
        description_vectors=arrays.get("descriptions"),
        weights=weights,
        certainty=certainty,
    )


def read_model_arrays(folder: Path, named: ArraysRecord) -> dict[str, np.ndarray]:
    """Read the arrays that the record of a model names.

    Raises:
        SavedError: The file is missing, damaged, or another one.
    """
    file = folder / Path(named["file"]).name
    try:
        header: Header = read_header(file)
        arrays, digest = read_arrays(file, header)
    except OSError as error:
        raise SavedError(f"{folder} is cut off: {file.name} cannot be read ({error.strerror}). {AGAIN}") from error
    except ValueError as error:
        raise SavedError(f"{file} is damaged or not a safetensors file: {error}. {AGAIN}") from error
    if digest != named["sha256"]:
        raise SavedError(f"{file} is damaged: its {header.size:,} bytes are not the saved ones. {AGAIN}")
    return arrays


def _left_by_a_kill(name: str) -> bool:
    """Whether a file was left by an interrupted save, or by an earlier model."""
    written = "|".join(map(re.escape, (RECORD, TUNING)))
    pattern = rf"{re.escape(TUNING)}|arrays-[0-9a-f]{{12}}\.safetensors|\.({written}|arrays-.*|encoder\..*)\..*\.part"
    return re.fullmatch(pattern, name) is not None
