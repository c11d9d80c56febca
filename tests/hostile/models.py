"""Fitted models: every value of `model.json` and of `encoder.json` replaced or removed, their arrays and graphs damaged."""

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from hostile.case import Case, Cases, Words
from hostile.damage import Damage, changed, damages, hostile_values, places_in, write_json
from hostile.stock import Stock

_ENCODER = {"name": "", "reads": "", "features": 3, "fingerprint": "", "licence": "", "source": "", "package": ""}
_NUMBERS: dict[str, Any] = {
    "numbers": [{"name": "", "fill": 1.0, "mean": 1.0, "scale": 1.0, "low": 0.0, "high": 9.0, "indicator": True, "place": 0}],
    "categories": [{"name": "", "words": ["", ""], "place": 2}],
    "findings": [""],
}
_ESTIMATE = {"how": "", "accuracy": 1.0, "interval": [0.1, 1.0], "log_likelihood": -0.1, "classes": 2, "confusion": [[0, 0, 1]],
             "unscored": [0, 0]}  # fmt: skip
_COMMON: dict[str, Any] = {"format": 1, "kshot": "", "examples": ["", ""], "arrays": {"file": "", "sha256": ""}}
_CLASSES: dict[str, Any] = {
    **_COMMON,
    "classes": ["", ""],
    "encoder": _ENCODER,
    "head": {"name": "", "form": "", "feature_map": "", "temperature": 1.0, "settings": {}},
    "columns": {},
    "descriptions": {},
    "findings": {"asked_head": "", "head": "", "choice": {}, "estimate": _ESTIMATE},
}
_REGRESSOR = {"name": "", "form": "", "settings": {"strength": 0.1}}

# The forms of the records, written out: cases have their names before anything is fitted.
_FORMS: dict[str, dict[str, Any]] = {
    "pictures": {**_CLASSES, "numbers": None},
    "texts": {**_CLASSES, "numbers": None, "columns": {"things": [""], "label": ""}},
    "rows": {**_CLASSES, "numbers": _NUMBERS, "columns": {"things": ["", ""], "label": ""}},
    "quantity": {
        **_COMMON, "kind": "", "target": "", "encoder": {"name": "", "features": 5, "fingerprint": ""}, "regressor": _REGRESSOR,
        "numbers": _NUMBERS, "findings": {"regressor": "", "choice": {}, "estimate": {"how": "", "examples": 9, "rmse": 1.0,
        "rmse_interval": [0.1, 1.0], "mae": 1.0, "mae_interval": [0.1, 1.0], "r2": 0.5, "rmse_of_mean": 1.0, "mae_of_mean": 1.0}},
    },
}  # fmt: skip
_GRAPH: dict[str, Any] = {
    "kind": "", "name": "", "features": 3, "fingerprint": "", "size": 8, "layout": "", "mean": [], "deviation": [],
    "provenance": {"licence": "", "source": "", "package": ""}, "digests": {"encoder.onnx": ""},
}  # fmt: skip
_QUESTIONS = ("show", "predict", "add", "remove", "rename", "estimate", "report")


def cases() -> Cases:
    """All cases of this family."""
    count = 0
    for kind, form in _FORMS.items():
        for place in places_in(form):
            for name, value in hostile_values().items():
                count += 1
                question = _QUESTIONS[count % len(_QUESTIONS)]
                path = ".".join(map(str, place))
                yield Case(f"model/{kind} model.json/{path}={name} {question}", _changed(kind, "model.json", place, value, question))
        for name, damage in damages(rounds=6).items():
            question = ("show", "predict", "add")[len(name) % 3]
            yield Case(
                f"model/{kind} file model.json/{name} {question}",
                _damaged(kind, "model.json", damage, question),
                mentions=("m/model.json", "m is"),
            )
            ending = "any" if name == "carriage-returns" else "refused"
            case = f"model/{kind} file arrays/{name}"
            yield Case(case, _damaged(kind, "arrays-*", damage, "predict"), ending, mentions=("arrays-", "m"))  # type: ignore[arg-type]
            yield Case(f"model/{kind} file arrays, signed/{name}", _damaged(kind, "arrays-*", damage, question, signed=True))
        for number, (name, change) in enumerate(_arrays().items()):
            for turn, question in enumerate(("predict", "add", "remove", "estimate"), number):
                yield Case(f"model/{kind} arrays {question}/{name}", _rewritten(kind, change, turn, question))
    for place in places_in(_GRAPH):
        for name, value in hostile_values().items():
            count += 1
            path = ".".join(map(str, place)).replace("/", "|")
            question = ("predict", "add", "estimate", "remove")[count % 4]
            yield Case(f"model/encoder.json/{path}={name} {question}", _changed("pictures", "encoder.json", place, value, question))
    for name, damage in damages(rounds=6).items():
        for file in ("encoder.json", "encoder.onnx"):
            yield Case(f"model/file {file}/{name}", _damaged("pictures", file, damage, "predict"), mentions=("encoder",))
        yield Case(f"model/file encoder.onnx, signed/{name}", _damaged("pictures", "encoder.onnx", damage, "predict", signed=True))


def words_of(question: str, kind: str, stock: Stock) -> Words:
    """The words of a command that uses the model `m` in the working directory in one way of `_QUESTIONS`."""
    things = stock.things(kind)
    one = things / "pet0" / "0.png" if kind == "pictures" else things
    old = {"pictures": "pet0", "texts": "long", "rows": "low", "quantity": "low"}[kind]
    words: dict[str, list[str | Path]] = {
        "show": ["show", "m"],
        "predict": ["predict", "m", one],
        "add": ["add", "m", "another", one],
        "remove": ["remove", "m", old],
        "rename": ["rename", "m", old, "another"],
        "estimate": ["estimate", "m", things, *(["--label", "kind"] if kind == "rows" else [])],
        "report": ["estimate", "m", things, "--report", *(["--label", "kind"] if kind == "rows" else [])],
    }
    return [*words[question], "--json"]


def _changed(kind: str, file: str, place: tuple[str | int, ...], value: Any, question: str) -> Callable[[Stock], Words]:
    def prepare(stock: Stock) -> Words:
        record = stock.model(kind, Path("m")) / file
        write_json(record, changed(json.loads(record.read_text(encoding="utf-8")), place, value))
        return words_of(question, kind, stock)

    return prepare


def _damaged(kind: str, pattern: str, damage: Damage, question: str, *, signed: bool = False) -> Callable[[Stock], Words]:
    def prepare(stock: Stock) -> Words:
        file = next(stock.model(kind, Path("m")).glob(pattern))
        damage(file)
        if signed and file.is_file() and not file.is_symlink() and file.stat().st_size < 10**6:
            _sign(file)
        return words_of(question, kind, stock)

    return prepare


def _sign(file: Path) -> None:
    """Write the checksum of a changed file into the record, so that the reader goes on to its contents."""
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    record = Path("m/encoder.json" if file.name.startswith("encoder") else "m/model.json")
    content = json.loads(record.read_text(encoding="utf-8"))
    if record.name == "encoder.json":
        content["digests"][file.name] = digest
    else:
        content["arrays"]["sha256"] = digest
    write_json(record, content)


def _arrays() -> Mapping[str, Callable[[np.ndarray], np.ndarray]]:
    """Changes of every array of a model."""

    def filled(number: float) -> Callable[[np.ndarray], np.ndarray]:
        def change(array: np.ndarray) -> np.ndarray:
            other = array.copy()
            with np.errstate(all="ignore"):
                other.reshape(-1)[:1] = np.array(number).astype(array.dtype)
            return other

        return change

    changes: dict[str, Callable[[np.ndarray], np.ndarray]] = {
        "one-less": lambda array: array[:-1], "twice": lambda array: np.concatenate([array, array]), "empty": lambda array: array[:0],
        "another-axis": lambda array: array[None], "flat": np.ravel, "float16": lambda array: array.astype(np.float16),
        "float64": lambda array: array.astype(np.float64), "int32": lambda array: array.astype(np.int32),
        "zeros": np.zeros_like, "equal": np.ones_like, "huge": lambda array: (array * 0 + 3e38).astype(array.dtype),
        "tiny": lambda array: (array * 0 + 1e-40).astype(array.dtype), "turned": lambda array: array[::-1].copy(),
    }  # fmt: skip
    return changes | {name: filled(number) for name, number in {"nan": np.nan, "inf": np.inf, "minus-one": -1.0, "many": 10**9}.items()}


def _rewritten(kind: str, change: Callable[[np.ndarray], np.ndarray], turn: int, question: str) -> Callable[[Stock], Words]:
    """Change one of the arrays; `turn` says which."""

    def prepare(stock: Stock) -> Words:
        import safetensors.numpy

        file = next(stock.model(kind, Path("m")).glob("arrays-*"))
        arrays = safetensors.numpy.load_file(file)
        name = sorted(arrays)[turn % len(arrays)]
        with np.errstate(all="ignore"):
            arrays[name] = np.ascontiguousarray(change(arrays[name]))
        file.write_bytes(safetensors.numpy.save(arrays))
        _sign(file)
        return words_of(question, kind, stock)

    return prepare
