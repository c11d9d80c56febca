"""Tables of a user: bytes, separators, quotation marks, types and sizes that no program should have written."""

import json
import os
import pickle
import random
import struct
import zipfile
from collections.abc import Callable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np

from hostile.case import JSON_VALUES, NUMBERS, TEXTS, Case, Cases, Words
from hostile.damage import damages
from hostile.stock import ROWS, Stock
from hostile.stock import TEXTS as LABELLED

_WAYS = ("fit", "predict", "estimate", "add", "regression", "report")
_TEXT_TABLE = b"text,label\n" + b"".join(f"{text},{label}\n".encode() for text, label in LABELLED)
_ROW_TABLE = b"size,square,colour,kind\n" + b"".join(",".join(map(str, row)).encode() + b"\n" for row in ROWS)


def cases() -> Cases:
    """All cases of this family."""
    for kind, whole in (("texts", _TEXT_TABLE), ("rows", _ROW_TABLE)):
        for name, data in _bytes(whole).items():
            for way in ("fit", "predict", "estimate", "add"):
                yield Case(f"table/{kind} bytes {way}/{name}", _tried(kind, "t.csv", _written(data), way))
        for name, value in {**TEXTS, **NUMBERS}.items():
            for column in range(2 if kind == "texts" else 4):
                for way in ("fit", "predict", "regression")[: 2 if kind == "texts" else 3]:
                    yield Case(f"table/{kind} value {way}/{column}={name}", _tried(kind, "t.csv", _with_value(whole, column, value), way))
                yield Case(f"table/{kind} name of a column/{column}={name}", _tried(kind, "t.csv", _with_name(whole, column, value), "fit"))
        for name, json_value in JSON_VALUES.items():
            for key in ("text", "label") if kind == "texts" else ("size", "colour", "kind"):
                for way in ("fit", "predict"):
                    yield Case(f"table/{kind} json {way}/{key}={name}", _tried(kind, "t.jsonl", _json(kind, key, json_value), way))
    for suffix, form in {"jsonl": _json("texts", "label", "long"), "npz": _npz({}), "parquet": _parquet}.items():
        for name, damage in damages(rounds=6).items():
            if name == "sparse-giant" and suffix == "jsonl":
                continue  # a long table takes as long as it takes
            for way in ("fit", "predict"):
                made = _then(form, damage)
                yield Case(f"table/file {suffix} {way}/{name}", _tried("texts" if suffix == "jsonl" else "rows", f"t.{suffix}", made, way))
    for name, arrays in _ARRAYS.items():
        for way in ("fit", "predict", "regression"):
            yield Case(f"table/arrays {way}/{name}", _tried("rows", "t.npz", _npz(arrays), way))
    for name, data in _npy().items():
        for way in ("fit", "predict"):
            yield Case(f"table/npy {way}/{name}", _tried("rows", "t.npy", _written(data), way))
            yield Case(f"table/npz of npy {way}/{name}", _tried("rows", "t.npz", _zipped(data), way))
    for name, column in _ARROWS.items():
        for way in ("fit", "predict", "regression"):
            yield Case(f"table/parquet {way}/{name}", _tried("rows", "t.parquet", _arrow("size", column), way))
            yield Case(f"table/parquet labels {way}/{name}", _tried("rows", "t.parquet", _arrow("kind", column), way))
    for number in range(300):
        way = _WAYS[number % len(_WAYS)]
        kind, whole = (("texts", _TEXT_TABLE), ("rows", _ROW_TABLE))[number % 2]
        yield Case(f"table/mutated csv {way}/{number}", _tried(kind, "t.csv", _written(_mutated(whole, number)), way))


def _tried(kind: str, file: str, make: Callable[[Path], object], way: str) -> Callable[[Stock], Words]:
    def prepare(stock: Stock) -> Words:
        assert stock.models
        make(Path(file))
        label = ["--label", "kind"] if kind == "rows" else []
        model = stock.models[kind] if way in ("predict", "estimate") else None
        if way == "add":
            stock.model(kind, Path("m"))
        words: dict[str, list[str | Path]] = {
            "fit": ["fit", file, "-o", "n", *label],
            "predict": ["predict", model or "", file],
            "report": ["fit", file, "-o", "n", "--classes", "--report", *label],
            "estimate": ["estimate", model or "", file, *label],
            "add": ["add", "m", "another", file],
            "regression": ["fit", file, "-o", "n", "--regression", "--label", "size"],
        }
        return [*words[way], "--json"]

    return prepare


def _written(data: bytes) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(data)


def _then(form: Callable[[Path], object], damage: Callable[[Path], object]) -> Callable[[Path], object]:
    def make(path: Path) -> None:
        form(path)
        damage(path)

    return make


def _bytes(whole: bytes) -> Mapping[str, bytes]:
    """A table with hostile bytes, lines and quotation marks."""
    head, _, body = whole.partition(b"\n")
    lines = whole.splitlines()
    return {
        "empty": b"", "newlines": b"\n" * 50, "spaces": b" " * 5000, "header-only": head + b"\n", "no-header": body,
        "header-twice": head + b"\n" + whole,
        "one-line": lines[0] + b"\n" + lines[1], "nul": whole.replace(b"o", b"\0"), "nuls": bytes(5000), "bom": b"\xef\xbb\xbf" + whole,
        "two-boms": b"\xef\xbb\xbf" * 2 + whole, "utf-16": whole.decode().encode("utf-16"), "utf-16-le": whole.decode().encode("utf-16-le"),
        "utf-32": whole.decode().encode("utf-32"), "latin-1": whole.replace(b"o", b"\xf6"), "cut-utf-8": whole[:-1] + b"\xc3",
        "surrogates": whole.replace(b"o", b"\xed\xa0\x80"), "escape": whole.replace(b"o", b"\x1b[31m"),
        "bidi": whole.replace(b"o", "\u202e".encode()),
        "returns": whole.replace(b"\n", b"\r"), "windows": whole.replace(b"\n", b"\r\n"), "mixed": body.replace(b"\n", b"\r", 2) + whole,
        "form-feeds": whole.replace(b"\n", b"\f"), "line-separators": whole.replace(b"\n", "\u2028".encode()),
        "open-quote": whole + b'"never closed\n' * 3, "quote-inside": whole.replace(b"o", b'o"o'), "quotes": whole.replace(b",", b'","'),
        "only-quotes": b'"' * 4001, "quoted-all": b"\n".join(b",".join(b'"' + part + b'"' for part in line.split(b",")) for line in lines),
        "quoted-newlines": whole.replace(b"o", b'"o\n\n'), "semicolons": whole.replace(b",", b";"), "tabs": whole.replace(b",", b"\t"),
        "pipes": whole.replace(b",", b"|"), "no-separator": whole.replace(b",", b""), "more-fields": whole.replace(b"\n", b",x,y\n"),
        "fewer-fields": head + b"\n" + b"".join(line.partition(b",")[0] + b"\n" for line in lines[1:]),
        "ragged": whole + b"a\na,b,c,d,e,f\n,\n",
        "trailing-commas": whole.replace(b"\n", b",\n"), "commas": b"," * 5000 + b"\n" + b"," * 5000,
        "wide": b",".join(b"c%d" % k for k in range(20_000)) + b"\n",
        "long-field": whole + b"x" * 3_000_000 + b",short\n", "long-name": b"x" * 1_000_000 + whole, "one-column": b"label\na\nb\n",
        "comments": b"# a comment\n" + whole, "sep-line": b"sep=;\n" + whole.replace(b",", b";"), "html": b"<!doctype html><table></table>",
        "json": b'[{"text": "a", "label": "b"}]', "zip": b"PK\x03\x04" + whole, "gzip": b"\x1f\x8b\x08" + whole,
        "pickle": pickle.dumps([1]),
        "same-names": b",".join([lines[0].split(b",")[0]] * (head.count(b",") + 1)) + b"\n" + body,
        "equal-rows": head + b"\n" + lines[1] + b"\n" + lines[1] + b"\n",
        "one-class": head + b"\n" + (lines[1] + b"\n") * 6, "blank-lines": whole.replace(b"\n", b"\n\n\n"),
        "formula": whole.replace(b"o", b"=cmd()"),
    }  # fmt: skip


def _with_value(whole: bytes, column: int, value: str) -> Callable[[Path], object]:
    """Put a value into every third row of a column."""

    def make(path: Path) -> None:
        lines = whole.decode().splitlines()
        for number in range(1, len(lines), 3):
            parts = lines[number].split(",")
            parts[column] = '"' + value.replace('"', '""') + '"'
            lines[number] = ",".join(parts)
        path.write_bytes(("\n".join(lines) + "\n").encode("utf-8", "surrogateescape"))

    return make


def _with_name(whole: bytes, column: int, value: str) -> Callable[[Path], object]:
    """Give a column another name."""

    def make(path: Path) -> None:
        head, _, body = whole.decode().partition("\n")
        names = head.split(",")
        names[column] = '"' + value.replace('"', '""') + '"'
        path.write_bytes((",".join(names) + "\n" + body).encode("utf-8", "surrogateescape"))

    return make


def _json(kind: str, key: str, value: Any) -> Callable[[Path], object]:
    """JSON Lines with a value in every third row."""

    def make(path: Path) -> None:
        rows: list[dict[str, Any]] = (
            [{"text": text, "label": label} for text, label in LABELLED]
            if kind == "texts"
            else [dict(zip(("size", "square", "colour", "kind"), row, strict=True)) for row in ROWS]
        )
        for row in rows[::3]:
            row[key] = value
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")

    return make


_ARRAYS: dict[str, dict[str, Any]] = {
    "objects": {"size": np.array([1, None, {}, [], "a"] * 2, dtype=object)}, "words": {"size": np.array(["a"] * 10)},
    "bytes": {"size": np.array([b"\xff"] * 10)},
    "complex": {"size": np.full(10, 1j)}, "dates": {"size": np.arange(10).astype("datetime64[D]")},
    "spans": {"size": np.arange(10).astype("timedelta64[s]")},
    "nan": {"size": np.full(10, np.nan)}, "inf": {"size": np.full(10, np.inf)}, "float16": {"size": np.full(10, 6e4, np.float16)},
    "long": {"size": np.arange(10, dtype=np.longdouble)},
    "huge": {"size": np.full(10, 1e300)}, "tiny": {"size": np.arange(10) * 1e-300}, "far": {"size": np.arange(10) + 1e16},
    "uint64": {"size": np.full(10, 2**64 - 1, np.uint64)},
    "bool": {"size": np.arange(10) > 4}, "shorter": {"size": np.arange(9)}, "empty": {"size": np.arange(0)},
    "scalar": {"size": np.array(1.0)}, "cube": {"size": np.zeros((10, 2, 2))},
    "wide": {"size": np.zeros((10, 3000))}, "no-columns": {"size": np.zeros((10, 0))},
    "record": {"size": np.zeros(10, [("a", "f4"), ("b", "U3")])},
    "void": {"size": np.zeros(10, "V4")}, "nul": {"size": np.array(["a\0b"] * 10)},
    "same": {"size 1": np.zeros(10), "size": np.zeros((10, 2))}, "other-label": {"kind": np.arange(10.0) / 3},
    "label-matrix": {"kind": np.zeros((10, 2))}, "label-nan": {"kind": np.full(10, np.nan)}, "label-complex": {"kind": np.full(10, 1j)},
    "label-bytes": {"kind": np.array([b"\xff", b"a"] * 5)},
    "slash": {"a/b": np.arange(10)}, "up": {"../a": np.arange(10)}, "control": {"\x1b[31m": np.arange(10)},
    "no-name": {"": np.arange(10)}, "int8": {"size": np.arange(10, dtype=">i2")},
}  # fmt: skip
"""Arrays to put among those of a good archive, by name."""


def _npz(more: Mapping[str, Any]) -> Callable[[Path], object]:
    good = {
        "size": np.arange(10.0),
        "square": np.arange(10) ** 2,
        "colour": np.array(["red", "blue"] * 5),
        "kind": np.repeat(["low", "high"], 5),
    }
    return lambda path: np.savez(path, **{**good, **more})  # type: ignore[arg-type]


def _npy() -> Mapping[str, bytes]:
    """The bytes of `.npy` files with forged headers."""

    def forged(header: str, data: bytes = b"\0" * 80, version: bytes = b"\x01\x00") -> bytes:
        text = header.encode("latin-1") + b"\n"
        return b"\x93NUMPY" + version + struct.pack("<H", len(text)) + text + data

    def described(descr: str, shape: str, order: str = "False") -> str:
        return f"{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}"

    return {
        "petabytes": forged(described("'<f8'", "(1125899906842624, 8)")), "negative": forged(described("'<f8'", "(-1, 2)")),
        "huge-axis": forged(described("'<f8'", "(2, 4611686018427387904)")),
        "object": forged(described("'|O'", "(2,)"), pickle.dumps([1, 2])), "code": forged("__import__('os').system('touch owned')"),
        "deep": forged("(" * 3000 + ")" * 3000),
        "text-shape": forged(described("'<f8'", "'ab'")), "no-shape": forged("{'descr': '<f8', 'fortran_order': False}"),
        "more": forged("{'descr': '<f8', 'fortran_order': False, 'shape': (2,), 'x': 1}"),
        "bad-dtype": forged(described("'<q9'", "(2,)")), "nested-dtype": forged(described("[('a', [('b', '<f8')])]", "(2,)")),
        "fortran": forged(described("'<f8'", "(5, 2)", "True")),
        "cut": forged(described("'<f8'", "(5, 2)"), b"\0" * 8), "version-9": forged(described("'<f8'", "(2,)"), version=b"\x09\x00"),
        "nul-header": forged("\0" * 60),
        "zero-width": forged(described("'|S0'", "(3,)")), "strings": forged(described("'<U1000000000'", "(3,)")),
        "pickle": pickle.dumps({"a": np.arange(3)}), "magic": b"\x93NUMPY", "scalar": forged(described("'<f8'", "()")),
    }  # fmt: skip


def _zipped(data: bytes) -> Callable[[Path], object]:
    def make(path: Path) -> None:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("size.npy", data)
            archive.writestr("../up.npy", data)
            archive.writestr("note.txt", "not an array")

    return make


def _parquet(path: Path) -> None:
    _arrow("size", lambda: list(range(10)))(path)


def _arrow(column: str, values: Callable[[], Any]) -> Callable[[Path], object]:
    def make(path: Path) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        columns: dict[str, Any] = {"size": list(range(10)), "square": [k * k for k in range(10)], "colour": ["red", "blue"] * 5}
        columns |= {"kind": ["low"] * 5 + ["high"] * 5} | {column: values()}
        pq.write_table(pa.table(columns), path)

    return make


def _typed(kind: str, values: list[Any], *words: Any) -> Callable[[], Any]:
    """A column of a type of pyarrow, which words describe; a word that is a type is described by a list."""

    def make() -> Any:
        import pyarrow as pa

        parts = (getattr(pa, word[0])() if isinstance(word, list) else word for word in words)
        return pa.array(values, getattr(pa, kind)(*parts))

    return make


_ARROWS: dict[str, Callable[[], Any]] = {
    "null": lambda: [None] * 10, "some-null": lambda: [None, 1] * 5, "list": lambda: [[1, 2]] * 10, "struct": lambda: [{"a": 1}] * 10,
    "bool": lambda: [True, False] * 5,
    "nan": lambda: [float("nan")] * 10, "inf": lambda: [float("inf")] * 10, "bytes": lambda: [b"\xff\0"] * 10,
    "text": lambda: ["\x1b[31m", "a\0b"] * 5, "long-text": lambda: ["x" * 100_000] * 10,
    "decimal": _typed("decimal128", [Decimal("1.5")] * 10, 30, 5), "date": _typed("date32", list(range(10))),
    "timestamp": _typed("timestamp", [2**62] * 10, "ns"), "far-timestamp": _typed("timestamp", [2**62] * 10, "us"),
    "time": _typed("time64", list(range(10)), "us"),
    "duration": _typed("duration", [2**60] * 10, "s"), "dictionary": _typed("dictionary", ["a", None] * 5, ["int8"], ["string"]),
    "uint64": _typed("uint64", [2**64 - 1] * 10), "float16": _typed("float16", [np.float16(1)] * 10),
    "map": _typed("map_", [[("a", 1)]] * 10, ["string"], ["int8"]),
    "large-list": _typed("large_list", [[None] * 3] * 10, ["null"]),
}  # fmt: skip


def _mutated(whole: bytes, seed: int) -> bytes:
    draw, data = random.Random(seed), bytearray(whole)
    for _ in range(draw.randint(1, 6)):
        at, way = draw.randrange(len(data)), draw.randrange(5)
        if way == 0:
            data[at] = draw.randrange(256)
        elif way == 1:
            data[at:at] = draw.choice(
                [b'"', b",", b"\n", b"\r", b"\0", b";", b"\t", b"'", b"\\", b"\xff", b"nan", b"1e400", b"-", b"\xef\xbb\xbf"]
            )
        elif way == 2:
            del data[at : at + draw.randint(1, 20)]
        elif way == 3:
            data[at:at] = data[at : at + draw.randint(1, 60)]
        else:
            data[at:at] = os.fsencode(draw.choice(list(TEXTS.values()))[:300].replace("\0", ""))
        data = data or bytearray(b",")
    return bytes(data)
