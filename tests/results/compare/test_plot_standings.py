"""The picture of a comparison."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from kshot.figure import COLOURS
from kshot.results.compare.comparison import Comparison, Round
from kshot.results.compare.cost import Cost
from kshot.results.score.result import Results

pytestmark = pytest.mark.slow

COST = Cost(0.01, 0.1, 20, 75, 100, 400, 100, None)


def comparison(learners: int, *shots: int | tuple[int, int], score_name: str = "accuracy") -> Comparison:
    random = np.random.default_rng(0)
    rounds = []
    for shot in shots:
        results = {
            f"learner {number} $x$ 猫": Results(
                random.random(50), score_name, "data", "all/test", 5, shot, 15, 0, "ab" * 32, "inductive", "none", 1.0
            )
            for number in range(learners)
        }
        rounds.append(Round(results, dict.fromkeys(results, COST), score_name == "accuracy"))
    return Comparison(tuple(rounds), "on cpu with 1 thread")


def colours_of(path: Path) -> set[tuple[int, int, int]]:
    with Image.open(path) as image:
        assert image.format == "PNG"
        return {colour for _, colour in image.convert("RGB").getcolors(1 << 24)}


def rgb(colour: str) -> tuple[int, ...]:
    return tuple(bytes.fromhex(colour[1:]))


@pytest.mark.parametrize("shots", [(1,), (1, 2, 5, 10), ((1, 5), 7)], ids=["one", "curve", "range"])
def test_every_learner_is_drawn_in_its_colour(tmp_path: Path, shots: tuple[int | tuple[int, int], ...]) -> None:
    path = tmp_path / "new" / "comparison.png"
    figure = comparison(4, *shots).plot(path=path)
    assert figure._repr_png_().startswith(b"\x89PNG\r\n")  # what a notebook shows
    assert {rgb(colour) for colour in COLOURS[:4]} <= colours_of(path)


def test_more_learners_than_colours_and_other_scores(tmp_path: Path) -> None:
    comparison(len(COLOURS) + 2, 1, 5, score_name="mean squared error").plot(path=tmp_path / "a.png")
    assert {rgb(colour) for colour in COLOURS} <= colours_of(tmp_path / "a.png")


def test_a_picture_is_the_same_each_time(tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        comparison(3, 1, 5).plot(path=str(tmp_path / name))
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_who_is_far_behind_does_not_press_the_others_together() -> None:
    means, rounds = {"a": 0.95, "b": 0.94, "far off": 0.4}, []
    for shot in (1, 5):
        random = np.random.default_rng(shot)
        results = {
            name: Results(
                mean + 0.01 * shot + 0.02 * random.random(50),
                "accuracy",
                "data",
                "all/test",
                5,
                shot,
                15,
                0,
                "ab",
                "inductive",
                "none",
                1.0,
            )
            for name, mean in means.items()
        }
        rounds.append(Round(results, dict.fromkeys(results, COST), True))
    left, right = Comparison(tuple(rounds), "on cpu with 1 thread").plot().axes
    assert left.get_ylim()[0] < 45  # the scores themselves are all there
    assert -10 < right.get_ylim()[0] < -1
    assert right.get_title(loc="left") == "below the picture: far off"  # above the axes, where it covers nothing


def test_accuracies_end_at_100_and_chance_is_named() -> None:
    for shots in ((1,), (1, 5)):
        figure = comparison(2, *shots).plot()
        left = figure.axes[0]
        ticks = left.get_xticks() if len(shots) == 1 else left.get_yticks()
        assert max(ticks) <= 100
        assert any(line.get_label().startswith("chance 20 %") for line in left.lines)
    for line in comparison(2, 1, score_name="mean squared error").plot().axes[0].lines:
        assert "chance" not in line.get_label()


def test_one_number_of_shots_is_rows_and_no_curve() -> None:
    for axes in comparison(3, 5).plot().axes:
        assert len(axes.containers) == 3
        assert {bars.lines[0].get_linestyle() for bars in axes.containers} == {"None"}
