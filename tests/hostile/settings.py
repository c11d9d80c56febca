"""Settings: every key of a recipe, and every argument of every learner and backbone, with every hostile value."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from inspect import Parameter, signature
from pathlib import Path
from typing import Any, get_type_hints

from hostile.case import LONG, VALUES, Call, Case, Cases, Words, shown
from hostile.stock import QUICK, Stock

_AS_LONG_AS_ASKED = {"training.updates"}
"""A run of 10^12 updates is a long run, not a hang."""

ARGUMENTS: dict[str, Any] = {
    "nan": float("nan"), "inf": float("inf"), "minus-inf": float("-inf"), "1e39": 1e39, "1e-300": 1e-300, "minus-one": -1,
    "zero": 0, "half": 0.5, "2^31": 2**31, "10^12": 10**12, "400-digits": int(LONG), "true": True, "empty-text": "", "text": "seven",
    "control": "\x1b[31m\n", "none": None, "empty-list": [], "list": [1, -2], "list-of-nan": [float("nan")], "table": {"a": 1},
    "table-of-nan": {"head.*": float("nan")}, "object": object(),
}  # fmt: skip


def cases() -> Cases:
    """All cases of this family."""
    yield from _keys_of_recipes()
    yield from _several_at_once()
    yield from _arguments()


def recipe_keys(kind: Any = None, where: str = "") -> Iterator[str]:
    """Every dotted key of a recipe, read from its dataclasses."""
    from kshot.workflows.recipe import Recipe

    kind = Recipe if kind is None else kind
    hints = get_type_hints(kind)
    for part in fields(kind):
        key = f"{where}.{part.name}" if where else part.name
        if is_dataclass(hints[part.name]):
            yield key
            yield from recipe_keys(hints[part.name], key)
        else:
            yield key


def _named(key: str) -> tuple[str, ...]:
    """What a message may call a setting: its key, or the last part of it in words."""
    last = key.rpartition(".")[2]
    return key, last, last.replace("_", " ")


def _keys_of_recipes() -> Cases:
    for key in recipe_keys():
        for name, value in VALUES.items():
            if key in _AS_LONG_AS_ASKED and name in ("2^31", "2^63", "10^12", "400-digits"):
                continue
            yield Case(
                f"settings/{key}/{name}",
                _training(f"{key}={value}"),
                mentions=(*_named(key), key.partition(".")[0], shown(value.strip('"')), "cannot reach", "no saved learner"),
            )
    for name, key in {
        "unknown": "training.learning_rate", "no-key": "", "dots": "..", "deep": ".".join("a" * 300), "through": "seed.x", "quotes": '"',
        "unicode": "ñ.🐾",
        "escape": "\x1b[31m", "newline": "a\nb",
    }.items():  # fmt: skip
        yield Case(f"settings/key/{name}", _training(f"{key}=1"), ending="refused")
    yield Case("settings/key/no-value", _training("training.lr"), ending="refused")


def _several_at_once() -> Cases:
    """Random handfuls of settings: each alone may be fine, and the faults lie between them."""
    import random

    keys, values = [key for key in recipe_keys() if key not in _AS_LONG_AS_ASKED], list(VALUES.values())
    plausible = [
        "1",
        "2",
        "3",
        "4",
        "5",
        "8",
        "16",
        "0.1",
        "true",
        "false",
        "[1, 2]",
        "[1, 4]",
        '"none"',
        '"sgd"',
        '"near"',
        '"mlp"',
        '"maml"',
    ]
    for number in range(200):
        draw = random.Random(number)
        few = draw.sample(keys, draw.randint(2, 6))
        chosen = [f"{key}={draw.choice(plausible if draw.random() < 0.8 else values)}" for key in few]
        yield Case(f"settings/several/{number}", _training(*chosen))


def _training(*settings: str) -> Callable[[Stock], Words]:
    def prepare(stock: Stock) -> Words:
        flags = [word for setting in settings for word in ("--set", setting)]
        return ["train", "protonet", "--data", stock.pets, "--out", Path("run"), *QUICK, *flags]

    return prepare


def _arguments() -> Cases:
    from kshot.backbones.table import BACKBONES
    from kshot.learners.table import LEARNERS

    tables: Mapping[str, Mapping[str, Callable[..., object]]] = {"learner": LEARNERS, "backbone": BACKBONES}
    for table, known in tables.items():
        for name, made in known.items():
            for argument in [*_arguments_of(made), "unknown"]:
                for word, value in ARGUMENTS.items():
                    case = f"arguments/{table}.{name}.{argument}/{word}"
                    yield Case(case, _building(table, name, {argument: value}), mentions=_named(argument))


def _arguments_of(made: Callable[..., object]) -> list[str]:
    kinds = (Parameter.POSITIONAL_OR_KEYWORD, Parameter.KEYWORD_ONLY)
    return [name for name, one in signature(made).parameters.items() if one.kind in kinds and name not in ("backbone", "family")]


def _building(table: str, name: str, arguments: Mapping[str, Any]) -> Callable[[Stock], Call]:
    def prepare(stock: Stock) -> Call:
        from kshot.learners.table import LearnerSpec

        if table == "learner":
            spec = LearnerSpec(name, "conv4", arguments, {"width": 3})
        else:
            spec = LearnerSpec("protonet", name, {}, {**_needed(name), **arguments})
        return lambda: spec.build()

    return prepare


def _needed(backbone: str) -> dict[str, Any]:
    return {"inputs": 4} if backbone == "mlp" else {}
