"""A user's own things: names of classes and files, words of the commands, names of encoders, ONNX files, descriptions."""

import os
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from hostile.case import TEXTS, Case, Cases, Words, shown
from hostile.damage import damages
from hostile.folders import NAMES, layouts
from hostile.stock import Stock, copied

_EVERYTHING = ("root", "dots")
"""Words that name all of a disk, which takes as long as it takes."""
_KINDS = ("pictures", "texts", "rows", "quantity")


def cases() -> Cases:
    """All cases of this family."""
    for name, text in NAMES.items():
        for way in ("fit", "fit report", "estimate", "predict", "add", "root", "table"):
            yield Case(f"own/name {way}/{name}", _called(text, way))
    for name, made in layouts().items():
        for way in ("fit", "predict", "add", "estimate"):
            yield Case(f"own/layout {way}/{name}", _laid_out(made, way))
    for name, word in TEXTS.items():
        for kind in _KINDS:
            for command, words in _commands(word).items():
                if name in _EVERYTHING and command not in ("rename", "remove", "text", "form", "label"):
                    continue
                mentions = (shown(word), repr(word)[1:41]) if command == "remove" and kind != "quantity" and word.strip() else ()
                yield Case(f"own/word {kind} {command}/{name}", _said(kind, words), mentions=mentions)
        for flag in ("--with", "--encoder", "--label", "--text", "--path", "--depth", "--descriptions", "--device", "-o"):
            if name not in ("nul", "memory") or flag != "-o":
                yield Case(f"own/flag fit {flag}/{name}", _flagged(flag, word))
    for name, encoder in _ENCODERS.items():
        for kind in ("pictures", "texts"):
            yield Case(f"own/encoder {kind}/{name}", _encoder(kind, encoder), "refused")
    for name, damage in damages(rounds=12).items():
        yield Case(f"own/onnx file/{name}", _onnx(damage))
    for name, graph in _graphs().items():
        yield Case(f"own/onnx graph/{name}", _onnx(graph))
    for name, toml in _DESCRIPTIONS.items():
        for way in ("alone", "with examples"):
            yield Case(f"own/descriptions {way}/{name}", _described(toml, way))
    for name, pair in _PAIRS.items():
        for method in ("fit", "predict", "partial_fit", "add_class"):
            yield Case(f"own/classifier {method}/{name}", _classifier(method, *pair), loose=True)


def _called(text: bytes, way: str) -> Callable[[Stock], Words]:
    """A class, a file, the folder or the label of a table has a hostile name."""

    def prepare(stock: Stock) -> Words:
        pets, name = copied(stock.pets, Path("pets")), os.fsdecode(text)
        if way == "root":
            os.rename("pets", text)
            return ["fit", name if not name.startswith("-") else f"./{name}", "-o", "n", "--json"]
        if way == "add":
            stock.model("pictures", Path("m"))
            return ["add", "m", *(["--"] if name.startswith("-") else []), name, pets / "pet0" / "0.png"]
        if way == "table":
            os.rename("pets/pet0/0.png", os.path.join(b"pets", text[:251] + b".png"))
            table = (
                b'path,label\n"pets/'
                + (text[:251] + b".png").replace(b'"', b'""')
                + b'","'
                + text.replace(b'"', b'""')
                + b'"\npets/pet1/0.png,b\n'
            )
            Path("t.csv").write_bytes(table)
            return ["fit", "t.csv", "-o", "n", "--json"]
        os.rename(b"pets/pet0", os.path.join(b"pets", text))
        if way == "predict":
            os.rename(os.path.join(b"pets", text, b"0.png"), os.path.join(b"pets", text, text[:251] + b".png"))
            return ["predict", stock.models["pictures"], pets, "--json"]
        if way == "estimate":
            return ["estimate", stock.models["pictures"], pets, "--json"]
        return ["fit", pets, "-o", "n", *(["--report"] if way == "fit report" else ["--json"])]

    return prepare


def _laid_out(made: Callable[[Path], object], way: str) -> Callable[[Stock], Words]:
    def prepare(stock: Stock) -> Words:
        pets = copied(stock.pets, Path("pets"))
        if way == "add":
            stock.model("pictures", Path("m"))
        made(pets)
        model = stock.models["pictures"]
        words: dict[str, list[str | Path]] = {
            "fit": ["fit", pets, "-o", "n"], "predict": ["predict", model, pets], "add": ["add", "m", "another", pets],
            "estimate": ["estimate", model, pets],
        }  # fmt: skip
        return [*words[way], "--json"]

    return prepare


def _commands(word: str) -> Mapping[str, list[str]]:
    """Commands about a model `m`, in which one word is hostile."""
    end = ["--"] if word.startswith("-") else []
    return {
        "predict": ["predict", "m", "--json", *end, word], "predict two": ["predict", "m", "--json", *end, word, "no.csv"],
        "add class": ["add", "m", "--json", *end, word, "THINGS"], "add things": ["add", "m", "--json", "a", *end, word],
        "rename": ["rename", "m", "--json", "OLD", *end, word], "remove": ["remove", "m", "--json", *end, word],
        "estimate": ["estimate", "m", "--json", *end, word], "show": ["show", "--json", *end, word],
        "text": ["predict", "m", "THINGS", "--json", "--text", word], "form": ["predict", "m", "THINGS", "--json", "--form", word],
        "label": ["estimate", "m", "THINGS", "--json", "--label", word],
    }  # fmt: skip


def _said(kind: str, words: list[str]) -> Callable[[Stock], Words]:
    def prepare(stock: Stock) -> Words:
        stock.model(kind, Path("m"))
        things = stock.things(kind)
        old = {"pictures": "pet0", "texts": "long", "rows": "low", "quantity": "low"}[kind]
        named: dict[str, str | Path] = {"THINGS": things / "pet0" if kind == "pictures" else things, "OLD": old}
        return [named.get(word, word) for word in words]

    return prepare


def _flagged(flag: str, word: str) -> Callable[[Stock], Words]:
    def prepare(stock: Stock) -> Words:
        things = stock.pets if flag == "--depth" else stock.things("texts")
        return ["fit", things, flag, word, *([] if flag == "-o" else ["-o", "n"]), "--json"]

    return prepare


_ENCODERS = {
    "plus": "+", "plus-plus": "colours++colours", "half": "colours+", "unknown": "colours+nose", "other-kind": "colours+lengths",
    "many": "+".join(["nose"] * 500),
    "layers": ":layers", "layers-twice": "lengths:layers:layers", "onnx": "no.onnx", "folder": ".", "timm": "timm:", "upper": "COLOURS",
    "spaces": " colours ",
    "learner": "omniglot-none", "recipe": "protonet",
}  # fmt: skip
"""Names that no encoder has."""


def _encoder(kind: str, name: str) -> Callable[[Stock], Words]:
    return lambda stock: ["fit", stock.things(kind), "-o", "n", "--encoder", name, "--json"]


def _onnx(change: Callable[[Path], object]) -> Callable[[Stock], Words]:
    def prepare(stock: Stock) -> Words:
        Path("e.onnx").write_bytes(stock.means.read_bytes())
        change(Path("e.onnx"))
        return ["fit", stock.pets, "-o", "n", "--encoder", "e.onnx", "--json"]

    return prepare


def _graphs() -> Mapping[str, Callable[[Path], object]]:
    """Graphs that take or give something else."""
    from onnx import helper

    from cases.onnx_graphs import BYTES, FLOAT, save, save_means

    def constant(value: np.ndarray) -> Callable[[Path], object]:
        def make(path: Path) -> Path:
            tensor = helper.make_tensor("v", FLOAT, value.shape, value.ravel().tolist())
            nodes = [helper.make_node("Constant", [], ["vectors"], value=tensor)]
            return save(path, nodes, [("pixels", BYTES, ("M", 8, 8, 3))], [("vectors", FLOAT, value.shape)])

        return make

    def told(**metadata: str) -> Callable[[Path], object]:
        names = {f"kshot.{key}": value for key, value in metadata.items()}
        return lambda path: save_means(path, ("M", 3, "size", "size"), FLOAT, names)

    def endless(path: Path) -> Path:
        shape = helper.make_node("Constant", [], ["shape"], value_ints=[2**20, 2**20, 2**10])
        nodes = [shape, helper.make_node("ConstantOfShape", ["shape"], ["vectors"])]
        return save(path, nodes, [("pixels", BYTES, ("M", 8, 8, 3))], [("vectors", FLOAT, ("a", "b", "c"))])

    return {
        "one": constant(np.ones((1, 3))), "nan": constant(np.full((1, 3), np.nan)), "inf": constant(np.full((1, 3), np.inf)),
        "no-axis": constant(np.ones(())), "empty": constant(np.ones((1, 0))),
        "three-axes": constant(np.ones((1, 2, 2))), "many-rows": constant(np.ones((7, 3))), "endless": endless,
        "negative-size": lambda path: save_means(path, ("M", -8, -8, 3)),
        "no-size": lambda path: save_means(path, ("M", 0, 0, 3)), "huge-size": lambda path: save_means(path, ("M", 60_000, 60_000, 3)),
        "oblong": lambda path: save_means(path, ("M", 8, 9, 3)),
        "size-nan": told(size="nan"), "size-minus": told(size="-8"), "size-huge": told(size="9" * 300),
        "size-text": told(size="\x1b[31m"), "mean-text": told(size="8", mean="a"),
        "mean-inf": told(size="8", mean="inf,0,0"), "deviation-zero": told(size="8", deviation="0,0,0"),
        "deviation-one": told(size="8", deviation="1"),
        "metadata-long": told(size="8", mean="x" * 200_000),
    }  # fmt: skip


_DESCRIPTIONS: dict[str, bytes] = {
    "empty": b"", "no-toml": b"refund: money", "number": b"a = 1\nb = 2\n", "empty-text": b"a = ''\nb = 'x'\n",
    "list": b"a = []\nb = ['x']\n", "nested": b"a = [['x']]\nb = 'y'\n",
    "table": b"[a]\nb = 'x'\n", "date": b"a = 1979-05-27\nb = 'x'\n", "one": b"short = 'x'\n", "twice": b"a = 'x'\na = 'y'\n",
    "empty-name": b"'' = 'x'\nb = 'y'\n", "space-name": b"' ' = 'x'\nb = 'y'\n",
    "control": b'"\\u001b[31m" = "x"\nb = "\\u202e"\n', "nul": b"a = 'x\0'\n", "not-utf-8": b"a = '\xff'\nb = 'y'\n",
    "utf-16": "a = 'x'\nb = 'y'\n".encode("utf-16"), "bom": b"\xef\xbb\xbflong = 'x'\nshort = 'y'\n",
    "deep": b"a = " + b"[" * 3000 + b"]" * 3000, "long": b"long = '" + b"x" * 2_000_000 + b"'\nshort = 'y'\n",
    "many": b"".join(b"c%d = 'x %d'\n" % (k, k) for k in range(3000)),
    "unknown": b"long = 'x'\nshort = 'y'\nother = 'z'\n", "case": b"Long = 'x'\nlong = 'y'\nshort = 'z'\n",
    "same": b"long = 'x'\nshort = 'x'\n", "good": b"long = 'x y z'\nshort = 'x'\n",
}  # fmt: skip


def _described(toml: bytes, way: str) -> Callable[[Stock], Words]:
    def prepare(stock: Stock) -> Words:
        Path("classes.toml").write_bytes(toml)
        return ["fit", *([] if way == "alone" else [stock.things("texts")]), "--descriptions", "classes.toml", "-o", "n", "--json"]

    return prepare


_X, _Y = [[0.0, 0.0], [0.0, 1.0], [5.0, 5.0], [5.0, 6.0]], ["a", "a", "b", "b"]
_PAIRS: dict[str, tuple[Any, Any, dict[str, Any]]] = {
    "good": (_X, _Y, {}), "none": (None, None, {}), "text": ("abcd", _Y, {}), "fewer": (_X[:3], _Y, {}), "empty": ([], [], {}),
    "one": (_X[:1], _Y[:1], {}), "ragged": ([[1.0], [1.0, 2.0]], ["a", "b"], {}),
    "nan": ([[float("nan")] * 2] * 4, _Y, {}), "huge": ([[1e300, 1.0]] * 4, _Y, {}), "words": ([["a", "b"]] * 4, _Y, {}),
    "complex": ([[1j, 2j]] * 4, _Y, {}), "three-axes": (np.zeros((4, 2, 2)), _Y, {}),
    "mixed-labels": (_X, ["a", 1, None, 2.5], {}), "labels-nan": (_X, [float("nan")] * 4, {}), "label-lists": (_X, [["a"]] * 4, {}),
    "equal": ([[1.0, 1.0]] * 4, _Y, {}),
    "head-name": (_X, _Y, {"head": "nose"}), "head-number": (_X, _Y, {"head": 7}), "encoder-name": (_X, _Y, {"encoder": "nose"}),
    "encoder-number": (_X, _Y, {"encoder": 7}),
    "texts-numbers": (_X, _Y, {"encoder": "LENGTHS"}), "texts-none": ([None, "", "a", "b"], _Y, {"encoder": "LENGTHS"}),
    "texts-good": (["a", "b", "c d e", "f g h"], _Y, {"encoder": "LENGTHS"}),
    "texts-surrogate": (["\ud800", "\0", "c d e", "f g h"], _Y, {"encoder": "LENGTHS"}),
    "pictures-texts": (["a.png", "\0", "/dev/zero", "."], _Y, {"encoder": "COLOURS"}),
    "pictures-numbers": ([0, 1, 2, 3], _Y, {"encoder": "COLOURS"}), "device": (_X, _Y, {"device": "moon"}),
}  # fmt: skip
"""X, y and arguments of a `FewShotClassifier`."""


def _classifier(method: str, x: Any, y: Any, arguments: dict[str, Any]) -> Callable[[Stock], Callable[[], object]]:
    def prepare(stock: Stock) -> Callable[[], object]:
        from cases.encoders import Colours, Lengths
        from kshot.tasks.few_shot_classifier import FewShotClassifier

        encoders = {"LENGTHS": Lengths(), "COLOURS": Colours()}
        given = {key: encoders.get(value, value) if isinstance(value, str) else value for key, value in arguments.items()}
        things: Any = ["a", "b b b"] if isinstance(given.get("encoder"), Lengths) else [[0.0, 0.0], [5.0, 5.0]]
        fitted = FewShotClassifier(encoder=given.get("encoder") if isinstance(given.get("encoder"), Lengths) else None).fit(
            things, ["a", "b"]
        )
        calls: dict[str, Callable[[], object]] = {
            "fit": lambda: FewShotClassifier(**given).fit(x, y), "predict": lambda: fitted.predict(x),
            "partial_fit": lambda: fitted.partial_fit(x, y), "add_class": lambda: fitted.add_class("c", x),
        }  # fmt: skip
        return lambda: _as_scikit_learn(calls[method])

    return prepare


def _as_scikit_learn(call: Callable[[], object]) -> object:
    """Call, and let the checks of scikit-learn itself pass, which an estimator promises to make."""
    try:
        return call()
    except ValueError as error:
        frames = traceback.extract_tb(error.__traceback__)
        if f"{os.sep}sklearn{os.sep}" in frames[-1].filename:
            return None
        raise
