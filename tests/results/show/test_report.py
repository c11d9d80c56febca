import json
import sys
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from torch import nn

from kshot.backbones.mlp import MLP
from kshot.data.array_tasks import ArrayTasks
from kshot.data.arrays import ArrayDataset
from kshot.data.sinusoids import Sinusoids
from kshot.episodes.family import Regression
from kshot.episodes.shape import EpisodeShape
from kshot.errors import RecipeError, SetupError
from kshot.learners.gradient.reptile import Reptile
from kshot.learners.learner import Learner
from kshot.learners.metric.ridge import RidgeNet
from kshot.results.score.episode_set import EpisodeSet
from kshot.results.score.evaluate import evaluate
from kshot.results.show.report import write_report

pytestmark = pytest.mark.slow

Make = Callable[..., Any]
HISTORY = [{"update": 10 * n, "mean": 0.5 + n / 10, "interval": 0.02, "loss": 1 / n} for n in (1, 2, 3)]
PICTURES = {"scores.png", "learning_curve.png", "episode_median.png", "episode_worst.png", "episode_best.png", "embedding.png"}


class Page(HTMLParser):
    """What a page shows, and whether its tags close in order."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.text, self.images, self._open, self.source = "", {}, [], path.read_text(encoding="utf-8")
        self.feed(self.source)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        if tag == "img":
            found = dict(attributes)
            self.images[found["src"]] = found["alt"]
        if tag not in ("img", "meta"):
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] not in ("style", "script"):
            self.text += data


def test_a_report_is_a_page_numbers_and_pictures(pictures: Make, protonet: Make, draw: Make, tmp_path: Path) -> None:
    learner, episodes = protonet(norm=True).train(), draw(pictures(), EpisodeShape(5, 1, 4), 40)
    before = {name: value.clone() for name, value in learner.state_dict().items()}
    results, folder = evaluate(learner, episodes), tmp_path / "deep" / "report"
    command = "kshot evaluate 'a <b>' & more"
    path = write_report(
        folder,
        results,
        episodes,
        learner,
        history=HISTORY,
        trained_on="letters, split val",
        title="<script>alert(1)</script>",
        command=command,
    )

    assert path == folder / "report.html"
    assert {file.name for file in folder.iterdir()} == {"report.html", "results.json", *PICTURES}
    page = Page(path)
    assert set(page.images) == PICTURES
    assert all(page.images.values())
    for name in page.images:
        with Image.open(folder / name) as image:
            image.verify()
    assert "<script" not in page.source
    assert "http" not in page.source
    assert "<script>alert(1)</script>" in page.text  # shown, not run
    for words in (command, results.episodes_hash, "all/test", "5-way 1-shot", "inductive", "running", "95 % interval"):
        assert words in page.text
    assert "The course of the learner's own training, on letters, split val." in page.text  # not on the data that were scored
    worst = results.scores.argmin()
    assert f"The worst of 40 episodes (number {worst}): {round(results.scores[worst] * 20)} of 20 queries right" in page.text
    assert f"In {100 * results.mean:.1f} of 100 cases it picks the right one of 5 classes it had never seen" in page.text

    numbers = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    assert numbers["scores"] == results.scores.tolist()
    assert {name: numbers[name] for name in results.as_dict()} == results.as_dict()
    assert numbers["command"] == command
    assert all(module.training for module in learner.modules())
    assert all(torch.equal(value, before[name]) for name, value in learner.state_dict().items())


def test_a_second_report_replaces_the_first_and_nothing_else(pictures: Make, protonet: Make, draw: Make, tmp_path: Path) -> None:
    learner, dataset = protonet(), pictures()
    (tmp_path / "notes.txt").write_text("mine")
    for seed in (0, 1):
        episodes = draw(dataset, EpisodeShape(3, 1, 2), 3, seed)
        write_report(tmp_path, evaluate(learner, episodes), episodes, learner)
    assert json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))["seed"] == 1
    assert episodes.hash in Page(tmp_path / "report.html").text
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_what_cannot_be_drawn_is_said(raw_pairs: Learner, draw: Make, tmp_path: Path) -> None:
    dataset = ArrayDataset(torch.rand(60, 2, 3), [f"\udc80{number % 6}" for number in range(60)])
    episodes = draw(dataset, EpisodeShape((3, 4), 1, 2), 5)
    page = Page(write_report(tmp_path, evaluate(raw_pairs, episodes), episodes, raw_pairs))
    assert set(page.images) == {"scores.png"}
    for words in ("not pictures", "has no fixed embedding", "no record of validations", "right one of 3 to 4 classes"):
        assert words in page.text


@pytest.mark.parametrize("steps", [0, 1, 3])
def test_predictions_of_real_targets_are_drawn_before_and_after_the_steps(steps: int, tmp_path: Path) -> None:
    waves = Sinusoids(train=2, val=2, test=6)
    episodes = EpisodeSet.draw(waves, waves.split().part("test"), "sinusoids/test", EpisodeShape(1, 5, 10), episodes=6)
    learner = Reptile(MLP(1, (8,), 8), 8, 1, adapt_steps=steps, family=Regression()).eval()
    page = Page(write_report(tmp_path, evaluate(learner, episodes), episodes, learner))
    shown = {0: "Reptile", 1: "before the first step and after 1 step", 3: "before the first step and after 3 steps"}[steps]
    assert page.images["predictions.png"] == f"Curves of {shown} for 4 tasks, with support items and the true values of the queries."
    assert "The first 4 of 6 tasks." in page.text
    assert learner.adapt_steps == steps


def test_real_targets_of_items_of_several_numbers_have_no_curve(tmp_path: Path) -> None:
    data = ArrayTasks(torch.rand(24, 2), torch.rand(24), [number % 4 for number in range(24)])
    episodes = EpisodeSet.draw(data, data.index, "all", EpisodeShape(1, 2, 2), episodes=3)
    learner = RidgeNet(nn.Identity(), family=Regression()).eval()
    page = Page(write_report(tmp_path, evaluate(learner, episodes), episodes, learner))
    assert "do not have one number per item, so there is no curve to draw" in page.text
    assert "predictions.png" not in page.images


def test_without_matplotlib_nothing_is_written(
    pictures: Make, protonet: Make, draw: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    learner, episodes = protonet(), draw(pictures(), EpisodeShape(3, 1, 2), 3)
    results = evaluate(learner, episodes)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(SetupError, match="needs matplotlib"):
        write_report(tmp_path / "report", results, episodes, learner)
    assert not (tmp_path / "report").exists()


def test_a_file_is_no_folder(pictures: Make, protonet: Make, draw: Make, tmp_path: Path) -> None:
    learner, episodes = protonet(), draw(pictures(), EpisodeShape(3, 1, 2), 3)
    (tmp_path / "report").write_text("mine")
    with pytest.raises(RecipeError, match=r"report is a file, but a report needs a folder"):
        write_report(tmp_path / "report", evaluate(learner, episodes), episodes, learner)
    assert (tmp_path / "report").read_text() == "mine"
