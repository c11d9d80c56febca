from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from kshot.data.arrays import ArrayDataset
from kshot.data.pictures.ink import Ink
from kshot.episodes.shape import EpisodeShape
from kshot.results.score.evaluate import evaluate
from kshot.results.show.plot_episodes import Sample, letter, plot_episode, sample_episodes, shown_classes, shown_pictures

pytestmark = pytest.mark.slow

Make = Callable[..., Any]
GREEN, RED = (0x1F, 0x8A, 0x4C), (0xC6, 0x28, 0x28)


def pixels_of(path: Path, colour: tuple[int, int, int]) -> int:
    with Image.open(path) as image:
        return int((np.asarray(image.convert("RGB")) == colour).all(2).sum())


def test_the_median_the_worst_and_the_best_are_taken(pictures: Make, protonet: Make, draw: Make) -> None:
    learner, episodes = protonet(), draw(pictures(), EpisodeShape((3, 4), 1, 3), 31)
    scores = evaluate(learner, episodes).scores
    samples = {sample.kind: sample for sample in sample_episodes(learner, episodes, scores)}
    assert list(samples) == ["median", "worst", "best"]
    for kind, score in (("median", np.median(scores)), ("worst", scores.min()), ("best", scores.max())):
        sample = samples[kind]
        assert sample.right / len(sample.answers) == scores[sample.drawn.numbers[0]] == pytest.approx(score)
        assert sample.names == tuple(episodes.index.names[place] for place in sample.drawn.classes[0])


def test_an_episode_is_shown_once(pictures: Make, protonet: Make, draw: Make) -> None:
    learner, shape = protonet(), EpisodeShape(3, 1, 3)
    assert len(sample_episodes(learner, draw(pictures(), shape, 1), np.array([0.5]))) == 1
    numbers = [int(sample.drawn.numbers[0]) for sample in sample_episodes(learner, draw(pictures(), shape, 5), np.full(5, 0.5))]
    assert len(numbers) == len(set(numbers))


def test_ink_is_shown_dark_on_white(pictures: Make, draw: Make) -> None:
    items, shape = np.arange(3), EpisodeShape(3, 1, 2)
    light, ink = pictures(), pictures(preprocess=Ink(8))
    kept = light.gather(items)[:, 0].numpy()
    for dataset, wanted in ((light, kept), (ink, 255 - kept)):
        shown = shown_pictures(draw(dataset, shape), items, None)
        assert shown.shape == (3, 8, 8, 3)
        assert all(np.array_equal(shown[..., channel], wanted) for channel in range(3))


def test_colours_are_shown_as_they_are(pictures: Make, draw: Make) -> None:
    dataset = pictures(channels=3)
    shown = shown_pictures(draw(dataset, EpisodeShape(3, 1, 2)), np.array([5]), None)
    assert np.array_equal(shown[0].transpose(2, 0, 1), dataset.gather(np.array([5]))[0].numpy())


def test_turned_pictures_are_shown_turned(pictures: Make, draw: Make) -> None:
    dataset = pictures()
    episodes = draw(dataset, EpisodeShape(3, 1, 2, augment="quarter_turns"))
    plain = dataset.gather(np.array([5]))[0, 0].numpy()
    shown = shown_pictures(episodes, np.array([5, 5]), np.array([0, 1], dtype=np.int16))
    assert np.array_equal(shown[0, :, :, 0], plain)
    assert np.array_equal(shown[1, :, :, 0], np.rot90(plain))


def test_what_is_no_picture_is_not_shown(protonet: Make, draw: Make, tmp_path: Path) -> None:
    dataset = ArrayDataset(torch.rand(60, 64), [number % 6 for number in range(60)])
    episodes = draw(dataset, EpisodeShape(3, 1, 2))
    assert shown_pictures(episodes, np.arange(3), None) is None
    sample = sample_episodes(protonet(), episodes, np.zeros(20))[0]
    assert plot_episode(sample, episodes, tmp_path / "episode.png") is None
    assert list(tmp_path.iterdir()) == []


def test_right_is_green_and_wrong_is_red(pictures: Make, protonet: Make, draw: Make, tmp_path: Path) -> None:
    episodes = draw(pictures(), EpisodeShape(3, 2, 3))
    sample = sample_episodes(protonet(), episodes, np.zeros(20))[0]
    y = sample.drawn.query_y[0]
    path = tmp_path / "episode.png"
    for answers, green, red in ((y, True, False), ((y + 1) % 3, False, True), (np.where(np.arange(9) == 4, 0, y), True, True)):
        assert plot_episode(Sample("worst", sample.drawn, answers, sample.names), episodes, path) == path
        assert (pixels_of(path, GREEN) > 100, pixels_of(path, RED) > 100) == (green, red)


def test_names_are_never_read_as_mathematics(pictures: Make, protonet: Make, draw: Make, tmp_path: Path) -> None:
    names = ("$\\frac{$", "狐/狼", "a_b^c", "x" * 200, *(f"class{number}" for number in range(8)))
    episodes = draw(pictures(names=names), EpisodeShape(12, 1, 2), 1)
    sample = sample_episodes(protonet(), episodes, np.zeros(1))[0]
    wrong = np.where(np.isin(sample.names, names[:4])[sample.drawn.query_y[0]], -1, sample.drawn.query_y[0])
    shown = Sample("worst", sample.drawn, wrong % 12, sample.names)
    assert {sample.names[label] for label in shown_classes(shown)} >= set(names[:4])
    assert plot_episode(shown, episodes, tmp_path / "episode.png")


def test_letters() -> None:
    assert [letter(label) for label in (0, 25, 26, 27, 701, 702)] == ["A", "Z", "AA", "AB", "ZZ", "AAA"]
