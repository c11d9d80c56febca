"""Saved learners: every value of `learner.json` replaced or removed, and its tensors damaged, with and without a fitting checksum."""

import hashlib
import json
import struct
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from hostile.case import Case, Cases, Words
from hostile.damage import Damage, changed, damages, hostile_values, places_in, write_json
from hostile.stock import FEW, Stock

_RECORD = Path("learner/learner.json")

# The form of the record, written out: cases have their names before anything is trained.
_FORM: dict[str, Any] = {
    "format": 1, "learner": {"name": "", "arguments": {}}, "backbone": {"name": "", "arguments": {"width": 3, "channels": 3}},
    "family": "", "class": "",
    "preprocess": {"name": "", "arguments": {"size": 16, "channels": 3, "fit": "", "levels": ""}},
    "tensors": {"file": "", "sha256": "", "shapes": {"backbone.blocks.0.conv.weight": ""}},
    "record": {
        "data": "", "fingerprint": "", "split": "", "division": {"train": ["", ""], "val": ["", ""], "test": ["", ""]},
        "test_sizes": [2, 4],
        "classes_seen": {"": ["", ""]}, "seed": 0,
        "recipe": {"description": "", "data": {"name": "", "split": "", "size": 16, "fractions": [0.5, 0.2]}, "learner": {},
        "episodes": {}, "training": {}},
        "command": "", "updates": 2, "best_update": 2, "validation": [{"update": 2, "mean": 0.4, "interval": 0.7, "loss": 1.6}],
        "environment": {"machine": "", "threads": 1},
    },
}  # fmt: skip
_QUESTIONS = ("show", "evaluate", "predict", "inspect", "resave")


def cases() -> Cases:
    """All cases of this family."""
    number = 0
    for place in places_in(_FORM):
        for name, value in hostile_values().items():
            question = _QUESTIONS[number % len(_QUESTIONS)]
            number += 1
            path = ".".join(map(str, place))
            yield Case(f"saved/learner.json/{path}={name} {question}", _changed(place, value, question), mentions=("learner",))
    for name, damage in damages(rounds=12).items():
        for question in ("evaluate", "show"):
            case = f"saved/file learner.json {question}/{name}"
            yield Case(case, _damaged("learner.json", damage, question), mentions=("learner",))
    for name, damage in damages(rounds=12).items():
        yield Case(
            f"saved/file tensors/{name}",
            _damaged("tensors-*", damage, "predict"),
            ending="any" if name == "carriage-returns" else "refused",
            mentions=("tensors-", "learner"),
        )
        signed = _damaged("tensors-*", damage, "evaluate", signed=True)
        yield Case(f"saved/file tensors, signed/{name}", signed, mentions=("tensors-", "learner"))
    for name, change in _headers().items():
        for question in ("show", "evaluate"):
            yield Case(f"saved/header {question}/{name}", _reheaded(change, question), mentions=("tensors-", "learner"))
    for tensor in ("conv.weight", "norm.running_var", "norm.running_mean", "norm.weight"):
        for name, number_ in {"nan": float("nan"), "inf": float("inf"), "minus-one": -1.0, "3e38": 3e38}.items():
            bad = name in ("nan", "inf") or (tensor == "norm.running_var" and name == "minus-one")
            for question in ("evaluate", "predict"):
                yield Case(
                    f"saved/values {question}/{tensor}={name}",
                    _filled(tensor, number_, question),
                    ending="refused" if bad else "any",
                    mentions=(tensor, "finite"),
                )
    for name, made in _folders().items():
        for question in ("show", "evaluate", "predict"):
            case = f"saved/folder {question}/{name}"
            yield Case(case, _in_its_place(made, question), ending="refused", mentions=("learner",))


def words_of(question: str, stock: Stock) -> Words | Callable[[], object]:
    """The words of a command, or a call, that opens the learner in the working directory in one way of `_QUESTIONS`."""
    if question == "predict":
        return ["predict", "learner", stock.pets / "pet0" / "0.png", "--support", stock.pets, "--json"]
    if question == "show":
        return ["show", "learner", "--json"]
    if question == "resave":
        return _opened_and_saved
    return [question, "learner", "--data", stock.pets, *FEW, "--json"] if question == "inspect" else [question, "learner", *FEW, "--json"]


def _opened_and_saved() -> object:
    import kshot

    saved = kshot.open_saved("learner")
    kshot.save("again", saved.learner, preprocess=saved.preprocess, record=saved.record)
    return kshot.open_saved("again")


def _changed(place: tuple[str | int, ...], value: Any, question: str) -> Callable[[Stock], Any]:
    def prepare(stock: Stock) -> Any:
        stock.learner(Path("learner"))
        content = json.loads(_RECORD.read_text(encoding="utf-8"))
        write_json(_RECORD, changed(content, place, value))
        return words_of(question, stock)

    return prepare


def _damaged(pattern: str, damage: Damage, question: str, *, signed: bool = False) -> Callable[[Stock], Any]:
    def prepare(stock: Stock) -> Any:
        file = next(stock.learner(Path("learner")).glob(pattern))
        damage(file)
        if signed and file.is_file() and not file.is_symlink() and file.stat().st_size < 10**6:
            _sign(file)
        return words_of(question, stock)

    return prepare


def _sign(file: Path) -> None:
    """Write the checksum of a changed tensor file into the record, so that the reader goes on to its contents."""
    content = json.loads(_RECORD.read_text(encoding="utf-8"))
    content["tensors"]["sha256"] = hashlib.sha256(file.read_bytes()).hexdigest()
    write_json(_RECORD, content)


def _headers() -> Mapping[str, Callable[[dict[str, Any]], object]]:
    """Changes of a safetensors header."""

    def one(header: dict[str, Any]) -> dict[str, Any]:
        return header[next(name for name in header if name.endswith("conv.weight"))]  # type: ignore[no-any-return]

    changes: dict[str, Callable[[dict[str, Any]], object]] = {}
    for dtype in (
        "F64",
        "F16",
        "BF16",
        "I32",
        "U8",
        "BOOL",
        "I64",
        "F8_E4M3",
        "F8_E5M2",
        "F4",
        "F6_E2M3",
        "C64",
        "X99",
        "",
        7,
        None,
        "\x1b[31m",
    ):
        changes[f"dtype {dtype!r}"] = lambda header, dtype=dtype: one(header).update(dtype=dtype)  # type: ignore[misc]
    for name, shape in {
        "empty": [], "zero": [0], "negative": [-3, 3, 3, 3], "huge": [2**62, 4], "text": ["3"], "half": [1.5], "other": [81],
        "long": [1] * 1000 + [81],
        "null": None, "number": 81,
    }.items():  # fmt: skip
        changes[f"shape {name}"] = lambda header, shape=shape: one(header).update(shape=shape)  # type: ignore[misc]
    for name, offsets in {
        "backwards": [8, 0],
        "beyond": [0, 10**9],
        "negative": [-4, 320],
        "one": [0],
        "overlap": [0, 324],
        "huge": [0, 2**64],
    }.items():
        changes[f"offsets {name}"] = lambda header, offsets=offsets: one(header).update(data_offsets=offsets)  # type: ignore[misc]
    changes["no tensors"] = dict.clear
    changes["metadata number"] = lambda header: header.update(__metadata__=7)
    changes["metadata deep"] = lambda header: header.update(__metadata__={"a": {"b": 1}})
    changes["name control"] = lambda header: header.update({"\x1b[31m": header.pop(next(iter(header)))})
    changes["name empty"] = lambda header: header.update({"": header.pop(next(iter(header)))})
    changes["name long"] = lambda header: header.update({"x" * 100_000: header.pop(next(iter(header)))})
    return changes


def _reheaded(change: Callable[[dict[str, Any]], object], question: str) -> Callable[[Stock], Any]:
    def prepare(stock: Stock) -> Any:
        file = next(stock.learner(Path("learner")).glob("tensors-*"))
        file.write_bytes(reheaded(file.read_bytes(), change))
        _sign(file)
        return words_of(question, stock)

    return prepare


def reheaded(data: bytes, change: Callable[[dict[str, Any]], object]) -> bytes:
    """The bytes of a safetensors file with a changed header."""
    size = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8 : 8 + size])
    change(header)
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data[8 + size :]


def _filled(tensor: str, number: float, question: str) -> Callable[[Stock], Any]:
    def prepare(stock: Stock) -> Any:
        import safetensors.torch

        file = next(stock.learner(Path("learner")).glob("tensors-*"))
        tensors = safetensors.torch.load_file(file)
        for name, value in tensors.items():
            if name.endswith(tensor):
                value.view(-1)[0] = number
        file.write_bytes(safetensors.torch.save(tensors))
        _sign(file)
        return words_of(question, stock)

    return prepare


def _folders() -> Mapping[str, Callable[[Path], object]]:
    def loop(place: Path) -> None:
        place.mkdir()
        (place / "learner").symlink_to("..")
        (place / "learner.json").symlink_to("learner/learner.json")

    def many(place: Path) -> None:
        place.mkdir()
        for number in range(2000):
            (place / f"{number}").touch()

    def both(place: Path) -> None:
        place.mkdir()
        (place / "learner.json").write_text("{}")
        (place / "optimizer.json").write_text("{}")

    return {
        "file": Path.touch,
        "empty": Path.mkdir,
        "loop": loop,
        "many": many,
        "both": both,
        "link": lambda place: place.symlink_to("/dev/zero"),
    }


def _in_its_place(made: Callable[[Path], object], question: str) -> Callable[[Stock], Any]:
    def prepare(stock: Stock) -> Any:
        made(Path("learner"))
        return words_of(question, stock)

    return prepare
