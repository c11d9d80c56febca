"""The page `how-sure.md` holds the numbers that were measured, and the marks are reached."""

import importlib
import json
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[3]
RECORD: dict[str, Any] = json.loads((ROOT / "scripts" / "certainty.json").read_text(encoding="utf-8"))


@pytest.mark.slow
def test_the_page_holds_the_measured_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    page = (ROOT / "docs" / "how-sure.md").read_text(encoding="utf-8")
    rows = importlib.import_module("measure_certainty").rows_of(RECORD)
    assert {name: len(some) for name, some in rows.items()} == {"sets": 3, "unknown": 3, "learner": 2}
    for some in rows.values():
        assert "\n".join(some) in page


def test_the_marks_are_reached() -> None:
    for found in RECORD["fitted"].values():
        assert found["training_files"]["coverage"]["mean"] == pytest.approx(0.9, abs=0.01)
        assert found["training_files"]["calibration_error"]["mean"] <= 0.05
    for found in RECORD["unknown"].values():
        assert found["false_alarms"]["mean"] == pytest.approx(0.05, abs=0.02)
        parts = [part for part in found.values() if isinstance(part, dict) and "auroc" in part]
        assert parts
        assert all(part["auroc"]["mean"] > part["auroc_of_probability"]["mean"] for part in parts)
    near = {"omniglot-protonet 5-way 1-shot": 0.003, "omniglot-protonet 20-way 1-shot": 0.01}
    for name, within in near.items():
        found = RECORD["learner"][name]
        assert found["coverage"]["mean"] == pytest.approx(found["asked"], abs=within)
