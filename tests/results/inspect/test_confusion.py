"""Confusion: two episodes counted on paper, a slow count, intervals and the design effect against draws of a known kind."""

from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from kshot.data.class_index import ClassIndex
from kshot.episodes.episode import DrawnEpisodes
from kshot.episodes.shape import EpisodeShape
from kshot.results.inspect.confusion import Confusion, count_confusion, design_effect
from kshot.results.score.answers import Answers, answer_episodes
from kshot.results.score.counts import wilson

Make = Callable[..., Any]
INDEX = ClassIndex.build({name: [n] for n, name in enumerate(("ant", "bee", "cow", "elk"))})


def block(classes: list[list[int]], y: list[list[int]], chosen: list[list[int]]) -> Answers:
    B, N, Q = len(classes), len(classes[0]), len(y[0])
    labels = np.tile(np.arange(N), (B, 1))
    drawn = DrawnEpisodes(np.arange(B), np.array(classes), np.zeros((B, N), int), labels, np.zeros((B, Q), int), np.array(y))
    return Answers(drawn, np.zeros((B, Q, N), np.float32), np.array(chosen))


BLOCKS = [
    block([[2, 0], [0, 1]], [[0, 0, 1, 1], [0, 0, 1, 1]], [[0, 1, 0, 1], [0, 0, 0, 0]]),
    block([[1, 2, 0]], [[0, 0, 1, 2]], [[2, -1, 1, 2]]),
]


def test_two_blocks_counted_on_paper() -> None:
    # Episode 0 (cow, ant): one cow for an ant, one ant for a cow. Episode 1 (ant, bee): both bees for ants.
    # Then (bee, cow, ant): one bee for an ant, one without an answer.
    found = count_confusion(INDEX, BLOCKS)
    assert found.asked.tolist() == [5, 4, 3, 0]
    assert found.right.tolist() == [4, 0, 2, 0]
    assert found.episodes.tolist() == [3, 2, 2, 0]
    np.testing.assert_allclose(found.accuracy, [0.8, 0, 2 / 3, np.nan])
    assert found.by_accuracy().tolist() == [1, 2, 0]
    assert found.pairs.tolist() == [[0, 1], [0, 2], [1, 2]]
    assert found.met.tolist() == [4 + 3, 4 + 2, 3]
    assert found.taken.tolist() == [[0, 3], [1, 1], [0, 0]]
    first, second = found.most_confused()
    assert (first.names, first.classes, first.taken, first.queries) == (("ant", "bee"), (0, 1), (0, 3), 7)
    assert first.rate == 3 / 7
    assert (second.names, second.taken, second.rate) == (("ant", "cow"), (1, 1), 1 / 3)
    assert found.most_confused(1) == [first]
    # Rows are the classes of the queries: ants 4 right and 1 for a cow; bees 3 for ants, 1 unanswered; cows 1 for an ant.
    assert found.matrix().tolist() == [[4, 0, 1, 0], [3, 0, 0, 0], [1, 0, 2, 0], [0, 0, 0, 0]]


def test_equals_a_slow_count(pictures: Make, protonet: Make, draw: Make) -> None:
    episodes = draw(pictures(), EpisodeShape((2, 5), 1, (1, 4), balanced=False), 60)
    answers, _ = answer_episodes(protonet(), episodes)
    asked, right, met, taken, shared = Counter(), Counter(), Counter(), Counter(), Counter()  # type: ignore[var-annotated]
    for one in answers:
        for row in range(len(one.drawn)):
            classes = one.drawn.classes[row].tolist()
            shared.update(classes)
            for y, answer in zip(one.drawn.query_y[row].tolist(), one.chosen[row].tolist(), strict=True):
                asked[classes[y]] += 1
                right[classes[y]] += y == answer
                for other in classes:
                    if other != classes[y]:
                        met[frozenset((classes[y], other))] += 1
                        taken[classes[y], other] += classes[answer] == other
    found = count_confusion(episodes.index, answers)
    C = len(episodes.index)
    whole = [[right[a] if a == b else taken[a, b] for b in range(C)] for a in range(C)]
    assert found.matrix().tolist() == whole
    assert found.matrix().sum(1).tolist() == found.asked.tolist()  # every query was answered
    assert found.asked.tolist() == [asked[c] for c in range(C)]
    assert found.right.tolist() == [right[c] for c in range(C)]
    assert found.episodes.tolist() == [shared[c] for c in range(C)]
    assert {frozenset(pair): n for pair, n in zip(found.pairs.tolist(), found.met.tolist(), strict=True)} == dict(met)
    for (a, b), counts in zip(found.pairs.tolist(), found.taken.tolist(), strict=True):
        assert counts == [taken[a, b], taken[b, a]]
    assert found.taken.sum() == found.asked.sum() - found.right.sum() > 0
    assert found.names == episodes.index.names


def test_nothing_wrong_is_no_pair() -> None:
    found = count_confusion(INDEX, [block([[0, 1]], [[0, 1]], [[0, 1]])])
    assert found.most_confused() == []
    assert found.design_effect == 1


def test_many_mistakes_in_many_queries_come_before_one_in_one() -> None:
    few, many = ([1, 0], [500, 400])
    found = Confusion(("a", "b", "c"), *np.full((3, 3), 9), np.array([[0, 1], [1, 2]]), np.array([1, 1000]), np.array([few, many]), 1.0)
    assert [pair.names for pair in found.most_confused()] == [("b", "c"), ("a", "b")]


def test_wilson_s_interval() -> None:
    # E. B. Wilson's formula, by hand for 8 of 10: centre (0.8 + 1.96²/20) / (1 + 1.96²/10).
    ((low, high),) = wilson(np.array([8]), np.array([10]))
    centre = (0.8 + 3.8416 / 20) / 1.38416
    half = 1.96 * (0.8 * 0.2 / 10 + 3.8416 / 400) ** 0.5 / 1.38416
    assert (low, high) == pytest.approx((centre - half, centre + half))
    ends = wilson(np.array([0, 10, 0]), np.array([10, 10, 0]))
    assert ends[0, 0] == pytest.approx(0, abs=1e-12)
    assert 0.2 < ends[0, 1] < 0.35
    assert ends[1, 1] == pytest.approx(1)
    assert ends[2].tolist() == pytest.approx([0, 1])
    wider = wilson(np.array([8]), np.array([10]), 4.0)[0]
    assert wider[0] < low
    assert wider[1] > high


def test_independent_queries_have_a_design_effect_of_one_and_joint_ones_their_number() -> None:
    random = np.random.default_rng(0)
    owner, asked = np.repeat(np.arange(200), 4), np.full(800, 15)
    p = np.repeat(random.uniform(0.5, 0.95, 200), 4)
    assert design_effect(owner, asked, random.binomial(15, p)) == pytest.approx(1, abs=0.15)
    assert design_effect(owner, asked, 15 * random.binomial(1, p)) == pytest.approx(15, rel=0.35)
    # By hand: one class, cells 3 of 4 and 1 of 4. Σ m (p - ½)² = ½; (2 - 1) · ½ · ½ · 8/7 = 2/7.
    assert design_effect(np.array([0, 0]), np.array([4, 4]), np.array([4, 0])) == pytest.approx(2 / (2 / 7))
    assert design_effect(np.array([0, 0]), np.array([4, 4]), np.array([3, 1])) == pytest.approx(0.5 / (2 / 7))
    assert design_effect(np.array([0, 1]), np.array([4, 4]), np.array([3, 1])) == 1  # no class twice
    assert design_effect(np.array([0, 0]), np.array([4, 4]), np.array([2, 2])) == 1  # never below


def test_the_intervals_hold_the_truth_about_as_often_as_they_say() -> None:
    # 400 classes of 4 episodes each, whose accuracies differ from episode to episode.
    random = np.random.default_rng(1)
    truth = random.uniform(0.6, 0.9, 400)
    cell = random.beta(np.repeat(truth, 4) * 10, np.repeat(1 - truth, 4) * 10)
    owner, asked, right = np.repeat(np.arange(400), 4), np.full(1600, 15), random.binomial(15, cell)
    effect = design_effect(owner, asked, right)
    assert 1.6 < effect < 3.2  # 1 + 14/11 = 2.27
    ends = wilson(np.bincount(owner, right), np.full(400, 60), effect)
    assert 0.91 < ((ends[:, 0] <= truth) & (truth <= ends[:, 1])).mean() < 0.98
    plain = wilson(np.bincount(owner, right), np.full(400, 60))
    assert ((plain[:, 0] <= truth) & (truth <= plain[:, 1])).mean() < 0.88  # too narrow without it
