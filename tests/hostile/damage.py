"""What happens to files: ways to damage bytes, to put something else in a file's place, and to change one value inside JSON."""

import copy
import json
import os
import random
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from hostile.case import JSON_VALUES

Damage = Callable[[Path], None]

GONE = object()
"""In place of a value: the key is removed."""


def damages(rounds: int = 8, *, replaced: bool = True) -> Mapping[str, Damage]:
    """Ways to damage a file that is there, by name; `rounds` random ones of each sort, and with `replaced` something else in its place."""
    ways: dict[str, Damage] = dict(_REPLACED) if replaced else {}
    for tenth in range(10):
        ways[f"cut-at-{tenth}-tenths"] = lambda path, tenth=tenth: _rewrite(path, lambda data: data[: len(data) * tenth // 10])  # type: ignore[misc]
    ways["cut-one-byte"] = lambda path: _rewrite(path, lambda data: data[:-1])
    ways["one-byte-more"] = lambda path: _rewrite(path, lambda data: data + b"\0")
    ways["twice"] = lambda path: _rewrite(path, lambda data: data * 2)
    ways["bom"] = lambda path: _rewrite(path, lambda data: b"\xef\xbb\xbf" + data)
    ways["utf-16"] = lambda path: _rewrite(path, lambda data: data.decode("latin-1").encode("utf-16"))
    ways["carriage-returns"] = lambda path: _rewrite(path, lambda data: data.replace(b"\n", b"\r"))
    ways["zeros"] = lambda path: _rewrite(path, lambda data: bytes(len(data)))
    for number in range(rounds):
        ways[f"flip/{number}"] = lambda path, number=number: _rewrite(path, lambda data: _flipped(data, number))  # type: ignore[misc]
        ways[f"noise/{number}"] = lambda path, number=number: _rewrite(path, lambda data: random.Random(number).randbytes(len(data)))  # type: ignore[misc]
        ways[f"hole/{number}"] = lambda path, number=number: _rewrite(path, lambda data: _without_a_piece(data, number))  # type: ignore[misc]
    return ways


def _replace(path: Path, make: Callable[[Path], object]) -> None:
    path.unlink()
    make(path)


def _giant(path: Path) -> None:
    path.touch()
    os.truncate(path, 20 * 1024**3)  # a sparse file: it takes no room on the disk


_REPLACED: dict[str, Damage] = {
    "missing": Path.unlink,
    "empty": lambda path: _rewrite(path, lambda data: b""),
    "folder": lambda path: _replace(path, Path.mkdir),
    "fifo": lambda path: _replace(path, os.mkfifo),
    "link-to-itself": lambda path: _replace(path, lambda there: there.symlink_to(there.name)),
    "link-to-nothing": lambda path: _replace(path, lambda there: there.symlink_to("nothing")),
    "link-to-zeros": lambda path: _replace(path, lambda there: there.symlink_to("/dev/zero")),
    "link-to-null": lambda path: _replace(path, lambda there: there.symlink_to("/dev/null")),
    "link-to-memory": lambda path: _replace(path, lambda there: there.symlink_to("/proc/self/mem")),
    "sparse-giant": lambda path: _replace(path, _giant),
    "nested-5000-deep": lambda path: _rewrite(path, lambda data: b"[" * 5000 + b"]" * 5000),
    "nested-200000-deep": lambda path: _rewrite(path, lambda data: b'{"a":' * 200_000 + b"1" + b"}" * 200_000),
    "nan": lambda path: _rewrite(path, lambda data: b"NaN"),
    "number": lambda path: _rewrite(path, lambda data: b"7"),
    "null": lambda path: _rewrite(path, lambda data: b"null"),
    "text": lambda path: _rewrite(path, lambda data: b'"text"'),
    "list": lambda path: _rewrite(path, lambda data: b"[1, 2]"),
    "empty-table": lambda path: _rewrite(path, lambda data: b"{}"),
    "10000-digits": lambda path: _rewrite(path, lambda data: b'{"format": ' + b"9" * 10_000 + b"}"),
    "lone-surrogate": lambda path: _rewrite(path, lambda data: b'{"format": "\\ud800"}'),
}


def _rewrite(path: Path, change: Callable[[bytes], bytes]) -> None:
    path.write_bytes(change(path.read_bytes()))


def _flipped(data: bytes, seed: int) -> bytes:
    draw, changed = random.Random(seed), bytearray(data)
    for _ in range(1 + seed % 4):
        changed[draw.randrange(len(changed))] ^= 1 << draw.randrange(8)
    return bytes(changed)


def _without_a_piece(data: bytes, seed: int) -> bytes:
    draw = random.Random(seed)
    start = draw.randrange(len(data))
    return data[:start] + data[start + draw.randint(1, max(1, len(data) // 4)) :]


def places_in(content: Any, where: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Every place of a value inside JSON; of a list, the first two."""
    if where:
        yield where
    if isinstance(content, dict):
        for key, value in content.items():
            yield from places_in(value, (*where, key))
    elif isinstance(content, list):
        for number, value in enumerate(content[:2]):
            yield from places_in(value, (*where, number))


def changed(content: Any, where: tuple[str | int, ...], value: Any) -> Any:
    """A copy of JSON with another value at one place, or without it."""
    whole = copy.deepcopy(content)
    inner = whole
    for key in where[:-1]:
        inner = inner[key]
    if value is GONE:
        del inner[where[-1]]
    else:
        inner[where[-1]] = value
    return whole


def hostile_values() -> dict[str, Any]:
    """The values to put into JSON, by name, with `GONE` among them."""
    return {"removed": GONE, **JSON_VALUES}


def write_json(path: Path, content: Any) -> None:
    """Write JSON as a hand would, whatever is in it."""
    path.write_text(json.dumps(content), encoding="utf-8")
