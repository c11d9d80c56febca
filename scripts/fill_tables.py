"""Put the measured numbers of `recipes/results.json` into the README and the pages.

    python scripts/fill_tables.py

The text between `<!-- measured: NAME -->` and `<!-- end -->` is replaced. If NAME is a recipe, the table has one row per setting. If it is
`vinyals`, `characters` or `lake`, the table has one row per recipe of that split. Published numbers have their sources below the table, and
a run that is shorter than the authors', or than its recipe, has its updates in bold. `<!-- pretrained: NAME -->` takes an entry of
`scripts/pretrained.json`; `<!-- groceries: NAME -->`, `<!-- intents: ENCODER -->` and `<!-- tuned: texts -->` are the tables of
`frozen_tables.py`, `<!-- optimizers: NAME -->` those of `optimizer_tables.py`.
"""

import json
import re
import textwrap
import tomllib
from pathlib import Path
from typing import Any

from frozen_tables import groceries, intents, tuned
from optimizer_tables import optimizers

ROOT = Path(__file__).parents[1]
TITLES = {"omniglot": "Omniglot, accuracy %", "sinusoids": "Sinusoids, mean squared error"}
PUBLISHED, UPDATES = "published", "updates (of the authors')"
WIDTH = 140
RESULTS = ROOT / "src" / "kshot" / "recipes" / "results.json"
PRETRAINED = ROOT / "scripts" / "pretrained.json"
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))


Entry = dict[str, Any]
"""An entry of `recipes/results.json`."""


def measured(entry: Entry) -> str:
    """Return the number, with the number of episodes if there are fewer than usual."""
    count = entry.get("episodes", 1000)
    usual = count == (600 if entry["split"].startswith("characters") else 1000) or entry["split"] == "lake" or entry["data"] != "omniglot"
    return str(entry["measured"]) + ("" if usual else f" ({count} episodes)")


def number(entry: Entry) -> str:
    """Return the published number without its paper, or a dash."""
    return "–" if entry["source"] is None else entry["published"].partition(" (")[0]


def planned(recipe: str) -> int | None:
    """Return how many updates a recipe has; None if there is no such recipe, or it trains nothing."""
    path = RESULTS.parent / f"{recipe}.toml"
    found: int | None = tomllib.loads(path.read_text(encoding="utf-8")).get("training", {}).get("updates") if path.exists() else None
    return found


def updates(entry: Entry) -> str:
    """Return how long the learner was trained, and from whose parameters; in bold where the authors or the recipe take longer."""
    mine, theirs, recipe = entry.get("updates"), entry["published_updates"], planned(entry["recipe"])
    if mine is None:
        return "–"
    if theirs is not None:
        of, short = f" of {theirs:,}", mine < theirs
    else:
        short = recipe is not None and mine < recipe
        of = f" of the recipe's {recipe:,}" if short else ""
    shown = f"**{mine:,}{of}**" if short else f"{mine:,}{of}"
    start = entry.get("started_from")
    return f"{shown}, from `{start}`" if start else shown


class Notes:
    """Numbered sources of the published numbers in one table."""

    def __init__(self) -> None:
        self.sources: list[str] = []

    def mark(self, entries: list[Entry]) -> str:
        """Return the marks of the sources of some entries, and keep the sources."""
        own = list(dict.fromkeys(entry["source"] for entry in entries if entry["source"]))
        self.sources += [source for source in own if source not in self.sources]
        return "".join(f" [{self.sources.index(source) + 1}]" for source in own)

    def lines(self) -> list[str]:
        """Return the lines that go below the table."""
        told = "; ".join(f"[{place}] {source}" for place, source in enumerate(self.sources, 1))
        return ["", textwrap.fill(f"Published: {told}.", WIDTH)] if told else []


def table(entries: list[Entry]) -> str:
    """Return a table with one row per setting: published, measured, the command; and the sources below."""
    rows = [f"| {TITLES[entries[0]['data']]} | published | measured here | command |", "| --- | --- | --- | --- |"]
    rows += [f"| {e['setting']} | {e['published']} | **{measured(e)}** | `{e['command']}` |" for e in entries]
    sources = "; ".join(dict.fromkeys(entry["source"] for entry in entries if entry["source"]))
    return "\n".join([*rows, *(["", textwrap.fill(f"Published: {sources}.", WIDTH)] if sources else [])])


def overview(entries: list[Entry], split: str) -> str:
    """Return a table with one row per recipe: one column per setting, the published numbers in the same order, the updates."""
    entries = [entry for entry in entries if entry["split"] in (split, f"{split}/test")]
    settings, notes = list(dict.fromkeys(entry["setting"] for entry in entries)), Notes()
    rows = ["| recipe | " + " | ".join(settings) + f" | {PUBLISHED} | {UPDATES} |", "| --- |" + " --- |" * (len(settings) + 2)]
    for recipe in dict.fromkeys(entry["recipe"] for entry in entries):
        own = {entry["setting"]: entry for entry in entries if entry["recipe"] == recipe}
        cells = [measured(own[setting]) if setting in own else "–" for setting in settings]
        known = any(entry["source"] for entry in own.values())
        published = " / ".join(number(own[setting]) for setting in settings if setting in own) if known else "–"
        rows.append(
            f"| `{recipe}` | {' | '.join(cells)} | {published}{notes.mark([*own.values()])} | {updates(next(iter(own.values())))} |"
        )
    return "\n".join(rows + notes.lines())


def modes(entries: list[Entry]) -> str:
    """Return a table with one row per recipe of `characters`: its scores by mode and number of queries, published numbers, updates."""
    entries, notes = [entry for entry in entries if entry["split"] == "characters/test"], Notes()
    columns = ("transductive", "inductive", "transductive, 15 queries per class", "inductive, 15 queries per class")
    rows = [
        f"| recipe | tasks | {columns[0]} | {PUBLISHED} | {' | '.join(columns[1:])} | {UPDATES} |",
        "| --- | --- |" + " --- |" * (len(columns) + 2),
    ]
    for recipe in dict.fromkeys(entry["recipe"] for entry in entries):
        own = {entry["setting"]: entry for entry in entries if entry["recipe"] == recipe}
        task = next(iter(own)).partition(",")[0]
        cells = {setting.removeprefix(f"{task}, "): measured(entry) for setting, entry in own.items()}
        as_papers = {setting.partition(",")[0]: cell for setting, cell in cells.items() if not setting.endswith("15 queries per class")}
        found = [*({**cells, **as_papers}[column] for column in columns)]
        told = [number(e) + f" {e['mode']}" * (e["mode"] == "inductive") for e in own.values() if e["source"]]
        published = (", ".join(told) or "–") + notes.mark([*own.values()])
        found.insert(1, published)
        rows.append(f"| `{recipe}` | {task} | {' | '.join(found)} | {updates(next(iter(own.values())))} |")
    return "\n".join(rows + notes.lines())


def pretrained(name: str) -> str:
    """Return a table with one row per learner on the vectors of a frozen network, and one column per number of shots."""
    entry: Entry = json.loads(PRETRAINED.read_text(encoding="utf-8"))[name]
    shots = list(entry["shots"])
    rows = [
        f"| {entry['way']}-way, accuracy %, difference from meta-trained | " + " | ".join(f"{shot}-shot" for shot in shots) + " |",
        "| --- |" + " --- |" * len(shots),
    ]
    for learner in entry["shots"][shots[0]]:
        own = [entry["shots"][shot][learner] for shot in shots]
        cells = [
            f"{one['accuracy']:.1f} ± {one['interval']:.1f}"
            + ("" if learner == "meta-trained" else f" ({one['difference']:+.1f} ± {one['difference_interval']:.1f})")
            for one in own
        ]
        rows.append(f"| {learner} | {' | '.join(cells)} |")
    return "\n".join(rows)


def filled(text: str, entries: list[Entry]) -> str:
    """Return a page with its tables filled."""

    def results(name: str) -> str:
        own = [entry for entry in entries if entry["recipe"] == name]
        return table(own) if own else modes(entries) if name == "characters" else overview(entries, name)

    shown_by = {
        "measured": results, "pretrained": pretrained, "groceries": groceries, "intents": intents, "tuned": tuned, "optimizers": optimizers,
    }  # fmt: skip
    for kind, shown in shown_by.items():
        for name in re.findall(rf"<!-- {kind}: (\S+) -->", text):
            place = rf"<!-- {kind}: {re.escape(name)} -->.*?<!-- end -->"
            written = f"<!-- {kind}: {name} -->\n{shown(name)}\n<!-- end -->"
            text = re.sub(place, written.replace("\\", r"\\"), text, flags=re.DOTALL)
    return text


def main() -> None:
    """Fill the tables of every page."""
    entries = json.loads(RESULTS.read_text(encoding="utf-8"))
    for path in PAGES:
        path.write_text(filled(path.read_text(encoding="utf-8"), entries), encoding="utf-8")


if __name__ == "__main__":
    main()
