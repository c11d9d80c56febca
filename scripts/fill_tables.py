"""Put the measured numbers of `recipes/results.json` into the README and the pages.

    python scripts/fill_tables.py

The text between `<!-- measured: NAME -->` and `<!-- end -->` is replaced. If NAME is a recipe, the table has one row per setting. If it is
`vinyals`, `characters` or `lake`, the table has one row per recipe of that split.
"""

import json
import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
TITLES = {"omniglot": "Omniglot, accuracy %", "sinusoids": "Sinusoids, mean squared error"}
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))


def measured(entry: dict[str, str]) -> str:
    """Return the number, with the number of episodes if there are fewer than usual."""
    count = entry.get("episodes", 1000)
    usual = count == (600 if entry["split"].startswith("characters") else 1000) or entry["split"] == "lake" or entry["data"] != "omniglot"
    return entry["measured"] + ("" if usual else f" ({count} episodes)")


def table(entries: list[dict[str, str]]) -> str:
    """Return a table with one row per setting: published, measured, the command."""
    rows = [f"| {TITLES[entries[0]['data']]} | published | measured here | command |", "| --- | --- | --- | --- |"]
    rows += [f"| {e['setting']} | {e['published']} | **{measured(e)}** | `{e['command']}` |" for e in entries]
    return "\n".join(rows)


def overview(entries: list[dict[str, str]], split: str) -> str:
    """Return a table with one row per recipe and one column per setting."""
    entries = [entry for entry in entries if entry["split"] in (split, f"{split}/test")]
    settings = list(dict.fromkeys(entry["setting"] for entry in entries))
    rows = ["| recipe | " + " | ".join(settings) + " |", "| --- |" + " --- |" * len(settings)]
    for recipe in dict.fromkeys(entry["recipe"] for entry in entries):
        cells = {entry["setting"]: measured(entry) for entry in entries if entry["recipe"] == recipe}
        rows.append(f"| `{recipe}` | " + " | ".join(cells.get(setting, "–") for setting in settings) + " |")
    return "\n".join(rows)


def modes(entries: list[dict[str, str]]) -> str:
    """Return a table with one row per recipe of `characters` and one column per mode and number of queries."""
    entries = [entry for entry in entries if entry["split"] == "characters/test"]
    columns = ("transductive", "inductive", "transductive, 15 queries per class", "inductive, 15 queries per class")
    rows = ["| recipe | tasks | " + " | ".join(columns) + " |", "| --- | --- |" + " --- |" * len(columns)]
    for recipe in dict.fromkeys(entry["recipe"] for entry in entries):
        own = {entry["setting"]: measured(entry) for entry in entries if entry["recipe"] == recipe}
        task = next(iter(own)).partition(",")[0]
        cells = {setting.removeprefix(f"{task}, "): cell for setting, cell in own.items()}
        as_papers = {setting.partition(",")[0]: cell for setting, cell in cells.items() if not setting.endswith("15 queries per class")}
        rows.append(f"| `{recipe}` | {task} | " + " | ".join({**cells, **as_papers}[column] for column in columns) + " |")
    return "\n".join(rows)


def main() -> None:
    """Fill the tables of every page."""
    numbers = json.loads((ROOT / "src" / "kshot" / "recipes" / "results.json").read_text())
    for path in PAGES:
        text = path.read_text()
        for name in re.findall(r"<!-- measured: (\S+) -->", text):
            own = [entry for entry in numbers if entry["recipe"] == name]
            filled = table(own) if own else modes(numbers) if name == "characters" else overview(numbers, name)
            text = re.sub(
                rf"<!-- measured: {name} -->.*?<!-- end -->", f"<!-- measured: {name} -->\n{filled}\n<!-- end -->", text, flags=re.DOTALL
            )
        path.write_text(text)


if __name__ == "__main__":
    main()
