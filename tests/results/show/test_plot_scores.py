import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from kshot.errors import SetupError
from kshot.results.score.interval import mean_and_interval
from kshot.results.score.result import Results
from kshot.results.show.figure import drawable, name_lines
from kshot.results.show.plot_scores import plot_learning, plot_scores, running_mean


def results_of(scores: np.ndarray, score_name: str = "accuracy") -> Results:
    return Results(scores, score_name, "data", "all/test", 5, 1, 15, 0, "ab" * 32, "inductive", "none", 1.0)


def colours_of(path: Path) -> set[tuple[int, int, int]]:
    with Image.open(path) as image:
        assert image.format == "PNG"
        return {colour for _, colour in image.convert("RGB").getcolors(1 << 24)}


BLUE, ORANGE = (0x25, 0x63, 0xA8), (0xC2, 0x57, 0x0C)


def test_the_running_mean_is_the_mean_of_each_beginning() -> None:
    scores = np.random.default_rng(0).binomial(75, 0.97, 50) / 75
    mean, half = running_mean(scores)
    slow = [mean_and_interval(scores[:count]) for count in range(1, 51)]
    np.testing.assert_allclose(np.stack([mean, half], 1), slow, atol=1e-12)


@pytest.mark.parametrize(
    "scores",
    [np.array([0.8]), np.ones(30), np.random.default_rng(0).binomial(75, 0.9, 200) / 75, np.random.default_rng(0).random(200)],
    ids=["one", "equal", "few values", "many values"],
)
def test_scores_are_drawn(tmp_path: Path, scores: np.ndarray) -> None:
    path = tmp_path / "new" / "scores.png"
    assert plot_scores(results_of(scores), path) == path
    assert {BLUE, ORANGE} <= colours_of(path)


def test_scores_that_are_no_accuracies_are_drawn(tmp_path: Path) -> None:
    assert BLUE in colours_of(plot_scores(results_of(np.array([3.0, 1e4, 0.2]), "mean squared error"), tmp_path / "scores.png"))


def test_a_picture_is_the_same_each_time(tmp_path: Path) -> None:
    results = results_of(np.array([0.5, 0.75, 1.0]))
    first, second = (plot_scores(results, tmp_path / name) for name in ("a.png", "b.png"))
    assert first.read_bytes() == second.read_bytes()


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


def test_text_that_cannot_be_drawn_is_replaced() -> None:
    assert drawable("naïve $x_{") == "naïve $x_{"
    assert drawable("狐\n\udc80") == "???"
    assert drawable("x" * 100, 10) == "x" * 9 + "…"
    assert name_lines("Greek/character01/rot090") == "Greek\ncharacter01/rot090"
    assert name_lines("fox") == "fox"


def test_without_matplotlib_the_line_that_installs_it_is_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(SetupError, match=r"Drawing pictures needs matplotlib.*pip install 'kshot\[plots\]'"):
        plot_scores(results_of(np.ones(3)), tmp_path / "scores.png")
    assert list(tmp_path.iterdir()) == []
