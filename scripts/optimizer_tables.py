"""Tables of a learned optimiser beside hand-made ones, from `pictures/learned_updates.json`, for `fill_tables.py`."""

import json
from pathlib import Path
from typing import Any

from markdown_table import row, rule

NUMBERS = Path(__file__).resolve().parent / "pictures" / "learned_updates.json"
_NAMES = {"learned": "learned", "sgd": "SGD", "momentum": "momentum", "rmsprop": "RMSprop", "adam": "Adam", "adamw": "AdamW"}


def optimizers(which: str) -> str:
    """Return a table.

    Args:
        which: Losses at the end (`final`) or in the mean over the steps (`mean`), of `larger` networks, of `longer` trainings, or on
            `unseen` data beside Adam.
    """
    numbers = json.loads(NUMBERS.read_text(encoding="utf-8"))
    if which == "unseen":
        rows = [
            row(one["data"], f"{one['learned']:.4f}", f"{one['adam']:.4f} ({one['rate']:g})", f"**{one['learned'] / one['adam']:.2f}**")
            for one in numbers["unseen"]
        ]
        return "\n".join([row("data", "learned", "Adam (rate)", "ratio"), rule(4), *rows])
    if which == "longer":
        rows = [line for part in ("twice", "tenfold") for line in _losses(numbers[part], "final", f"{numbers[part]['steps']:,}")]
        return "\n".join([row("functions", "steps", *_NAMES.values()), rule(8), *rows])
    part, what = ("larger", "final") if which == "larger" else ("trained", which)
    return "\n".join([row("functions", *_NAMES.values()), rule(7), *_losses(numbers[part], what)])


def _losses(found: dict[str, Any], what: str, *more: str) -> list[str]:
    """One row per kind of function, the lowest loss in bold."""
    rows = []
    for kind, one in found["kinds"].items():
        own = [one["optimizers"][name] for name in _NAMES]
        losses = [entry[f"{what}_loss"] for entry in own]
        cells = [f"{loss:.3g} ± {entry[f'{what}_interval']:.3g}" for loss, entry in zip(losses, own, strict=True)]
        best = losses.index(min(losses))
        cells[best] = f"**{cells[best]}**"
        rows.append(row(f"`{kind}`", *more, *cells))
    return rows
