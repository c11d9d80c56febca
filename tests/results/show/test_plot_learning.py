"""The picture of a training."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

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
            pixels = np.asarray(image.convert("RGB"))[:, : image.width * 7 // 10]  # the legend is to the right
        return float(np.flatnonzero((pixels == ORANGE).all(2).any(0)).mean())

    middle = star(higher_is_better=True)  # update 200 of 100 … 300
    assert star(higher_is_better=False) < middle - 100
