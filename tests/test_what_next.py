"""The scripts behind the page "What should I label next?", on data of seconds, and the page against the numbers they recorded."""

import importlib
import json
import re
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from kshot.tasks.heads.table import head_named

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "what-next.md").read_text(encoding="utf-8")
SUGGEST, DOUBT = (json.loads((ROOT / "scripts" / name).read_text(encoding="utf-8")) for name in ("suggest.json", "doubt.json"))
DATA = {"banking77": "BANKING77", "grocery_store": "Grocery Store"}


@pytest.fixture
def scripts(monkeypatch: pytest.MonkeyPatch) -> tuple[ModuleType, ModuleType, ModuleType]:
    """The two scripts, and what they share."""
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    names = ("measure_suggest", "measure_doubt", "what_next_data")
    suggest, doubt, data = (importlib.import_module(name) for name in names)
    return suggest, doubt, data


@pytest.fixture
def crowds(scripts: tuple[ModuleType, ModuleType, ModuleType]) -> Any:
    """Six classes of 60 things, half of them to test on."""
    random = np.random.default_rng(0)
    y = np.tile(np.arange(6), 60)
    x = (random.normal(0, 1.5, (6, 12))[y] + random.normal(0, 1, (360, 12))).astype(np.float32)
    Part = scripts[2].Part
    return scripts[2].Data("crowds", Part(x[:180], y[:180]), Part(x[180:], y[180:]), 6)


def test_every_way_to_choose_labels_new_things_once(scripts: tuple[ModuleType, ModuleType, ModuleType], crowds: Any) -> None:
    suggest, _, data = scripts
    labelled = np.arange(12)
    examples, rest = crowds.train[labelled], crowds.train.x[12:]
    model = data.model_of(head_named("shrunken_means").fit(examples.x, examples.y, 6), "shrunken_means", examples, 6)
    for name, chooser in suggest.WAYS.items():
        found = chooser(model, rest, 6, np.random.default_rng(0))
        assert len(set(found.tolist())) == 6, name
        assert 0 <= found.min() <= found.max() < len(rest), name


@pytest.mark.slow
def test_a_curve_is_of_growing_labels(scripts: tuple[ModuleType, ModuleType, ModuleType], crowds: Any) -> None:
    suggest = scripts[0]
    heads = (head_named("shrunken_means"),)
    found = suggest.curve(crowds.train, crowds.test, 6, suggest.suggested, draw=0, most=4, heads=heads)
    assert len(found) == 4
    assert found[3] > found[0]
    first = [suggest.curve(crowds.train, crowds.test, 6, way, draw=0, most=1, heads=heads) for way in suggest.WAYS.values()]
    assert all(one == first[0] for one in first)  # all ways start alike
    records = list(suggest.compared(crowds, 1))
    assert [one["way"] for one in records] == list(suggest.WAYS)
    assert all((one["pool"], one["scored"]) == (120, 60) for one in records)


@pytest.mark.slow
def test_labels_are_swapped_as_it_says(scripts: tuple[ModuleType, ModuleType, ModuleType], crowds: Any) -> None:
    doubt = scripts[1]
    examples = doubt.drawn(crowds.train, 0)
    assert np.bincount(examples.y).tolist() == [10] * 6
    for kind in doubt.KINDS:
        spoilt, rows = doubt.swapped(examples, 6, kind, 0)
        assert np.flatnonzero(spoilt.y != examples.y).tolist() == sorted(rows.tolist())
        assert len(rows) == 3
    records = doubt.measure(crowds, 1)
    assert {(one["swapped"], one["list"]) for one in records} >= {("random", "doubt"), ("nearest", "margin")}
    assert all(0 <= one["found"] <= 100 for one in records)


def number(record: dict[str, Any], value: str) -> str:
    return f"{record[value]:.1f} ± {record['interval']:.1f}"


def test_the_page_holds_the_recorded_numbers() -> None:
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in PAGE.splitlines() if line.startswith("|")]
    for one in SUGGEST["curves"]:
        name = f"{DATA[one['data']]}, {'suggested' if one['way'] == 'suggest' else one['way']}"
        assert [name, *(number(point, "accuracy") for point in one["points"])] in rows
    for way in {one["way"] for one in SUGGEST["choice"]}:
        assert [number(one, "accuracy") for one in SUGGEST["choice"] if one["way"] == way] in [row[1:] for row in rows]
    for kind in {one["list"] for one in DOUBT["results"]}:
        assert [number(one, "found") for one in DOUBT["results"] if one["list"] == kind] in [row[1:] for row in rows]
    for one in SUGGEST["saved"]:
        assert f"{one['difference']:.1f} ± {one['interval']:.1f} points" in re.sub(r"\s+", " ", PAGE)


def test_the_marks_are_reached() -> None:
    for one in SUGGEST["saved"]:
        assert (one["suggest_labels"], one["random_labels"]) == (4, 6)
        assert one["difference"] >= 0, one
    least = {"random": 80, "nearest": 50}
    for one in DOUBT["results"]:
        if one["list"] == "doubt":
            assert one["found"] - one["interval"] >= least[one["swapped"]], one
