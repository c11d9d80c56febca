"""Pairs of an episode set: by hand, against loops over pairs and thresholds, and what must not matter."""

import math
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from kshot.backbones.mlp import MLP
from kshot.data.preprocess import Preprocess
from kshot.episodes.batch import gather_batch
from kshot.episodes.family import Regression
from kshot.episodes.shape import EpisodeShape
from kshot.errors import RecipeError
from kshot.learners.metric.nearest import NearestNeighbour
from kshot.learners.metric.protonet import ProtoNet
from kshot.learners.metric.ridge import RidgeNet
from kshot.results.score import features as features_module
from kshot.results.score.episode_set import EpisodeSet
from kshot.results.score.verification import Verification, acceptance, best_accuracy, equal_error_rate, verify

Make = Callable[..., Any]
RANGES = EpisodeShape(way=(2, 4), shot=(1, 3), query=(2, 4), balanced=False)


# By hand.


def test_six_pairs_by_hand() -> None:
    # Two pairs of one class with scores 5 and 1, four of two classes with 3, 1, 0 and -2; each kind weighs 1/2.
    scores = np.array([1.0, 3.0, 5.0, 1.0, -2.0, 0.0])
    same = np.array([True, False, True, False, False, False])
    thresholds, of_same, of_different = acceptance(scores, same, np.where(same, 1 / 4, 1 / 8))
    assert thresholds.tolist() == [math.inf, 5, 3, 1, 0, -2]
    assert of_same.tolist() == [0, 0.5, 0.5, 1, 1, 1]
    assert of_different.tolist() == [0, 0, 0.25, 0.5, 0.75, 1]
    # Accuracies 0.5, 0.75, 0.625, 0.75, 0.625, 0.5: the first of the best is at 5.
    assert best_accuracy(thresholds, of_same, of_different) == (0.75, 5)
    # Refused same - accepted different: 1, 0.5, 0.25, -0.5: a third of the way from the threshold 3 to the threshold 1.
    assert equal_error_rate(of_same, of_different) == pytest.approx(0.25 + (0.5 - 0.25) / 3)


@pytest.mark.parametrize(("same_score", "best", "equal"), [(7.0, 1.0, 0.0), (2.0, 0.5, 0.5), (-7.0, 0.5, 1.0)])
def test_all_right_all_alike_all_wrong(same_score: float, best: float, equal: float) -> None:
    same = np.array([True, True, False])
    rates = acceptance(np.where(same, same_score, 2.0), same, np.ones(3))
    assert best_accuracy(*rates)[0] == best
    assert best_accuracy(*rates)[1] == (7 if best == 1 else math.inf)  # constant answers: the largest threshold refuses all
    assert equal_error_rate(*rates[1:]) == equal


# An independent version: loops.


@pytest.mark.slow
@given(st.lists(st.tuples(st.integers(-4, 4), st.booleans(), st.integers(1, 5)), min_size=2, max_size=30))
def test_thresholds_equal_the_slow_version(pairs: list[tuple[int, bool, int]]) -> None:
    pairs = [*pairs, (0, True, 1), (1, False, 2)]  # both kinds
    scores, same, weights = (np.array(column) for column in zip(*pairs, strict=True))
    thresholds, of_same, of_different = acceptance(scores.astype(float), same, weights.astype(float))
    assert thresholds.tolist() == [math.inf, *sorted({float(score) for score in scores}, reverse=True)]
    for place, threshold in enumerate(thresholds):
        for kind, found in ((True, of_same[place]), (False, of_different[place])):
            total = sum(weight for _, is_same, weight in pairs if is_same == kind)
            accepted = sum(weight for score, is_same, weight in pairs if is_same == kind and score >= threshold)
            assert found == pytest.approx(accepted / total)
    equal = equal_error_rate(of_same, of_different)
    errors = [(1 - a, b) for a, b in zip(of_same, of_different, strict=True)]
    assert any(min(a[0], b[0]) - 1e-9 <= equal <= max(a[0], b[0]) + 1e-9 for a, b in pairwise(errors))
    assert max(min(pair) for pair in errors) - 1e-9 <= equal <= min(max(pair) for pair in errors) + 1e-9


@torch.no_grad()
def slow_pairs(learner: ProtoNet, episodes: EpisodeSet, shift: float) -> list[list[tuple[float, bool]]]:
    """(score, same) of each pair of each episode, in the order of the numbers; the score is `shift` less the squared distance."""
    found: dict[int, list[tuple[float, bool]]] = {}
    for rectangle in episodes.drawn:
        for row in range(len(rectangle)):
            batch = gather_batch(episodes.dataset, rectangle.rows(slice(row, row + 1)), episodes.shape.augment, torch.device("cpu"))
            support, query = learner.backbone(batch.support_x[0]).numpy(), learner.backbone(batch.query_x[0]).numpy()  # type: ignore[index]
            found[int(rectangle.numbers[row])] = [
                (shift - float(((q - s) ** 2).sum()), bool(batch.query_y[0, j] == batch.support_y[0, i]))
                for j, q in enumerate(query)
                for i, s in enumerate(support)
            ]
    return [found[number] for number in sorted(found)]


class Shifted(NearestNeighbour):
    """Scores that fall on both sides of 0."""

    shift = 0.0

    def predict(self, adapted: Any, query_features: Any) -> torch.Tensor:
        return super().predict(adapted, query_features) + self.shift


def shifted(protonet: ProtoNet, shift: float) -> Shifted:
    learner = Shifted(protonet.backbone)
    learner.shift = shift
    return learner


@pytest.mark.slow
@pytest.mark.parametrize("features_fit", [True, False])
def test_equals_the_slow_version(
    pictures: Make, protonet: Make, draw: Make, doubles: Preprocess, features_fit: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not features_fit:
        monkeypatch.setattr(features_module, "_FEATURE_BYTES", 0)
    network = protonet().double()
    episodes = draw(pictures(preprocess=doubles), RANGES, 9)
    pairs = slow_pairs(network, episodes, 0.0)
    below, above = sorted(score for episode in pairs for score, _ in episode)[100:102]
    middle = -(below + above) / 2  # between two scores, lest rounding decide
    pairs = slow_pairs(network, episodes, middle)
    found = verify(shifted(network, middle), episodes)
    of_episodes = []
    for episode in pairs:
        right = {kind: [(score >= 0) == kind for score, same in episode if same == kind] for kind in (True, False)}
        of_episodes.append((np.mean(right[True]) + np.mean(right[False])) / 2)
    assert found.accuracy == pytest.approx(np.mean(of_episodes))
    assert found.interval == pytest.approx(1.96 * np.std(of_episodes, ddof=1) / 3)
    assert 0.5 < found.accuracy < found.best_accuracy < 1
    # The best threshold over all pairs, by trying each.
    accuracies = {}
    for threshold in {score for episode in pairs for score, _ in episode}:
        total = 0.0
        for episode in pairs:
            right = {kind: [(score >= threshold) == kind for score, same in episode if same == kind] for kind in (True, False)}
            total += float(np.mean(right[True]) + np.mean(right[False])) / 2 / len(pairs)
        accuracies[threshold] = total
    assert found.best_accuracy == pytest.approx(max(accuracies.values()))
    assert accuracies[min(accuracies, key=lambda value: abs(value - found.best_threshold))] == pytest.approx(found.best_accuracy)
    assert 1 - found.best_accuracy <= found.equal_error_rate <= 0.5
    assert found.same == sum(same for episode in pairs for _, same in episode)
    assert found.different == sum(not same for episode in pairs for _, same in episode)
    assert found.episodes_hash == episodes.hash


def test_each_support_item_is_compared_alone(pictures: Make, protonet: Make, draw: Make) -> None:
    # A prototypical network answers with distances to means; of one item, the mean is the item.
    network, episodes = protonet(), draw(pictures(), EpisodeShape(3, 4, 2))
    nearest, means = verify(NearestNeighbour(network.backbone), episodes), verify(network, episodes)
    assert (nearest.best_accuracy, nearest.equal_error_rate) == pytest.approx((means.best_accuracy, means.equal_error_rate))
    assert nearest.same == 20 * 6 * 4
    assert nearest.different == 20 * 6 * 8


def test_a_score_that_is_not_a_number_is_not_the_same(pictures: Make, protonet: Make, draw: Make) -> None:
    found = verify(shifted(protonet(), math.nan), draw(pictures(), EpisodeShape(3, 1, 2)))
    assert [found.accuracy, found.best_accuracy, found.equal_error_rate] == pytest.approx([0.5] * 3)


def test_the_learner_is_left_as_it_was(pictures: Make, protonet: Make, draw: Make) -> None:
    learner = protonet(norm=True).train()
    before = {name: value.clone() for name, value in learner.state_dict().items()}
    verify(learner, draw(pictures(), EpisodeShape(3, 1, 2)))
    assert learner.training
    assert all(torch.equal(value, before[name]) for name, value in learner.state_dict().items())


def test_one_line() -> None:
    found = Verification(0.9123, 0.0012, 0.92, -1.5, 0.0811, 1200, 4800, "abcdef0123456789")
    assert str(found) == (
        "verification accuracy 91.23 ± 0.12 % at probability 1/2, 92.00 % at the best threshold (-1.5), equal error rate 8.11 %; "
        "1,200 same and 4,800 different pairs, episodes abcdef012345"
    )


class Together(ProtoNet):
    modes = ("transductive",)


@pytest.mark.parametrize("learner", [RidgeNet(MLP(1, (4,), 4), family=Regression()), Together(nn.Flatten())])
def test_a_learner_that_cannot_answer_is_refused(learner: Any, pictures: Make, draw: Make) -> None:
    with pytest.raises(RecipeError, match=r"verification asks whether two items have the same class; .* Give a classification learner"):
        verify(learner, draw(pictures(), EpisodeShape(3, 1, 2)))
