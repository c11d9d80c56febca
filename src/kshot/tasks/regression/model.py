"""A fitted model of a quantity, and its folder: the same two files as a model of classes, and no pickle.

    row --columns--> vector (D,) --regressor--> value, in the target's units

In: what `kshot.tasks.regression.fit` found. Out: a folder, and from it the model again. Next: `kshot.tasks.regression.answers`. Reading
imports neither PyTorch nor scikit-learn.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypedDict

import numpy as np

from kshot.errors import SavedError
from kshot.short_repr import short_repr
from kshot.tasks.model import EncoderFacts
from kshot.tasks.model_folder import read_model_arrays, write_model
from kshot.tasks.model_record import AGAIN, FORMAT, QUANTITY, RECORD, ArraysRecord, is_model, read_content
from kshot.tasks.numbers.columns import ColumnsRecord, NumberColumns, columns_from_dict
from kshot.tasks.numbers.number_encoder import NumberEncoder
from kshot.tasks.regression.estimate import ErrorRecord
from kshot.tasks.regression.regressor import FittedRegressor, Form
from kshot.value_types import misfit
from kshot.version import VERSION


@dataclass(frozen=True, eq=False)
class QuantityModel:
    """A fitted model of a quantity.

    Attributes:
        target: The column of the quantity.
        columns: How rows become vectors.
        regressor_name: Name of the regressor.
        regressor: The fitted regressor, which answers.
        vectors: The vectors of the examples, float32 (n, D).
        targets: Their targets, float64 (n,).
        names: The numbers of their rows.
        findings: How well the model does, and what it was chosen from, as plain JSON values: `estimate`, `choice`, `regressor` (the choice
            in words).
    """

    target: str
    columns: NumberColumns
    regressor_name: str
    regressor: FittedRegressor
    vectors: np.ndarray
    targets: np.ndarray
    names: tuple[str, ...]
    findings: Mapping[str, Any]

    def __repr__(self) -> str:
        """Return the target, the sizes and the regressor."""
        parts = [repr(self.target), f"{len(self.names)} examples", f"{self.columns.features} features"]
        return short_repr("QuantityModel", [*parts, f"regressor={self.regressor_name!r}"])


class _Encoder(TypedDict):
    name: str
    features: int
    fingerprint: str


class _Regressor(TypedDict):
    name: str
    form: Form
    settings: dict[str, float]


class _Findings(TypedDict):
    regressor: str
    choice: dict[str, Any]
    estimate: ErrorRecord


class _Content(TypedDict):
    format: int
    kshot: str
    kind: str
    target: str
    encoder: _Encoder
    regressor: _Regressor
    numbers: ColumnsRecord
    findings: _Findings
    examples: list[str]
    arrays: ArraysRecord


def is_quantity_model(folder: str | Path) -> bool:
    """Whether a folder holds a model of a quantity.

    Raises:
        SavedError: It holds a model whose record is damaged or newer than this kshot.
    """
    return is_model(folder) and read_content(Path(folder)).get("kind") == QUANTITY


def save_quantity_model(folder: Path, model: QuantityModel) -> None:
    """Write a model. A model that is there is replaced.

    Raises:
        SavedError: The folder holds something else, or the disk refused the files.
    """
    facts = EncoderFacts.of(NumberEncoder(model.columns))
    content = {
        "format": FORMAT,
        "kshot": VERSION,
        "kind": QUANTITY,
        "target": model.target,
        "encoder": {"name": facts.name, "features": facts.features, "fingerprint": facts.fingerprint},
        "regressor": {"name": model.regressor_name, "form": model.regressor.form, "settings": dict(model.regressor.settings)},
        "numbers": model.columns.as_dict(),
        "findings": {**model.findings},
        "examples": list(model.names),
    }
    arrays = {f"regressor/{name}": array for name, array in model.regressor.arrays.items()}
    write_model(folder, content, {"vectors": model.vectors, "targets": model.targets, **arrays})


def load_quantity_model(folder: str | Path) -> QuantityModel:
    """Read a model.

    Raises:
        SavedError: The folder is no model of a quantity, is cut off or damaged, or has a newer format.
    """
    folder = Path(folder)
    found = read_content(folder)
    if found.get("kind") != QUANTITY:
        raise SavedError(f"{folder} is a model of classes, not of a quantity. Fit one with --regression.")
    if fault := misfit(_Content, found):
        raise SavedError(f"{folder / RECORD} is damaged: {fault}. {AGAIN}")
    content: _Content = found  # type: ignore[assignment]  # misfit has checked it
    arrays = read_model_arrays(folder, content["arrays"])
    regressor = content["regressor"]
    try:
        columns = columns_from_dict(content["numbers"])
        _check(arrays, content, columns)
    except (ValueError, SavedError) as error:
        raise SavedError(f"{folder} is damaged: {error}. {AGAIN}") from error
    own = {name.removeprefix("regressor/"): array for name, array in arrays.items() if name.startswith("regressor/")}
    fitted = FittedRegressor(regressor["form"], own, regressor["settings"])
    names, findings = tuple(content["examples"]), dict(content["findings"])
    return QuantityModel(content["target"], columns, regressor["name"], fitted, arrays["vectors"], arrays["targets"], names, findings)


def _check(arrays: Mapping[str, np.ndarray], content: _Content, columns: NumberColumns) -> None:
    """Raise a ValueError unless the arrays are those of a model with this record, so that no answer can fail later."""
    n, D = len(content["examples"]), content["encoder"]["features"]
    if columns.features != D or n < 1:
        raise ValueError(f"its columns make vectors of {columns.features} numbers, and {D} are wanted")
    wanted: dict[str, tuple[str, tuple[int, ...]]] = {"vectors": ("float32", (n, D)), "targets": ("float64", (n,))}
    if content["regressor"]["form"] == "linear":
        wanted |= {"regressor/weights": ("float64", (D,)), "regressor/intercept": ("float64", (1,))}
    else:
        own = arrays.get("regressor/examples")
        m = min(len(own), n) if own is not None and own.ndim else n  # of very many examples, it holds a sample
        wanted |= {"regressor/examples": ("float32", (m, D)), "regressor/targets": ("float64", (m,))}
        k = content["regressor"]["settings"].get("k", 0)
        if not (1 <= k <= m and k == int(k)):
            raise ValueError(f"k is a whole number from 1 to {m}; found {k}")
    for name, (dtype, shape) in wanted.items():
        one = arrays.get(name)
        if one is None or (str(one.dtype), one.shape) != (dtype, shape):
            what = "nothing" if one is None else f"{one.dtype} {one.shape}"
            raise ValueError(f"{name} must be {dtype} {shape}; found {what}")
        if not np.isfinite(one).all():
            raise ValueError(f"{name} holds numbers that are not finite")
