"""Flags and arguments of the commands, each with hostile numbers or texts."""

import random
from collections.abc import Callable
from pathlib import Path

from hostile.case import NUMBERS, TEXTS, WRONG_TYPES, Case, Cases, Words, shown
from hostile.stock import FEW, QUICK, Stock

_COUNTS = {
    "evaluate": ("--way", "--shot", "--query", "--episodes", "--seed", "--steps"),
    "inspect": ("--way", "--shot", "--query", "--episodes", "--seed"),
    "compare": ("--way", "--shot", "--shots", "--query", "--episodes", "--seed"),
    "train": ("--seed",),
}
_TEXTS = {
    "evaluate": ("SAVED", "--data", "--split", "--nearness", "--protocol", "--refine", "--augment", "--report", "--plot", "--device"),
    "inspect": ("SAVED", "--data", "--split", "--nearness", "--plot", "--device"),
    "compare": ("SAVED", "--data", "--split", "--plot", "--out", "--device"),
    "show": ("SAVED", "--plot"),
    "predict": ("SAVED", "--support", "QUERY", "--device"),
    "train": ("RECIPE", "--data", "--set", "--out", "--device"),
}
_NOT_TYPED = {"nul"}
"""No shell passes a NUL to a program."""
_OVERWRITTEN = {"zero-device", "null-device", "memory", "root", "dots"}
"""Where the command writes, these would be outside the folder of the case."""
_WRITTEN = ("--report", "--plot", "--out")


def cases() -> Cases:
    """All cases of this family."""
    for command, flags in _COUNTS.items():
        for flag in flags:
            for name, value in {**NUMBERS, **WRONG_TYPES, "commas": "1,,2", "many": "1," * 500 + "1", "text": "seven"}.items():
                yield Case(f"flags/{command} {flag}/{name}", _words(command, flag, value), mentions=_named(flag, value))
    for command, flags in _TEXTS.items():
        for flag in flags:
            for name, value in TEXTS.items():
                if name not in _NOT_TYPED and not (flag in _WRITTEN and name in _OVERWRITTEN):
                    yield Case(f"flags/{command} {flag}/{name}", _words(command, flag, value), mentions=_named(flag, value))
    yield from _several_at_once()
    for name, words in {
        "unknown": ["trian"], "unknown-flag": ["recipes", "--jsno"], "escape": ["\x1b[31m"], "flag-escape": ["recipes", "--\x1b[31m"],
        "no-value": ["evaluate", "nearest", "--way"], "twice": ["recipes", "--json", "--json"], "markup": ["[/red]"],
        "surrogate": ["a\udcff"],
        "markup-flag": ["recipes", "--[/red]"], "markup-value": ["evaluate", "nearest", "--way", "[/red]"], "no-query": ["predict", "x"],
    }.items():  # fmt: skip
        yield Case(f"flags/command/{name}", lambda stock, words=words: words)  # type: ignore[misc]


def _named(flag: str, value: str) -> tuple[str, ...]:
    """What a message may call a flag or an argument: its name, in words, or the value as far as it is printed."""
    words = [flag, flag.strip("-").removesuffix("s").replace("-", " ")] if flag.startswith("-") else []
    return *words, *([shown(value)] if value.strip() else ["."]), *(["standard input"] if value == "-" else [])


def _several_at_once() -> Cases:
    """Random handfuls of flags with values that alone may be fine."""
    values = {
        "--way": ["2", "3", "1", "0", "5"], "--shot": ["1", "2", "3", "0", "9"], "--query": ["1", "2", "0", "30"], "--episodes": ["1",
        "2", "7"],
        "--seed": ["0", "7", "-1", "99999999999"], "--split": ["train", "val", "test", "all", "division/test", "vinyals", "x/y"],
        "--nearness": ["near", "far", "any"], "--protocol": ["lake", "mann"], "--refine": ["soft_k_means", "optimal_transport"],
        "--steps": ["0", "1", "3", "-2"], "--augment": ["quarter_turns", "mirror", "affine", "none"], "--device": ["cpu", "auto", "cuda",
        "cuda:7", "meta", "mps"],
        "--data": ["sinusoids", "omniglot", "PETS", "nowhere"], "--transductive": [""],
    }  # fmt: skip
    for number in range(200):
        draw = random.Random(number)
        command = draw.choice(["evaluate", "evaluate", "inspect", "compare"])
        refused = {
            "inspect": {"--protocol", "--refine", "--steps", "--augment"},
            "compare": {"--protocol", "--refine", "--steps", "--augment", "--nearness"},
        }
        flags = draw.sample([flag for flag in values if flag not in refused.get(command, ())], draw.randint(1, 5))
        chosen = [(flag, draw.choice(values[flag])) for flag in flags]
        who = draw.choice(["SAVED", "SAVED", "MAML", "nearest"])
        yield Case(f"flags/several/{number}", _handful(command, who, chosen))


def _handful(command: str, who: str, chosen: list[tuple[str, str]]) -> Callable[[Stock], Words]:
    def prepare(stock: Stock) -> Words:
        saved = {"SAVED": stock.finished, "MAML": stock.maml, "nearest": Path("nearest")}[who]
        words: list[str | Path] = [command, saved, "--episodes", "3"]
        for flag, value in chosen:
            words += [flag] if not value else [flag, stock.pets if value == "PETS" else value]
        if who == "nearest" and not any(flag == "--data" for flag, _ in chosen):
            words += ["--data", stock.pets]
        return [*words, "--json"]

    return prepare


def _words(command: str, flag: str, value: str) -> Callable[[Stock], Words]:
    def prepare(stock: Stock) -> Words:
        saved = value if flag == "SAVED" else stock.finished
        rest = [] if flag in ("SAVED", "RECIPE", "QUERY") else [flag, value]
        if command == "train":
            data = [] if flag == "--data" else ["--data", stock.pets]
            out = [] if flag == "--out" else ["--out", "run"]
            return ["train", value if flag == "RECIPE" else "protonet", *data, *out, *QUICK, *rest]
        if command == "predict":
            support = [] if flag == "--support" else ["--support", stock.pets]
            query = value if flag == "QUERY" else stock.pets / "pet0" / "0.png"
            return ["predict", saved, query, *support, *rest, "--json"]
        if command == "show":
            return ["show", saved, *rest, "--json"]
        few = [word for pair in zip(FEW[::2], FEW[1::2], strict=True) if pair[0] != flag for word in pair]
        return [command, saved, *(["nearest"] if command == "compare" else []), *few, *rest, "--json"]

    return prepare
