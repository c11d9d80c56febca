"""The script that measures several labels per thing: how its messages are made, and its page against the numbers it recorded."""

import importlib
import json
from collections import Counter
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[1]
RECORD = json.loads((ROOT / "scripts" / "several_labels.json").read_text(encoding="utf-8"))["results"]
PAGE = (ROOT / "docs" / "fit.md").read_text(encoding="utf-8")


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    return importlib.import_module("measure_several_labels")


def test_a_message_has_the_labels_of_its_texts_and_no_text_is_in_two(script: ModuleType) -> None:
    texts = {name: [f"{name}{number}" for number in range(6)] for name in "abcd"}
    found, y = script.messages(texts, 16, np.random.default_rng(0))
    assert y.shape == (len(found), 4)
    for message, row in zip(found, y, strict=True):
        assert {"abcd"[place] for place in np.flatnonzero(row)} == {text[0] for text in message.split()}
    parts = Counter(text for message in found for text in message.split())
    assert set(parts.values()) == {1}
    assert (y.sum(1) == 1).sum() == 8  # two texts of each class stand alone
    assert 4 <= (y.sum(1) == 2).sum() <= 8  # of the pairs, those of one class are left out
    fewer, _ = script.messages(texts, 6, np.random.default_rng(0))
    assert len(fewer) == 6


@pytest.mark.parametrize("name", list(RECORD))
def test_the_page_says_what_was_measured(name: str) -> None:
    one = RECORD[name]
    for score in ("f1", "macro_f1", "exact"):
        mean, half = one[score]["chosen"]
        difference, about = one[score]["difference"]
        assert f"| {mean:.1f} ± {half:.1f} ({difference:+.1f} ± {about:.1f})" in PAGE, (name, score)
