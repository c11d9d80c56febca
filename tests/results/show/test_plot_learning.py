"""The picture of a training."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from kshot.results.show import plot_learning as module
from kshot.results.show.plot_learning import plot_learning

pytestmark = pytest.mark.slow


def colours_of(path: Path) -> set[tuple[int, int, int]]:
    with Image.open(path) as image:
        assert image.format == "PNG"
        return {colour for _, colour in image.convert("RGB").getcolors(1 << 24)}


BLUE, ORANGE = (0x25, 0x63, 0xA8), (0xC2, 0x57, 0x0C)

HISTORY = [
    {"update": 100, "mean": 0.7, "interval": 0.02, "loss": 2.0},
    {"update": 200, "mean": 0.9, "interval": 0.01, "loss": 0.5},
    {"update": 300, "mean": 0.8, "interval": 0.01, "loss": 0.01},
]


@pytest.mark.parametrize("entries", [1, 3])
def test_a_learning_curve_is_drawn(tmp_path: Path, entries: int) -> None:
    assert {BLUE, ORANGE} <= colours_of(plot_learning(HISTORY[:entries], tmp_path / "curve.png"))


def test_the_best_validation_is_the_highest_or_the_lowest(tmp_path: Path) -> None:
    def star(higher_is_better: bool) -> float:
        path = plot_learning(HISTORY, tmp_path / "curve.png", score_name="score", higher_is_better=higher_is_better)
        with Image.open(path) as image:
            pixels = np.asarray(image.convert("RGB"))[image.height // 10 :]  # the key is above
        return float(np.flatnonzero((pixels == ORANGE).all(2).any(0)).mean())

    middle = star(higher_is_better=True)  # update 200 of 100 … 300
    assert star(higher_is_better=False) < middle - 100


def drawn_by(monkeypatch: pytest.MonkeyPatch, history: list[dict[str, float]], **words: Any) -> Figure:
    kept: list[Figure] = []
    monkeypatch.setattr(module, "write_png", lambda figure, path: kept.append(figure) or path)
    plot_learning(history, Path("curve.png"), **words)
    kept[0].draw_without_rendering()
    return kept[0]


def test_one_validation_after_20_updates(monkeypatch: pytest.MonkeyPatch) -> None:
    upper, lower = drawn_by(monkeypatch, [{"update": 20, "mean": 0.5, "interval": 0.02, "loss": 1.0}]).axes
    low, high = lower.get_xlim()
    assert all(tick == round(tick) for tick in lower.get_xticks() if low <= tick <= high)
    (loss,) = lower.patches  # the loss is the mean over the updates 1 to 20: a level, not a point
    assert loss.get_data().edges.tolist() == [0, 20]
    assert "95 % interval" in upper.get_legend_handles_labels()[1]


def test_a_training_without_mistakes_ends_at_100_and_names_no_interval(monkeypatch: pytest.MonkeyPatch) -> None:
    history = [{"update": 5 * n, "mean": 1.0, "interval": 0.0, "loss": 1 / n} for n in (1, 2, 3)]
    upper, _ = drawn_by(monkeypatch, history).axes
    assert max(upper.get_yticks()) == 100
    assert upper.get_ylim()[1] < 101
    assert "95 % interval" not in upper.get_legend_handles_labels()[1]


def test_the_curve_says_whose_it_is_and_what_guessing_gets(monkeypatch: pytest.MonkeyPatch) -> None:
    upper, _ = drawn_by(monkeypatch, HISTORY, trained_on="omniglot, split vinyals", chance=0.75).axes
    assert upper.get_title() == "training on omniglot, split vinyals"
    assert "chance 75 %" in upper.get_legend_handles_labels()[1]
