"""A fitted model of things with several labels, and its folder: the same two files as a model of classes, and no pickle.

    thing --encoder--> vector (D,) --one head per class--> probability of each class, by itself --threshold per class--> labels

In: what `kshot.tasks.multi_label.fit` found. Out: a folder, and from it the model again. Next: `kshot.tasks.multi_label.answers`. Reading
imports neither PyTorch nor scikit-learn.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypedDict

import numpy as np

from kshot.encoders.encoder import PortableEncoder, Provenance
from kshot.errors import SavedError
from kshot.short_repr import short_repr
from kshot.tasks.heads.feature_map import FEATURE_MAPS
from kshot.tasks.heads.head import FittedHead, wanted_arrays
from kshot.tasks.model import EncoderFacts
from kshot.tasks.model_folder import read_model_arrays, write_model
from kshot.tasks.model_record import AGAIN, FORMAT, MULTI_LABEL, RECORD, ArraysRecord, EncoderRecord, is_model, read_content
from kshot.tasks.multi_label.estimate import LabelsRecord
from kshot.tasks.numbers.columns import ColumnsRecord, NumberColumns, columns_from_dict
from kshot.value_types import misfit
from kshot.version import VERSION


@dataclass(frozen=True, eq=False)
class MultiLabelModel:
    """A fitted model of things with several labels.

    Attributes:
        encoder: Which encoder its things are read with.
        classes: The names of the N classes, sorted.
        head: The heads as one, which answers; see `kshot.tasks.multi_label.one_vs_rest`.
        thresholds: A thing has the label k from the probability t_k on, float32 (N,).
        vectors: The vectors of the examples, float32 (n, D).
        targets: Which labels each has, uint8 of 0 and 1, (n, N).
        names: What each example is called: its path, or its row in the table.
        findings: How well the model does, as plain JSON values: `estimate`.
        columns: Columns of the table that hold the things and the labels: `things` and `label`.
        numbers: How rows become vectors, for a model of numbers; else None.
        folder: The folder that it was read from, which may hold the encoder itself; None for a model that was just fitted.
        tuned: None: these encoders are frozen.
    """

    encoder: EncoderFacts
    classes: tuple[str, ...]
    head: FittedHead
    thresholds: np.ndarray
    vectors: np.ndarray
    targets: np.ndarray
    names: tuple[str, ...]
    findings: Mapping[str, Any]
    columns: Mapping[str, Any] = field(default_factory=dict)
    numbers: NumberColumns | None = None
    folder: Path | None = None
    tuned: None = None

    def __repr__(self) -> str:
        """Return the classes, the sizes and the encoder."""
        shown = ", ".join(map(repr, self.classes[:10])) + (" …" if len(self.classes) > 10 else "")
        parts = [f"{len(self.classes)} classes: {shown}", f"{len(self.names)} examples", f"encoder={self.encoder.name!r}"]
        return short_repr("MultiLabelModel", parts)

    @property
    def counts(self) -> dict[str, int]:
        """How many examples have each label."""
        return {name: int(number) for name, number in zip(self.classes, self.targets.sum(0, dtype=np.int64), strict=True)}


class _Head(TypedDict):
    feature_map: str
    settings: dict[str, float]


class _Findings(TypedDict):
    estimate: LabelsRecord


class _Columns(TypedDict):
    things: list[str]
    label: str


class _Content(TypedDict):
    format: int
    kshot: str
    kind: str
    classes: list[str]
    encoder: EncoderRecord
    head: _Head
    columns: _Columns
    numbers: ColumnsRecord | None
    findings: _Findings
    examples: list[str]
    arrays: ArraysRecord


def is_multi_label_model(folder: str | Path) -> bool:
    """Whether a folder holds a model of things with several labels.

    Raises:
        SavedError: It holds a model whose record is damaged or newer than this kshot.
    """
    return is_model(folder) and read_content(Path(folder)).get("kind") == MULTI_LABEL


def save_multi_label_model(folder: Path, model: MultiLabelModel, encoder: PortableEncoder | None = None) -> None:
    """Write a model, with its encoder where it is given. A model that is there is replaced.

    Raises:
        SavedError: The folder holds something else, or the disk refused the files.
    """
    content = {
        "format": FORMAT,
        "kshot": VERSION,
        "kind": MULTI_LABEL,
        "classes": list(model.classes),
        "encoder": model.encoder.as_dict(),
        "head": {"feature_map": model.head.feature_map, "settings": dict(model.head.settings)},
        "columns": {**model.columns},
        "numbers": None if model.numbers is None else model.numbers.as_dict(),
        "findings": {**model.findings},
        "examples": list(model.names),
    }
    arrays = {f"head/{name}": array for name, array in model.head.arrays.items()}
    own = {"vectors": model.vectors, "targets": model.targets, "thresholds": model.thresholds}
    write_model(folder, content, {**own, **arrays}, encoder)


def load_multi_label_model(folder: str | Path) -> MultiLabelModel:
    """Read a model.

    Raises:
        SavedError: The folder is no model of things with several labels, is cut off or damaged, or has a newer format.
    """
    folder = Path(folder)
    found = read_content(folder)
    if found.get("kind") != MULTI_LABEL:
        raise SavedError(f"{folder} is a model of one label per thing. Fit one of several with --multi-label.")
    if fault := misfit(_Content, found):
        raise SavedError(f"{folder / RECORD} is damaged: {fault}. {AGAIN}")
    content: _Content = found  # type: ignore[assignment]  # misfit has checked it
    arrays = read_model_arrays(folder, content["arrays"])
    encoder, head = content["encoder"], content["head"]
    try:
        numbers = None if content["numbers"] is None else columns_from_dict(content["numbers"])
        _check(arrays, content, numbers)
    except (ValueError, SavedError) as error:
        raise SavedError(f"{folder} is damaged: {error}. {AGAIN}") from error
    origin = Provenance(encoder["licence"], encoder["source"], encoder["package"])
    return MultiLabelModel(
        EncoderFacts(encoder["name"], encoder["reads"], encoder["features"], encoder["fingerprint"], origin),
        tuple(content["classes"]),
        FittedHead(
            "affine",
            head["feature_map"],
            {name.removeprefix("head/"): array for name, array in arrays.items() if name.startswith("head/")},
            1.0,
            head["settings"],
        ),
        arrays["thresholds"],
        arrays["vectors"],
        arrays["targets"],
        tuple(content["examples"]),
        dict(content["findings"]),
        dict(content["columns"]),
        numbers,
        folder,
    )


def _check(arrays: Mapping[str, np.ndarray], content: _Content, numbers: NumberColumns | None) -> None:
    """Raise a ValueError unless the arrays are those of a model with this record, so that no answer can fail later."""
    N, n, D = len(content["classes"]), len(content["examples"]), content["encoder"]["features"]
    if N < 2 or len(set(content["classes"])) < N or n < 1:
        raise ValueError(f"a model has 2 or more classes of different names, and examples; found {N} and {n}")
    feature_map = content["head"]["feature_map"]
    if feature_map not in FEATURE_MAPS:
        raise ValueError(f"there is no feature map {feature_map!r}")
    if (numbers is None) == (content["encoder"]["reads"] == "numbers") or (numbers is not None and numbers.features != D):
        raise ValueError("a model of numbers, and no other, has columns of numbers that make its vectors")
    wanted: dict[str, tuple[str, tuple[int, ...]]] = {"vectors": ("float32", (n, D)), "targets": ("uint8", (n, N))}
    wanted["thresholds"] = ("float32", (N,))
    wanted |= {f"head/{name}": one for name, one in wanted_arrays("affine", n, D, N).items()}
    if "centre" in feature_map or feature_map == "as they are":
        wanted["head/centre"] = ("float32", (D,))
    for name, (dtype, shape) in wanted.items():
        one = arrays.get(name)
        if one is None or (str(one.dtype), one.shape) != (dtype, shape):
            raise ValueError(f"{name} must be {dtype} {shape}; found {'nothing' if one is None else f'{one.dtype} {one.shape}'}")
        if not np.isfinite(one).all():
            raise ValueError(f"{name} holds numbers that are not finite")
    if arrays["targets"].max() > 1 or not (arrays["thresholds"] > 0).all() or not (arrays["thresholds"] < 1).all():
        raise ValueError("targets are 0 or 1, and thresholds between 0 and 1")
