"""Put the measured numbers of `recipes/results.json` into the README and the learner's page.

    python scripts/fill_tables.py

What stands between `<!-- measured: NAME -->` and `<!-- end -->` is replaced.
"""

import json
import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGES = ("README.md", "docs/learners/protonet.md")


def table(entries: list[dict[str, str]]) -> str:
    """One row a setting: published, measured, the command."""
    rows = ["| Omniglot, accuracy % | published | measured here | command |", "| --- | --- | --- | --- |"]
    rows += [f"| {e['setting']} | {e['published']} | **{e['measured']}** | `{e['command']}` |" for e in entries]
    return "\n".join(rows)


def main() -> None:
    """Fill every page."""
    numbers = json.loads((ROOT / "src" / "kshot" / "recipes" / "results.json").read_text())
    for page in PAGES:
        path = ROOT / page
        text = path.read_text()
        for name in re.findall(r"<!-- measured: (\S+) -->", text):
            filled = table([entry for entry in numbers if entry["recipe"] == name])
            text = re.sub(
                rf"<!-- measured: {name} -->.*?<!-- end -->", f"<!-- measured: {name} -->\n{filled}\n<!-- end -->", text, flags=re.DOTALL
            )
        path.write_text(text)


if __name__ == "__main__":
    main()
