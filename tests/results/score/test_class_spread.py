"""The spread of a mean accuracy over classes: by hand, against a slow bootstrap, and as evaluations give it."""

import numpy as np
import pytest
import torch
from torch import nn

from kshot.data.arrays import ArrayDataset
from kshot.episodes.shape import EpisodeShape
from kshot.learners.metric.protonet import ProtoNet
from kshot.results.score.answers import answer_episodes
from kshot.results.score.class_spread import ClassCounts, class_spread
from kshot.results.score.episode_set import EpisodeSet
from kshot.results.score.evaluate import evaluate


def test_equal_classes_have_no_spread() -> None:
    spread = class_spread(np.full(8, 3), np.full(8, 4), None)
    assert spread is not None
    assert (spread.interval, spread.count, spread.unit) == (0.0, 8, "classes")


def test_many_classes_spread_as_a_mean_does() -> None:
    right = np.random.default_rng(1).binomial(20, 0.8, 400)
    spread = class_spread(right, np.full(400, 20), None)
    assert spread is not None
    assert spread.interval == pytest.approx(1.96 * (right / 20).std() / 20, rel=0.05)  # √400 classes


def test_groups_are_drawn_whole_and_turned_copies_with_them() -> None:
    right, asked = np.arange(24) % 5, np.full(24, 5)
    groups = [f"a{number // 4}/rot{90 * (number % 4):03}" for number in range(24)]
    spread = class_spread(right, asked, groups)
    assert spread is not None
    assert (spread.count, spread.unit) == (6, "groups of classes")
    means = right.reshape(6, 4).mean(1) / 5
    drawn = np.random.default_rng(0).integers(6, size=(2000, 6))
    low, high = np.percentile(means[drawn].mean(1), [2.5, 97.5])
    assert spread.interval == pytest.approx((high - low) / 2, abs=1e-12)


def test_few_groups_give_way_to_classes_and_few_classes_to_none() -> None:
    spread = class_spread(np.arange(6), np.full(6, 9), ["a", "a", "a", "b", "b", "b"])
    assert spread is not None
    assert spread.unit == "classes"
    assert class_spread(np.arange(4), np.full(4, 9), None) is None


def test_classes_that_nobody_asked_for_do_not_count() -> None:
    right, asked = np.array([3, 1, 4, 2, 5, 0, 0]), np.array([5, 5, 5, 5, 5, 0, 0])
    assert class_spread(right, asked, None) == class_spread(right[:5], asked[:5], None)


def test_counts_worked_by_hand() -> None:
    counts = ClassCounts(4)
    counts.add(np.array([[2, 0], [0, 3]]), np.array([[0, 1, 1], [0, 0, 1]]), np.array([[True, False, True], [True, True, False]]))
    assert counts.asked.tolist() == [4, 0, 1, 1]
    assert counts.right.tolist() == [3, 0, 1, 0]


def test_an_evaluation_and_its_answers_have_the_same_spread() -> None:
    generator = torch.Generator().manual_seed(0)
    y = torch.arange(9).repeat_interleave(8)
    data = ArrayDataset(torch.randn(72, 3, generator=generator) + y[:, None] % 3, y)
    episodes = EpisodeSet.draw(data, data.index, "all", EpisodeShape(3, 1, 4), episodes=60, seed=0)
    learner = ProtoNet(nn.Identity())
    found = evaluate(learner, episodes)
    _, answered = answer_episodes(learner, episodes)
    assert found.class_spread == answered.class_spread
    assert found.class_spread is not None
    assert found.class_spread.interval > 0
    assert dict(found.rows())["with other classes"].endswith("(95 % bootstrap over 9 classes)")
    content = found.as_dict()
    assert (content["class_interval"], content["classes_resampled"]) == (found.class_spread.interval, "9 classes")
