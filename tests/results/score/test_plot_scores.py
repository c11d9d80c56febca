"""The picture of scores, and the means that it draws."""

import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from kshot.errors import SetupError
from kshot.results.score.interval import mean_and_interval
from kshot.results.score.plot_scores import running_mean
from kshot.results.score.result import Results

pytestmark = pytest.mark.slow


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
    figure = results_of(scores).plot(path=path)
    assert {BLUE, ORANGE} <= colours_of(path)
    assert figure._repr_png_().startswith(b"\x89PNG\r\n")  # what a notebook shows


def test_scores_that_are_no_accuracies_are_drawn(tmp_path: Path) -> None:
    results_of(np.array([3.0, 1e4, 0.2]), "mean squared error").plot(path=tmp_path / "scores.png")
    assert BLUE in colours_of(tmp_path / "scores.png")


def test_a_picture_is_the_same_each_time(tmp_path: Path) -> None:
    results = results_of(np.array([0.5, 0.75, 1.0]))
    for name in ("a.png", "b.png"):
        results.plot(path=str(tmp_path / name))
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_without_a_path_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert len(results_of(np.ones(3)).plot().axes) == 2
    assert list(tmp_path.iterdir()) == []


def test_without_matplotlib_the_line_that_installs_it_is_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(SetupError, match=r"Drawing pictures needs matplotlib.*pip install 'kshot\[plots\]'"):
        results_of(np.ones(3)).plot(path=tmp_path / "scores.png")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "scores", [np.ones(30), np.ones(1), np.zeros(3), np.array([0.5, 1.0, 1.0])], ids=["right", "one", "wrong", "mixed"]
)
def test_no_tick_lies_beyond_100_and_the_key_names_what_is_drawn(scores: np.ndarray) -> None:
    left, right = results_of(scores).plot().axes
    for ticks in (left.get_xticks(), right.get_yticks()):
        assert 0 <= min(ticks) <= max(ticks) <= 100
    assert all(left.get_xlim()[0] <= bar.get_x() and bar.get_x() + bar.get_width() <= left.get_xlim()[1] for bar in left.patches)
    labels = right.get_legend_handles_labels()[1]
    assert ("95 % interval" in labels) == (np.ptp(scores) > 0)
    assert any(label.startswith("chance 20 %") for label in labels)
    for axes in (left, right):
        low, high = axes.get_ylim() if axes is left else axes.get_xlim()
        counts = axes.get_yticks() if axes is left else axes.get_xticks()
        assert all(tick == round(tick) for tick in counts if low <= tick <= high)
