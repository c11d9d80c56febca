"""Measured numbers for the pictures: JSON files beside this module, and the comparison tables that stand in a page."""

import json
import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from pictures.kit import ROOT

HERE = Path(__file__).resolve().parent


@cache
def measured(name: str) -> dict[str, Any]:
    """What `scripts/measure_NAME.py` wrote."""
    found: dict[str, Any] = json.loads((HERE / f"{name}.json").read_text())
    return found


Rounds = list[tuple[int, dict[str, tuple[float, float]]]]


def compared(page: str, name: str) -> Rounds:
    """The tables of `kshot compare` in a page: for each number of shots, learner → accuracy and its interval, in %."""
    text = (ROOT / page).read_text(encoding="utf-8")
    part = re.search(rf"<!-- comparison: {name} -->(.*?)<!-- end -->", text, re.DOTALL)
    if part is None:
        raise ValueError(f"{page} holds no comparison named {name!r}")
    rounds: Rounds = []
    for line in part[1].splitlines():
        if shot := re.match(r"\d+-way (\d+)-shot", line):
            rounds.append((int(shot[1]), {}))
        elif row := re.match(r"\| (\S+) +\| +([\d.]+) ± ([\d.]+) \|", line):
            rounds[-1][1][row[1]] = (float(row[2]), float(row[3]))
    return rounds


def percent(pairs: Sequence[Sequence[float]]) -> tuple[list[float], list[float]]:
    """(mean, interval) pairs as two lists in %."""
    return [100 * pair[0] for pair in pairs], [100 * pair[1] for pair in pairs]
