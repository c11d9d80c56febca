"""Accuracy by presentation: with a learner that is ideal, the numbers are known."""

import itertools

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from kshot.data.arrays import ArrayDataset
from kshot.episodes.family import Classification
from kshot.episodes.shape import EpisodeShape
from kshot.learners.memory.label_code import LabelCode
from kshot.learners.memory.sequence_learner import SequenceLearner, State
from kshot.results.score.episode_set import EpisodeSet
from kshot.results.score.presentations import ideal_first, presentation_numbers, score_presentations


class Ideal(SequenceLearner):
    """Sees which class an item is of (its one number), remembers every label, and guesses the smallest label that is not used yet."""

    def __init__(self, outputs: int) -> None:
        super().__init__()
        self.backbone, self.features, self.code, self.family = nn.Identity(), 1, LabelCode(outputs, 1), Classification()

    def begin(self, tasks: int, like: Tensor) -> dict[str, Tensor]:
        return {}

    def follow(self, inputs: Tensor, state: State) -> tuple[Tensor, dict[str, Tensor]]:
        T, B, _ = inputs.shape
        logits = torch.zeros(T, B, self.code.size)
        for b in range(B):
            known: dict[float, int] = {}
            for t in range(T):
                if t:
                    known[inputs[t - 1, b, 0].item()] = int(inputs[t, b, 1:].argmax())
                unused = min(set(range(self.code.size)) - {*known.values()}, default=0)
                logits[t, b, known.get(inputs[t, b, 0].item(), unused)] = 1.0
        return logits, {}

    def glance(self, inputs: Tensor, state: State) -> Tensor:
        raise AssertionError("a sequence is not asked for queries")


@pytest.fixture(scope="module")
def episodes() -> EpisodeSet:
    names = [f"class {number % 8}" for number in range(96)]
    data = ArrayDataset(np.array([[float(number % 8)] for number in range(96)], dtype=np.float32), names)
    return EpisodeSet.draw(data, data.index, "all", EpisodeShape(4, 1, 9), episodes=200, seed=1)


@pytest.mark.slow
def test_an_ideal_learner_reaches_its_bound_and_is_never_wrong_again(episodes: EpisodeSet) -> None:
    found = score_presentations(Ideal(4), episodes)
    assert found.scores.shape == (200, 10)
    assert found.accuracies[1:] == [1.0] * 9
    rows = dict(found.rows())
    assert "because all 200 episodes have no mistake" in rows["interval 2"]  # "100.00 ± 0.00 %" does not stand alone
    assert "interval 1" not in rows
    assert abs(found.accuracies[0] - ideal_first(4, 4)) < 2 * found.intervals[0]
    assert found.as_dict()["ideal_first"] == pytest.approx((1 / 4 + 1 / 3 + 1 / 2 + 1) / 4)


def test_the_bound_is_the_best_over_all_labellings() -> None:
    orders = list(itertools.permutations(range(5), 3))  # the labels of three classes out of five, in the order in which they come

    def guess(used: tuple[int, ...]) -> int:
        return min(set(range(5)) - {*used})

    right = sum(guess(order[:place]) == label for order in orders for place, label in enumerate(order))
    assert ideal_first(5, 3) == pytest.approx(right / (3 * len(orders)))


def test_presentations_are_counted_per_class() -> None:
    assert presentation_numbers(torch.tensor([[2, 0, 2, 2, 0, 1]])).tolist() == [[0, 0, 1, 2, 1, 0]]


def test_scores_do_not_depend_on_how_episodes_are_batched(episodes: EpisodeSet) -> None:
    few = EpisodeSet.draw(episodes.dataset, episodes.index, "all", episodes.shape, episodes=7, seed=1)
    fewer = EpisodeSet.draw(episodes.dataset, episodes.index, "all", episodes.shape, episodes=3, seed=1)
    found = score_presentations(Ideal(4), few)
    assert np.array_equal(found.scores[:3], score_presentations(Ideal(4), fewer).scores)
    assert "accuracies=[" in repr(found)
    assert found.rows()[0][1].endswith(f"(an ideal learner: {100 * found.ideal_first:.2f} %, a guess among the unused labels)")
