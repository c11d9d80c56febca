"""Measure a learned optimiser on all that its page tells, and keep the numbers for the page's tables and its picture.

    python scripts/measure_learned_updates.py [SAVED]

SAVED is a run, a folder or a shipped name; `learned-optimizer` unless said otherwise. Out: `scripts/pictures/learned_updates.json`: what
`kshot evaluate SAVED --json` prints for functions of the trained kinds, with curves; for larger networks; for twice and ten times the
trained steps; and what `benchmarks.learned_optimizer` measures on models and data of other kinds. Then `python scripts/fill_tables.py`
fills the page.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from kshot.atomic import write_json

ROOT = Path(__file__).resolve().parents[1]
NUMBERS = ROOT / "scripts" / "pictures" / "learned_updates.json"
ASKED = {
    "trained": (),
    "larger": ("--data", "omniglot-conv4-32,omniglot-mlp-2"),
    "twice": ("--data", "quadratics,omniglot-mlp", "--steps", "200"),
    "tenfold": ("--data", "quadratics,omniglot-mlp", "--steps", "1000"),
}
"""Part of the numbers → arguments of `kshot evaluate`."""


def evaluated(saved: str, arguments: tuple[str, ...], *, curves: bool) -> dict[str, Any]:
    """What `kshot evaluate` prints."""
    command = [sys.executable, "-m", "kshot", "evaluate", saved, *arguments, "--json"]
    found: dict[str, Any] = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    if not curves:
        for kind in found["kinds"].values():
            for one in kind["optimizers"].values():
                del one["curve"]
    return found


def main() -> None:
    """Measure, and write the file after each part."""
    parser = argparse.ArgumentParser(description="Measure a learned optimiser.")
    parser.add_argument("saved", nargs="?", default="learned-optimizer")
    parser.add_argument("-o", "--output", type=Path, default=NUMBERS)
    asked = parser.parse_args()
    sys.path.insert(0, str(ROOT))
    from benchmarks.learned_optimizer import against_adam

    numbers: dict[str, Any] = {"command": "python scripts/measure_learned_updates.py"}
    for name, arguments in ASKED.items():
        numbers[name] = evaluated(asked.saved, arguments, curves=name == "trained")
        losses = {kind: one["optimizers"]["learned"]["final_loss"] for kind, one in numbers[name]["kinds"].items()}
        print(name, *(f"{kind}={loss:.3g}" for kind, loss in losses.items()), flush=True)
        write_json(asked.output, numbers)
    numbers["unseen"] = [one._asdict() for one in against_adam(asked.saved)]
    write_json(asked.output, numbers)


if __name__ == "__main__":
    main()
