"""The report of tasks: plain JSON, sentences that say what the numbers say, and a picture of them."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from PIL import Image

from kshot.data.arrays import ArrayDataset
from kshot.data.pictures.ink import Ink
from kshot.episodes.shape import EpisodeShape
from kshot.results.inspect.confusion import count_confusion
from kshot.results.inspect.difficulty import measure_difficulty
from kshot.results.inspect.shift import Centres, Shift, measure_shift
from kshot.results.inspect.task_report import TaskReport
from kshot.results.score.answers import answer_episodes
from kshot.results.score.episode_set import EpisodeSet
from kshot.results.show import plot_tasks as module
from kshot.results.show.plot_tasks import plot_tasks

Make = Callable[..., Any]
RED = (0xC6, 0x28, 0x28)


def shift_of(names: tuple[str, ...], distances: np.ndarray, space: str = "features") -> Shift:
    """Of classes at these distances from the nearest of three training classes that lie 1 apart."""
    train = Centres(("a", "b", "c"), ("a", "b", "c"), np.array([[0.0], [-1.0], [-2.0]]))
    return measure_shift(space, train, {"test": Centres(names, names, distances[:, None])})


def report_of(learner: Any, episodes: EpisodeSet, shifts: tuple[Shift, ...] = (), notes: tuple[str, ...] = ()) -> TaskReport:
    answers, results = answer_episodes(learner, episodes)
    difficulty = measure_difficulty(answers)
    names = {place: tuple(episodes.index.names[:3]) for place in range(len(episodes))}
    return TaskReport(results, count_confusion(episodes.index, answers), difficulty, names, shifts, "test", notes)


@pytest.fixture
def episodes(pictures: Make, draw: Make) -> EpisodeSet:
    found: EpisodeSet = draw(pictures(), EpisodeShape(3, 1, 4), 60)
    return found


def lines(report: TaskReport) -> dict[str, str]:
    return {heading: "\n".join(one) for heading, one in report.sections()}


def test_json_has_everything_and_is_plain(episodes: EpisodeSet, protonet: Make) -> None:
    shift = shift_of(episodes.index.names, np.arange(1.0, 13.0))
    report = report_of(protonet(), episodes, (shift,), ("something is missing.",))
    found = json.loads(json.dumps(report.as_dict(), allow_nan=False))
    assert found["accuracy"] == report.results.mean
    assert found["episodes_hash"] == episodes.hash
    assert [one["name"] for one in found["classes"]] == [episodes.index.names[place] for place in report.confusion.by_accuracy()]
    assert sum(one["queries"] for one in found["classes"]) == 60 * 12
    worst = found["classes"][0]
    assert worst["interval"][0] < worst["accuracy"] < worst["interval"][1]
    pair = found["confused"][0]
    assert pair["rate"] == sum(pair["taken"]) / pair["queries"] > 0
    hard = found["difficulty"]
    assert sum(hard["histogram"]["accuracy"]) == sum(hard["histogram"]["uncertainty"]) == 60
    assert len(hard["quantiles"]) == len(hard["accuracy"]) == len(hard["uncertainty"]) == 7
    assert [one["accuracy"] for one in hard["hardest"]] == sorted(report.results.scores)[:5]
    assert hard["hardest"][0]["number"] == int(report.difficulty.numbers[report.difficulty.hardest(1)[0]])
    test = found["shift"]["features"]["nearest"]["test"]
    assert (test["classes"], test["quantiles"][0], test["quantiles"][-1]) == (12, 1, 12)
    assert test["beyond_95_percent_of_training"] == 11 / 12
    assert found["shift"]["features"]["accuracy_with_distance"]["n"] == 12
    assert found["notes"] == ["something is missing."]


def test_sentences_say_what_the_numbers_say(episodes: EpisodeSet, protonet: Make) -> None:
    plain = report_of(protonet(), episodes)
    order = plain.confusion.by_accuracy()
    falling = np.empty(12)
    falling[order] = np.arange(12.0, 0, -1)  # the worst class lies farthest out
    said = lines(report_of(protonet(), episodes, (shift_of(episodes.index.names, falling),), ("No distances in the numbers: none.",)))
    assert "12 of 12 classes were asked" in said["Classes"]
    assert f"%  {episodes.index.names[order[0]]}  (" in said["Classes"]
    assert " – " in said["Most confused pairs"]
    number = plain.difficulty.numbers[plain.difficulty.hardest(1)[0]]
    assert f"Hardest: episodes {number} (" in said["Difficulty of the episodes"]
    assert f"of seed 0, set {episodes.hash[:12]}" in said["Difficulty of the episodes"]
    assert said["Difficulty of the episodes"].count("0 % is sure of every answer, 100 % finds all classes equally likely.") == 1
    distance = said["Distance from the training classes"]
    assert "half of the 12 test classes lie more than 6.50 times as far from the nearest training class" in distance
    assert "the accuracy of a class falls clearly with its distance from training (Spearman's ρ -" in distance
    assert "As a whole, the test classes " in distance
    assert "(MMD²: 0 for two sets that are spread alike, at most 2)" in distance
    assert distance.endswith("No distances in the numbers: none.")
    rising = lines(report_of(protonet(), episodes, (shift_of(episodes.index.names, 13 - falling, "pixels"),)))
    assert "In the numbers of the items, the accuracy of a class rises clearly" in rising["Distance from the training classes"]
    mixed = np.empty(12)
    mixed[order] = [1, 12, 2, 11, 3, 10, 4, 9, 5, 8, 6, 7]
    level = lines(report_of(protonet(), episodes, (shift_of(episodes.index.names, mixed),)))
    assert "neither rises nor falls with its distance" in level["Distance from the training classes"]


def test_a_learner_without_mistakes(episodes: EpisodeSet, protonet: Make) -> None:
    report = report_of(protonet(), episodes)
    confusion = replace(report.confusion, right=report.confusion.asked, taken=0 * report.confusion.taken)
    said = lines(replace(report, confusion=confusion))
    assert said["Most confused pairs"] == "No class was taken for another."
    assert "12 had no mistake. The worst:" not in said["Classes"]
    assert said["Classes"].endswith("12 had no mistake.")


def coloured(path: Path, colour: tuple[int, int, int]) -> int:
    with Image.open(path) as image:
        return int((np.asarray(image.convert("RGB")) == colour).all(2).sum())


@pytest.mark.slow
@pytest.mark.parametrize("channels", [1, 3])
def test_the_picture_has_panels_in_every_quarter(pictures: Make, protonet: Make, draw: Make, tmp_path: Path, channels: int) -> None:
    episodes = draw(pictures(channels=channels, preprocess=Ink(8) if channels == 1 else None), EpisodeShape(3, 1, 4), 40)
    learner = protonet(channels=channels)
    shift = shift_of(episodes.index.names, np.arange(1.0, 13.0))
    path = plot_tasks(report_of(learner, episodes, (shift,)), episodes, tmp_path / "tasks.png")
    with Image.open(path) as image:
        width, height = image.size
        assert width > 1000
        assert height > 800
        pixels = np.asarray(image.convert("RGB"))
    for rows in (slice(0, height // 2), slice(height // 2, height)):
        for columns in (slice(0, width // 2), slice(width // 2, width)):
            assert (pixels[rows, columns] != 255).any(2).mean() > 0.02
    assert coloured(path, RED) > 500  # bars of pairs and of wrong queries
    with Image.open(plot_tasks(report_of(learner, episodes), episodes, tmp_path / "bare.png")) as image:
        corner = np.asarray(image.convert("RGB"))[height * 7 // 10 :, width // 2 :]
    assert 0 < (corner != 255).any(2).mean() < 0.02  # a sentence in place of the distances


@pytest.mark.slow
def test_turned_classes_and_names_that_no_font_has_are_drawn(pictures: Make, protonet: Make, draw: Make, tmp_path: Path) -> None:
    names = tuple(f"日本 $x_{n} " + "long" * 20 for n in range(12))
    episodes = draw(pictures(names=names), EpisodeShape(3, 1, 4, augment="quarter_turns"), 30)
    assert plot_tasks(report_of(protonet(), episodes), episodes, tmp_path / "tasks.png").exists()


@pytest.mark.slow
def test_items_that_are_no_pictures_have_names_alone(protonet: Make, draw: Make, tmp_path: Path) -> None:
    dataset = ArrayDataset(torch.rand(60, 64, generator=torch.Generator().manual_seed(0)), [number % 6 for number in range(60)])
    episodes = draw(dataset, EpisodeShape(2, 1, 2), 3)
    report = report_of(protonet(), episodes)
    assert report.confusion.most_confused()
    assert coloured(plot_tasks(report, episodes, tmp_path / "few.png"), RED) > 500


def drawn_by(monkeypatch: pytest.MonkeyPatch, report: TaskReport, episodes: EpisodeSet) -> Figure:
    kept: list[Figure] = []
    monkeypatch.setattr(module, "write_png", lambda figure, path: kept.append(figure) or path)
    plot_tasks(report, episodes, Path("tasks.png"))
    kept[0].draw_without_rendering()
    return kept[0]


@pytest.mark.slow
@pytest.mark.parametrize(("classes", "count"), [(6, 40), (6, 1), (34, 40)], ids=["few", "one episode", "many"])
def test_no_line_joins_classes_and_no_axis_is_shared(
    monkeypatch: pytest.MonkeyPatch, protonet: Make, draw: Make, classes: int, count: int
) -> None:
    items = torch.rand(classes * 8, 64, generator=torch.Generator().manual_seed(0))
    episodes = draw(ArrayDataset(items, [number % classes for number in range(classes * 8)]), EpisodeShape(5, 1, 4), count)
    report = report_of(protonet(), episodes)
    figure = drawn_by(monkeypatch, report, episodes)
    titles = [axes.get_title() for axes in figure.axes]
    assert ("Which answers the queries of a class get, %" in titles) == (classes <= 30)
    first = figure.axes[0]
    (bars,) = first.containers
    marks = bars.lines[0]
    assert len(marks.get_xdata()) == len(report.confusion.by_accuracy())
    assert marks.get_linestyle() == "None"
    assert sum(line.get_label().startswith("chance 20 %") for line in first.lines) == 1
    wrong = next(axes for axes in figure.axes if axes.get_xlabel() == "wrong queries of an episode, %")
    unsure = next(axes for axes in figure.axes if axes.get_xlabel().startswith("uncertainty of an episode, %"))
    assert "all classes equally likely" in unsure.get_xlabel()
    for axes in (wrong, unsure):  # every episode is in a bar, and every bar in the picture
        assert sum(bar.get_height() for bar in axes.patches) == count
        assert max(axes.get_xticks()) <= 100
        low, high = axes.get_xlim()
        assert all(low <= bar.get_x() and bar.get_x() + bar.get_width() <= high for bar in axes.patches if bar.get_height())
    for axes in figure.axes:
        if (legend := axes.get_legend()) is not None:
            assert not legend.get_window_extent().overlaps(axes.get_window_extent())


@pytest.mark.slow
def test_pairs_that_round_to_no_mistake_have_no_row(monkeypatch: pytest.MonkeyPatch, episodes: EpisodeSet, protonet: Make) -> None:
    report = report_of(protonet(), episodes)
    met = np.full_like(report.confusion.met, 1000)
    taken = np.zeros_like(report.confusion.taken)
    taken[0], taken[1] = (3, 3), (3, 2)  # 0.6 and 0.5 % of 1,000
    shown = drawn_by(monkeypatch, replace(report, confusion=replace(report.confusion, met=met, taken=taken)), episodes).axes[2]
    assert [text.get_text() for text in shown.texts if "%" in text.get_text()] == ["1 % of 1,000"]
    taken[0] = (3, 2)
    shown = drawn_by(monkeypatch, replace(report, confusion=replace(report.confusion, met=met, taken=taken)), episodes).axes[2]
    assert [text.get_text() for text in shown.texts] == ["no two classes are taken for each other\nin more than 0.5 % of their queries"]
