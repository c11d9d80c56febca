"""Recipes as files: damaged, of another encoding, with random tokens, or not files at all."""

import random
from collections.abc import Callable
from pathlib import Path

from hostile.case import VALUES, Case, Cases, Words, shown
from hostile.damage import Damage, damages
from hostile.stock import QUICK, Stock

_TEXT = """description = "a hostile recipe"
seed = 3

[data]
fractions = [0.5, 0.25, 0.25]
size = 16

[learner]
name = "protonet"

[backbone]
name = "conv4"
width = 3

[episodes]
way = 2
query = 2

[validation]
way = 2
query = 2
episodes = 2

[training]
updates = 2
lr = 0.01
"""


def cases() -> Cases:
    """All cases of this family."""
    for name, damage in damages(rounds=20).items():
        yield Case(f"recipe/file/{name}", _damaged(damage), mentions=("mine", "there is no", "has no argument"))
    for name, text in {
        "table-twice": "[data]\n[data]\n", "key-twice": "seed = 1\nseed = 2\n", "array-of-tables": "[[data]]\nsize = 16\n",
        "dotted": "data.size.x = 1\n",
        "deep-tables": "[" + ".".join("a" * 500) + "]\n", "deep-lists": "x = " + "[" * 2000 + "]" * 2000,
        "deep-dots": ".".join("a" * 5000) + " = 1\n",
        "long-line": "x = '" + "y" * 1_000_000 + "'\n", "many-keys": "\n".join(f"k{n} = 1" for n in range(20_000)),
        "control": "x = \"\x1b[31m\"\n",
        "unicode-key": '"\\u202e" = 1\n', "escape-key": '"\\u001b[31m" = 1\n', "empty-key": '"" = 1\n', "percent": "%s = %d\n",
        "date": "seed = 1979-05-27\n",
        "latin-1": "description = 'é'\n", "trains": 'trains = "optimizer"\n', "trains-what": 'trains = "nothing"\n',
        "data-list": "data = []\n",
        "arguments": "[learner]\narguments = 7\n", "arguments-deep": "[learner.arguments.a.b.c]\nd = 1\n",
        "data-arguments": "[data.arguments]\nparts = 7\n",
        "start-from": '[training]\nstart_from = "nowhere"\n', "ensemble": '[learner]\nname = "ensemble"\nmembers = [7]\n',
    }.items():  # fmt: skip
        yield Case(f"recipe/text/{name}", _written(text, "latin-1" if name == "latin-1" else "utf-8"))
    for number in range(150):
        yield Case(f"recipe/random/{number}", _written(_random_text(number), "utf-8"))
    for name in (
        "",
        ".toml",
        "nowhere.toml",
        "a" * 300 + ".toml",
        "a/b/c.toml",
        "\x1b[31m.toml",
        "[/red].toml",
        "a\udcff.toml",
        "folder.toml",
    ):
        yield Case(f"recipe/name/{name[:20]!a}", _named(name), ending="refused", mentions=(shown(name) or "''",))


def _random_text(seed: int) -> str:
    """A recipe of random tables and keys that exist, mostly, with random values."""
    draw = random.Random(seed)
    tables = {"": ["seed", "description", "trains"], "data": ["name", "size", "split", "zoom", "channels", "fit", "fractions", "kind"]}
    tables |= {"learner": ["name", "inner_steps", "inner_lr", "outputs"], "backbone": ["name", "width", "channels", "hidden"]}
    tables |= {
        "episodes": ["way", "shot", "query", "tasks", "augment", "nearness"],
        "validation": ["way", "shot", "every", "steps", "patience"],
    }
    tables |= {
        "training": ["lr", "optimizer", "schedule", "clip_norm", "warmup", "precision", "momentum"],
        "optimizer": ["hidden", "functions"],
    }
    lines = []
    for table in draw.sample(list(tables), draw.randint(1, 5)):
        lines += [f"[{table}]"] if table else []
        chosen = draw.sample(tables[table], draw.randint(1, 2))
        lines += [f"{key} = {draw.choice(list(VALUES.values()))}" for key in chosen]
    return "\n".join(sorted(lines[:1], key=lambda line: line.startswith("["))) + "\n" + "\n".join(lines[1:]) + "\n"


def _words(recipe: str | Path, stock: Stock) -> Words:
    return ["train", str(recipe), "--data", stock.pets, "--out", "run", *QUICK]


def _damaged(damage: Damage) -> Callable[[Stock], Words]:
    def prepare(stock: Stock) -> Words:
        file = Path("mine.toml")
        file.write_text(_TEXT, encoding="utf-8")
        damage(file)
        return _words(file, stock)

    return prepare


def _written(text: str, encoding: str) -> Callable[[Stock], Words]:
    def prepare(stock: Stock) -> Words:
        Path("mine.toml").write_text(text, encoding=encoding)
        return _words("mine.toml", stock)

    return prepare


def _named(name: str) -> Callable[[Stock], Words]:
    def prepare(stock: Stock) -> Words:
        Path("folder.toml").mkdir()
        return _words(name, stock)

    return prepare
