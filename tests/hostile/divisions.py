"""Division files and class lists, as `data.split` and `--split`, and as Python tables; support sets and queries of `predict`."""

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hostile.case import JSON_VALUES, TEXTS, Case, Cases, Words
from hostile.damage import damages, write_json
from hostile.stock import FEW, QUICK, Stock

_GOOD: dict[str, Any] = {"train": ["pet0", "pet1", "pet2", "pet3"], "val": ["pet4", "pet5"], "test": ["pet6", "pet7"]}


def cases() -> Cases:
    """All cases of this family."""
    for name, damage in damages(rounds=8).items():
        for way in ("train", "evaluate"):
            case = f"division/file {way}/{name}"
            yield Case(case, _with_file(lambda file, damage=damage: damage(file), way), mentions=("division.json",))  # type: ignore[misc]
    for part in ("train", "val", "test", "trainval", "tset", ""):
        for name, value in JSON_VALUES.items():
            yield Case(f"division/part {part}/{name}", _with({**_GOOD, part: value}))
            yield Case(f"division/class in {part}/{name}", _with({**_GOOD, part: [*_GOOD.get(part, []), value]}))
    for name, text in TEXTS.items():
        yield Case(f"division/class/{name}", _with({**_GOOD, "test": ["pet6", text]}), ending="refused")
    for number in range(60):
        draw = random.Random(number)
        names = [f"pet{draw.randint(0, 9)}" for _ in range(draw.randint(0, 12))]
        parts = {draw.choice(["train", "val", "test"]): names[start : start + 3] for start in range(0, len(names), 3)}
        yield Case(f"division/random/{number}", _with(parts))
    for name, text in TEXTS.items():
        if name != "nul":
            yield Case(f"division/name/{name}", _named(text))
    for name, support in _supports().items():
        yield Case(f"predict/support/{name}", _supported(support))
    for name, queries in {
        "none": [], "one": ["QUERY"], "many": ["QUERY"] * 600, "folder": ["."], "missing": ["no.png"], "mixed": ["QUERY", "no.png"],
        "fifo": ["FIFO"], "empty-name": [""],
        "support": ["SUPPORT"], "glob": ["*.png"], "dash": ["-"], "url": ["https://example.org/x.png"], "device": ["/dev/zero"],
        "repeated": ["QUERY", "QUERY"],
    }.items():  # fmt: skip
        yield Case(f"predict/query/{name}", _queried(queries))
        yield Case(f"predict/query called/{name}", _called(queries))
    for name, argument in {
        "none": None, "number": 7, "text": "pets", "nan": float("nan"), "set": {"a"}, "generator": (n for n in ()), "bytes": b"x",
        "table": {"a": 1}, "nested": [[]], "path": Path("x"),
    }.items():  # fmt: skip
        yield Case(f"predict/argument/{name}", _predicting(argument), ending="refused")


def _with_file(change: Callable[[Path], object], way: str) -> Callable[[Stock], Words]:
    def prepare(stock: Stock) -> Words:
        file = Path("division.json")
        write_json(file, _GOOD)
        change(file)
        if way == "evaluate":
            return ["evaluate", "nearest", "--data", stock.pets, "--split", "division.json", *FEW, "--json"]
        return ["train", "protonet", "--data", stock.pets, "--out", "run", *QUICK, "--set", "data.split=division.json"]

    return prepare


def _with(content: Any) -> Callable[[Stock], Words]:
    return _with_file(lambda file: file.write_text(json.dumps(content), encoding="utf-8"), "train")


def _named(text: str) -> Callable[[Stock], Words]:
    def prepare(stock: Stock) -> Words:
        return ["train", "protonet", "--data", stock.pets, "--out", "run", *QUICK, "--set", f"data.split={json.dumps(text)}"]

    return prepare


def _supports() -> dict[str, Any]:
    return {
        "none": None, "number": 7, "list": ["a"], "empty": {}, "one-class": {"a": ["QUERY"]}, "empty-class": {"a": ["QUERY"], "b": []},
        "good": {"a": ["QUERY"], "b": ["SUPPORT"]},
        "text-class": {"a": "QUERY", "b": "SUPPORT"}, "none-class": {"a": None, "b": None}, "number-class": {"a": 7, "b": 8},
        "number-name": {1: ["QUERY"], 2: ["SUPPORT"]},
        "none-name": {None: ["QUERY"], "b": ["SUPPORT"]}, "mixed-names": {"1": ["QUERY"], 1: ["SUPPORT"]}, "missing": {"a": ["QUERY"],
        "b": ["no.png"]}, "none-in": {"a": ["QUERY"], "b": [None]},
        "nested": {"a": [["QUERY"]], "b": ["SUPPORT"]}, "same": {"a": ["QUERY"], "b": ["QUERY"]},
        "many": {str(n): ["QUERY"] for n in range(300)}, "control": {"\x1b[31m": ["QUERY"], "\n": ["SUPPORT"]},
        "set": {"a": {"QUERY"}, "b": {"SUPPORT"}}, "table-class": {"a": {"x": "QUERY"}, "b": ["SUPPORT"]},
        "generator": {"a": (n for n in ()), "b": ["QUERY"]}, "bytes": b"pets", "nan": float("nan"),
        "folder-in": {"a": ["."], "b": ["QUERY"]}, "fifo-in": {"a": ["FIFO"], "b": ["QUERY"]}, "empty-name": {"": ["QUERY"],
        "b": ["SUPPORT"]}, "tuple": (("a", ["QUERY"]),),
    }  # fmt: skip


def _filled(value: Any, stock: Stock) -> Any:
    """The value with its placeholders replaced by files."""
    if isinstance(value, dict):
        return {key: _filled(inner, stock) for key, inner in value.items()}
    if isinstance(value, (list, set)):
        return type(value)(_filled(inner, stock) for inner in value)
    if value == "FIFO" and not Path("fifo.png").exists():
        import os

        os.mkfifo("fifo.png")
    known = {"QUERY": stock.pets / "pet0" / "0.png", "SUPPORT": stock.pets / "pet1" / "0.png", "FIFO": Path("fifo.png")}
    return known.get(value, value) if isinstance(value, str) else value


def _supported(support: Any) -> Callable[[Stock], Callable[[], object]]:
    def prepare(stock: Stock) -> Callable[[], object]:
        import kshot

        filled = _filled(support, stock)
        return lambda: kshot.Classifier(stock.finished, filled).predict([stock.pets / "pet0" / "1.png"])

    return prepare


def _queried(queries: list[str]) -> Callable[[Stock], Words]:
    return lambda stock: ["predict", stock.finished, *_filled(queries, stock), "--support", stock.pets, "--json"]


def _called(queries: list[str]) -> Callable[[Stock], Callable[[], object]]:
    def prepare(stock: Stock) -> Callable[[], object]:
        import kshot

        classifier, filled = kshot.Classifier(stock.finished, stock.pets), _filled(queries, stock)
        return lambda: classifier.predict(filled)

    return prepare


def _predicting(argument: Any) -> Callable[[Stock], Callable[[], object]]:
    def prepare(stock: Stock) -> Callable[[], object]:
        import kshot

        classifier = kshot.Classifier(stock.finished, stock.pets)
        return lambda: classifier.predict(argument)

    return prepare
