"""One hostile case: what is done, and how it must end.

A case is prepared in an empty folder of its own, which is also the working directory. `prepare` lays out its files and returns either the
words of a `kshot` command or a Python call without arguments. Only that command or call is judged (`judge`).

Names are distinct and have the form `family/subject/variant`, so that a pattern such as `run/state.safetensors/*` means a kind of cases.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from hostile.stock import Stock
from kshot.printable import printable

Words = Sequence[str | Path]
Call = Callable[[], object]
Ending = Literal["any", "refused", "works"]


@dataclass(frozen=True)
class Case:
    """One case.

    Attributes:
        name: `family/subject/variant`, distinct.
        prepare: Lays out the files of the case in the working directory, and returns what is tried.
        ending: `refused`: the only good end is one error of kshot; `works`: the only good end is success; `any`: both are good.
        mentions: Words of which an error must hold one, such as the key that is wrong; spaces do not count. Empty: any words are good.
        answer: Checks what a call returned; it returns a fault in words, or an empty text.
        loose: Whether `TypeError` is a good end of a call too: a thing is tried that is not at all what the argument wants.
        process: Whether the case needs a process of its own (signals, closed streams). Such a case is tried by `make hostile` alone, and
            `prepare` returns a call that judges itself: it returns a fault in words, or an empty text.
    """

    name: str
    prepare: Callable[[Stock], Words | Call]
    ending: Ending = "any"
    mentions: tuple[str, ...] = ()
    answer: Callable[[Any], str] | None = None
    loose: bool = False
    process: bool = False


Cases = Iterator[Case]


def shown(text: str) -> str:
    """A hostile text as a message shows it: printable, and as far as it is surely written out."""
    return printable(text)[:40]


LONG = "9" * 400
NUMBERS: dict[str, str] = {
    "nan": "nan", "inf": "inf", "minus-inf": "-inf", "1e39": "1e39", "1e400": "1e400", "minus-1e39": "-1e39", "1e-300": "1e-300",
    "minus-zero": "-0.0", "minus-one": "-1", "zero": "0", "half": "0.5", "2^31": "2147483648", "2^63": "9223372036854775808",
    "10^12": "1000000000000", "minus-2^63": "-9223372036854775808", "400-digits": LONG, "5000-digits": "9" * 5000,
}  # fmt: skip
"""Hostile numbers by name, as TOML."""

WRONG_TYPES: dict[str, str] = {
    "true": "true", "empty-text": '""', "text": '"seven"', "number-as-text": '"7"',
    "unicode": '"ñ🐾\\u202e"', "control": '"\\u001b[31m\\n"',
    "nul": '"\\u0000"', "long-text": '"' + "x" * 5000 + '"', "empty-list": "[]", "list": "[1, 2]", "list-down": "[2, 1]",
    "list-of-text": '["a"]', "list-of-nan": "[nan, inf]", "nested": "[[1], [2]]", "table": "{ a = 1 }", "date": "1979-05-27",
    "long-list": "[" + "1," * 1000 + "]",
}  # fmt: skip
"""Values of other types by name, as TOML."""

VALUES = NUMBERS | WRONG_TYPES

TEXTS: dict[str, str] = {
    "empty": "", "space": " ", "dot": ".", "dots": "../..", "root": "/", "nul": "a\0b", "newline": "a\nb", "escape": "\x1b[31mred\x1b[0m",
    "osc": "\x1b]0;title\x07", "bidi": "abc\u202egnp.exe", "markup": "[/red][bold]", "surrogate": "a\udcffb", "255-bytes": "x" * 255,
    "300-bytes": "x" * 300, "5000-bytes": "x" * 5000, "dash": "-", "dashes": "--", "tilde": "~nobody", "percent": "%s{0}",
    "unicode": "ñ🐾", "combining": "e" + "\u0301" * 50, "memory": "/proc/self/mem", "zero-device": "/dev/zero", "null-device": "/dev/null",
    "through-a-file": "/etc/hostname/x", "quote": "'\"`$(x)",
}  # fmt: skip
"""Hostile texts by name, for arguments that are paths or names."""

JSON_VALUES: dict[str, Any] = {
    "null": None, "true": True, "zero": 0, "minus-one": -1, "huge": 10**12, "400-digits": int(LONG), "half": 0.5, "1e39": 1e39,
    "nan": float("nan"), "inf": float("inf"), "empty-text": "", "text": "seven", "control": "\x1b[31m\nforged", "nul": "a\0b",
    "empty-list": [], "list": [1, "a", None], "empty-table": {}, "table": {"a": {"b": [1]}},
}  # fmt: skip
"""Hostile values of JSON by name."""
