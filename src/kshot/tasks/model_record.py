"""`model.json`, the record of a model: its form, reading it, and whether the arrays beside it fit.

In: the folder of a model. Out: its content, of which every part that kshot reads has been checked. Next: `kshot.tasks.model_folder`.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NotRequired, TypedDict

import numpy as np

from kshot.encoders.encoder import Reads
from kshot.errors import SavedError
from kshot.regular_file import look, read_json
from kshot.tasks.class_weights import WeightsRecord
from kshot.tasks.heads.feature_map import FEATURE_MAPS
from kshot.tasks.heads.given import MOST
from kshot.tasks.heads.head import Form, wanted_arrays
from kshot.tasks.numbers.columns import ColumnsRecord, NumberColumns
from kshot.value_types import misfit
from kshot.version import VERSION

FORMAT = 2
"""In format 1, no model says how sure it is: none of its arrays is named `certainty/…`."""
RECORD = "model.json"
AGAIN = "Fit or copy the model again."
QUANTITY = "quantity"
"""The `kind` in the record of a model of regression; the record of a model of classes has none."""
MULTI_LABEL = "multi_label"
"""That of a model of things with several labels."""


class EncoderRecord(TypedDict):
    """Which encoder a model reads with: `EncoderFacts.as_dict`."""

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


class ArraysRecord(TypedDict):
    """The file of a model's arrays."""

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


class _Tuned(TypedDict):
    kept: bool
    factor: float
    examples: int
    steps: int
    seconds: float
    said: str
    comparison: dict[str, Any]


class _Findings(TypedDict):
    asked_head: str | None
    head: str
    choice: dict[str, Any]
    estimate: _Estimate
    tuned: NotRequired[_Tuned]


class Content(TypedDict):
    """The content of `model.json`."""

    format: int
    kshot: str
    classes: list[str]
    encoder: EncoderRecord
    head: _Head
    examples: list[str]
    columns: _Columns
    numbers: ColumnsRecord | None
    descriptions: dict[str, list[str]]
    findings: _Findings
    weights: NotRequired[WeightsRecord]
    arrays: ArraysRecord


def is_model(folder: str | Path) -> bool:
    """Whether a folder holds a model."""
    return look(Path(folder) / RECORD, SavedError) == "file"


def read_record(folder: Path) -> Content:
    """Read `model.json` of a model of classes, and check its format and its form.

    Raises:
        SavedError: The file is missing, damaged or newer than this kshot, or the model is one of a quantity.
    """
    content = read_content(folder)
    if content.get("kind") == QUANTITY:
        raise SavedError(
            f"{folder} is a model of a quantity, which has no classes to add, remove or rename. To learn from other rows, fit it again: "
            f"kshot fit TABLE -o {folder} --regression --overwrite"
        )
    if content.get("kind") == MULTI_LABEL:
        raise SavedError(
            f"{folder} is a model of several labels per thing, which only kshot predict, estimate and show read. To learn from other "
            f"examples, fit it again: kshot fit TABLE -o {folder} --multi-label --overwrite"
        )
    if fault := misfit(Content, content):
        raise SavedError(f"{folder / RECORD} is damaged: {fault}. {AGAIN}")
    checked: Content = content  # type: ignore[assignment]  # misfit has checked it
    return checked


def read_content(folder: Path) -> dict[str, Any]:
    """Read `model.json` of a model of any kind, and check its format.

    Raises:
        SavedError: The file is missing, damaged or newer than this kshot.
    """
    file = folder / RECORD
    if look(folder, SavedError) != "folder":
        raise SavedError(f"there is no model at {folder}. Make one: kshot fit EXAMPLES -o {folder}")
    try:
        content = read_json(file)
    except FileNotFoundError:
        raise SavedError(f"{folder} is not a model: it has no {RECORD}. Give a folder that kshot fit has written.") from None
    except (OSError, ValueError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or error
        raise SavedError(f"{file} is damaged: {reason}. {AGAIN}") from error
    version = content.get("format") if isinstance(content, dict) else None
    if type(version) is not int:
        raise SavedError(f"{file} is not the record of a model: it has no format. Give a folder that kshot fit has written.")
    if version > FORMAT:
        by = content.get("kshot")
        by = by if isinstance(by, str) and re.fullmatch(r"[0-9]+(\.[0-9a-z]+){1,4}", by) else None
        reads = f"kshot {by} wrote it and reads it: pip install 'kshot>={by}'" if by else "Install a newer kshot."
        raise SavedError(f"{folder} has format {version}; this kshot {VERSION} reads up to {FORMAT}. {reads}")
    if version < 1:
        raise SavedError(f"{file} is damaged: formats are 1 and more; found {version}. {AGAIN}")
    known: dict[str, Any] = content
    return known


def check_arrays(arrays: Mapping[str, np.ndarray], content: Content) -> None:
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
    held = n
    if (examples := arrays.get("head/examples")) is not None and examples.ndim == 2:
        # Of very many examples, a head holds a sample; the description of a class is one more example to it.
        held = min(max(min(n, MOST), len(examples)), n + N * ("descriptions" in arrays))
    wanted |= {f"head/{name}": one for name, one in wanted_arrays(head["form"], held, D, N).items()}
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
    tuned = content["findings"].get("tuned")
    if tuned is not None and not tuned["factor"] > 0:
        raise ValueError(f"the factor of a temperature is above 0; found {tuned['factor']}")
    told = content["findings"]["estimate"]
    if (told["classes"], len(told["unscored"])) != (N, N) or any(not 0 <= place < N for cell in told["confusion"] for place in cell[:2]):
        raise ValueError(f"its estimate is not one of {N} classes")


def check_numbers(numbers: NumberColumns | None, content: Content) -> None:
    """Raise a ValueError unless a model of numbers, and no other, says how rows become vectors."""
    if (numbers is None) == (content["encoder"]["reads"] == "numbers"):
        raise ValueError("a model of numbers, and no other, has columns of numbers")
    if numbers is not None and numbers.features != content["encoder"]["features"]:
        raise ValueError(f"its columns make vectors of {numbers.features} numbers, and {content['encoder']['features']} are wanted")
