"""A model on disk: a folder with `model.json` and one safetensors file, written whole or not at all, never unpickled.

`model.json` names the file of arrays by its hash. It is replaced in one step after the arrays are on disk, so at every moment the folder
holds one whole model, the old one or the new one.

    model.json                       format, classes, encoder, head, examples' names, estimate
    arrays-0123456789ab.safetensors  the examples' vectors and labels, and the arrays of the head
    encoder.json encoder.onnx …      the encoder, where the model is complete in itself

In: a `Model`. Out: a folder, and from it the model again. Next: `kshot.tasks.fit`, `kshot.tasks.answers`.
"""

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NotRequired, TypedDict

import numpy as np
import safetensors.numpy

from kshot.atomic import json_text, write_bytes, write_text
from kshot.encoders.encoder import Provenance, Reads
from kshot.errors import SavedError
from kshot.regular_file import look, names_in, read_json
from kshot.tasks.heads.feature_map import FEATURE_MAPS
from kshot.tasks.heads.head import FittedHead, Form
from kshot.tasks.model import EncoderFacts, Model
from kshot.tensor_file import Header, read_arrays, read_header
from kshot.value_types import misfit
from kshot.version import VERSION

FORMAT = 1
RECORD = "model.json"
_MOST_BYTES = 2**35
_AGAIN = "Fit or copy the model again."


class _Encoder(TypedDict):
    name: str
    reads: Reads
    features: int
    fingerprint: str
    licence: str
    source: str
    package: str


class _Head(TypedDict):
    name: str
    form: Form
    feature_map: str
    temperature: float
    settings: dict[str, float]


class _Arrays(TypedDict):
    file: str
    sha256: str


class _Columns(TypedDict):
    things: NotRequired[list[str]]
    label: NotRequired[str]


class _Estimate(TypedDict):
    how: str
    accuracy: float | None
    interval: tuple[float, float]
    log_likelihood: float | None
    classes: int
    confusion: list[tuple[int, int, int]]
    unscored: list[int]


class _Findings(TypedDict):
    asked_head: str | None
    head: str
    choice: dict[str, Any]
    estimate: _Estimate


class _Content(TypedDict):
    format: int
    kshot: str
    classes: list[str]
    encoder: _Encoder
    head: _Head
    examples: list[str]
    columns: _Columns
    descriptions: dict[str, list[str]]
    findings: _Findings
    arrays: _Arrays


def is_model(folder: str | Path) -> bool:
    """Whether a folder holds a model."""
    return look(Path(folder) / RECORD, SavedError) == "file"


def check_output(folder: Path, *, overwrite: bool = False) -> None:
    """Check before the long work that a model can be written to a folder.

    Args:
        folder: The folder.
        overwrite: Whether a model that is there may be replaced.

    Raises:
        SavedError: It is a file, holds a model that may not be replaced, or holds other files.
    """
    if look(folder, SavedError) not in ("folder", "nothing"):
        raise SavedError(f"{folder} is a file; a model is saved as a folder. Choose another name.")
    names = names_in(folder, SavedError)
    if RECORD in names and not overwrite:
        raise SavedError(f"{folder} holds a model. Replace it with --overwrite, or choose another folder.")
    if RECORD not in names and not all(map(_left_by_a_kill, names)):
        raise SavedError(f"{folder} holds other files and no model. Choose an empty or new folder.")


def save_model(folder: Path, model: Model) -> None:
    """Write a model. A model that is there is replaced; an encoder that lies beside it stays.

    Raises:
        SavedError: The folder holds something else, or the disk refused the files. What was there before is untouched.
    """
    check_output(folder, overwrite=True)
    arrays = {"vectors": model.vectors, "labels": model.labels}
    arrays |= {f"head/{name}": array for name, array in model.head.arrays.items()}
    if model.description_vectors is not None:
        arrays["descriptions"] = model.description_vectors
    data = safetensors.numpy.save({name: np.ascontiguousarray(array) for name, array in arrays.items()})
    digest = hashlib.sha256(data).hexdigest()
    file = folder / f"arrays-{digest[:12]}.safetensors"
    encoder, head = model.encoder, model.head
    content: _Content = {
        "format": FORMAT,
        "kshot": VERSION,
        "classes": list(model.classes),
        "encoder": {
            "name": encoder.name,
            "reads": encoder.reads,
            "features": encoder.features,
            "fingerprint": encoder.fingerprint,
            "licence": encoder.provenance.licence,
            "source": encoder.provenance.source,
            "package": encoder.provenance.package,
        },
        "head": {
            "name": model.head_name,
            "form": head.form,
            "feature_map": head.feature_map,
            "temperature": head.temperature,
            "settings": dict(head.settings),
        },
        "columns": {**model.columns},  # type: ignore[typeddict-item]  # plain values of these names
        "descriptions": {name: list(sentences) for name, sentences in model.descriptions.items()},
        "findings": {**model.findings},  # type: ignore[typeddict-item]  # as `kshot.tasks.fit` makes them
        "arrays": {"file": file.name, "sha256": digest},
        "examples": list(model.names),
    }
    try:
        text = json_text(content)
    except ValueError as error:
        raise SavedError(f"the model cannot be saved: {error}.") from error
    write_bytes(file, data)  # all that could be refused has been checked
    write_text(folder / RECORD, text + "\n")
    for name in names_in(folder, SavedError):
        if name != file.name and _left_by_a_kill(name):
            (folder / name).unlink(missing_ok=True)


def load_model(folder: str | Path) -> Model:
    """Read a model.

    Raises:
        SavedError: The folder is no model, is cut off or damaged, or has a newer format.
    """
    folder = Path(folder)
    content = _read_record(folder)
    file = folder / Path(content["arrays"]["file"]).name
    arrays = _read_arrays(folder, file, content)
    head = content["head"]
    encoder = content["encoder"]
    try:
        _check_arrays(arrays, content)
    except ValueError as error:
        raise SavedError(f"{folder} is damaged: {error}. {_AGAIN}") from error
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
        descriptions=content["descriptions"],
        description_vectors=arrays.get("descriptions"),
        folder=folder,
    )


def _read_record(folder: Path) -> _Content:
    file = folder / RECORD
    if look(folder, SavedError) != "folder":
        raise SavedError(f"there is no model at {folder}. Make one: kshot fit EXAMPLES -o {folder}")
    try:
        content = read_json(file)
    except FileNotFoundError:
        raise SavedError(f"{folder} is not a model: it has no {RECORD}. Give a folder that kshot fit has written.") from None
    except (OSError, ValueError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or error
        raise SavedError(f"{file} is damaged: {reason}. {_AGAIN}") from error
    version = content.get("format") if isinstance(content, dict) else None
    if type(version) is not int:
        raise SavedError(f"{file} is not the record of a model: it has no format. Give a folder that kshot fit has written.")
    if version > FORMAT:
        by = content.get("kshot")
        by = by if isinstance(by, str) and re.fullmatch(r"[0-9]+(\.[0-9a-z]+){1,4}", by) else None
        reads = f"kshot {by} wrote it and reads it: pip install 'kshot>={by}'" if by else "Install a newer kshot."
        raise SavedError(f"{folder} has format {version}; this kshot {VERSION} reads up to {FORMAT}. {reads}")
    if version < 1:
        raise SavedError(f"{file} is damaged: formats are 1 and more; found {version}. {_AGAIN}")
    if fault := misfit(_Content, content):
        raise SavedError(f"{file} is damaged: {fault}. {_AGAIN}")
    checked: _Content = content
    return checked


def _read_arrays(folder: Path, file: Path, content: _Content) -> dict[str, np.ndarray]:
    try:
        header: Header = read_header(file, _MOST_BYTES)
        arrays, digest = read_arrays(file, header)
    except OSError as error:
        raise SavedError(f"{folder} is cut off: {file.name} cannot be read ({error.strerror}). {_AGAIN}") from error
    except ValueError as error:
        raise SavedError(f"{file} is damaged or not a safetensors file: {error}. {_AGAIN}") from error
    if digest != content["arrays"]["sha256"]:
        raise SavedError(f"{file} is damaged: its {header.size:,} bytes are not the saved ones. {_AGAIN}")
    return arrays


def _check_arrays(arrays: Mapping[str, np.ndarray], content: _Content) -> None:
    """Raise a ValueError unless the arrays are those of a model with this record, so that no answer can fail later."""
    N, n, D = len(content["classes"]), len(content["examples"]), content["encoder"]["features"]
    head = content["head"]
    if N < 2 or len(set(content["classes"])) < N:
        raise ValueError(f"a model has 2 or more classes of different names; found {N}")
    if head["feature_map"] not in FEATURE_MAPS:
        raise ValueError(f"there is no feature map {head['feature_map']!r}")
    if not head["temperature"] > 0:
        raise ValueError(f"a temperature is above 0; found {head['temperature']}")
    wanted: dict[str, tuple[str, tuple[int, ...]]] = {"vectors": ("float32", (n, D)), "labels": ("int64", (n,))}
    if head["form"] == "affine":
        wanted |= {"head/weights": ("float32", (D, N)), "head/bias": ("float32", (N,))}
    else:
        wanted |= {"head/examples": ("float32", (n, D)), "head/labels": ("int64", (n,))}
    if "centre" in head["feature_map"] or head["feature_map"] == "as they are":
        wanted["head/centre"] = ("float32", (D,))
    if "descriptions" in arrays:
        wanted["descriptions"] = ("float32", (N, D))
    for name, (dtype, shape) in wanted.items():
        found = arrays.get(name)
        if found is None or (str(found.dtype), found.shape) != (dtype, shape):
            what = "nothing" if found is None else f"{found.dtype} {found.shape}"
            raise ValueError(f"{name} must be {dtype} {shape}; found {what}")
        if dtype == "float32" and name != "descriptions" and not np.isfinite(found).all():
            raise ValueError(f"{name} holds numbers that are not finite")
        if dtype == "int64" and n and not 0 <= found.min() <= found.max() < N:
            raise ValueError(f"{name} must be from 0 to {N - 1}")
    if head["form"] == "nearest":
        labels = arrays["head/labels"]
        if not np.array_equal(np.unique(labels), np.arange(N)) or (np.diff(labels) < 0).any():
            raise ValueError("head/labels must ascend, with every class")
    told = content["findings"]["estimate"]
    if (told["classes"], len(told["unscored"])) != (N, N) or any(not 0 <= place < N for cell in told["confusion"] for place in cell[:2]):
        raise ValueError(f"its estimate is not one of {N} classes")


def _left_by_a_kill(name: str) -> bool:
    """Whether a file was left by an interrupted save, or by an earlier model."""
    pattern = rf"arrays-[0-9a-f]{{12}}\.safetensors|\.({re.escape(RECORD)}|arrays-.*|encoder\..*)\..*\.part"
    return re.fullmatch(pattern, name) is not None
