"""The choice of a head: the most likely one, its honest difference, and what choosing adds."""

import json
from dataclasses import dataclass

import numpy as np
import pytest

from kshot.errors import RecipeError
from kshot.tasks.heads.choose import DEFAULT_HEADS, choose
from kshot.tasks.heads.given import Given
from kshot.tasks.heads.head import FittedHead, LeftOut, Settled, Settling
from kshot.tasks.heads.nearest import Nearest
from kshot.tasks.heads.ridge import Ridge
from kshot.tasks.heads.shrunken_means import ShrunkenMeans


@dataclass(frozen=True)
class Told(Settling):
    """A head whose left-out answers are given: the log-probability of the right class, and whether it was right, per setting."""

    name: str
    log_likelihoods: np.ndarray
    right: np.ndarray
    kept: int = 0

    def settle(self, given: Given) -> Settled:
        n, way = len(given.y), given.way
        every = np.ones(n, dtype=bool)
        left_out = LeftOut(np.zeros((n, way)), every, "leave-one-out", np.arange(n), self.log_likelihoods, self.right, self.kept)
        return Settled(left_out, lambda: FittedHead("affine", self.name, {}, 1.0, {}))


def two_classes(n: int) -> tuple[np.ndarray, np.ndarray]:
    return np.zeros((n, 1), dtype=np.float32), np.arange(n) % 2


def test_the_most_likely_head_wins_though_another_is_right_more_often() -> None:
    x, y = two_classes(4)
    sure = Told("sure", np.log([[0.9], [0.9], [0.9], [1e-6]]), np.array([[True], [True], [True], [False]]))
    fair = Told("fair", np.log([[0.8], [0.8], [0.4], [0.4]]), np.array([[True], [True], [False], [False]]))
    choice = choose(x, y, 2, [sure, fair])
    assert (choice.name, choice.fitted.feature_map, choice.examples) == ("fair", "fair", 4)
    first, second = choice.standings
    assert (first.accuracy, second.accuracy) == (0.5, 0.75)
    np.testing.assert_allclose(first.log_likelihood, np.log([0.8, 0.8, 0.4, 0.4]).mean())
    # Paired: 0, 0, -1, 0; the mean is -1/4, and the interval 1.96 · (1/2) / √4.
    np.testing.assert_allclose([second.behind.mean, second.behind.interval], [-0.25, 0.49])
    assert not second.behind.differs
    assert "no real difference" in str(choice)
    json.dumps(choice.as_dict(), allow_nan=False)


def test_a_real_difference_is_called_real() -> None:
    x, y = two_classes(100)
    good = Told("good", np.log(np.full((100, 1), 0.9)), np.ones((100, 1), dtype=bool))
    bad = Told("bad", np.log(np.full((100, 1), 0.5)), (np.arange(100) % 2 == 0)[:, None])
    choice = choose(x, y, 2, [bad, good])
    assert choice.name == "good"
    assert choice.standings[1].behind.differs
    assert "a real difference" in str(choice)


def test_a_head_that_is_clearly_right_more_often_is_preferred_to_a_likelier_one() -> None:
    x, y = two_classes(100)
    right = np.arange(100) % 10 > 0
    likely = Told("likely", np.log(np.full((100, 1), 0.7)), (np.arange(100) % 3 > 0)[:, None])
    often = Told("often", np.log(np.where(right, 0.8, 0.01))[:, None], right[:, None])
    choice = choose(x, y, 2, [likely, often])
    assert likely.log_likelihoods.mean() > often.log_likelihoods.mean()
    assert [one.name for one in choice.standings] == ["often", "likely"]
    assert "right for more of the left-out examples than likely" in str(choice)
    assert choice.standings[1].behind.differs


def test_choosing_among_many_guesses_is_seen_through() -> None:
    """Forty settings that guess: the best looks better than a coin, and its optimism takes that back."""
    x, y = two_classes(60)
    seen, corrected = [], []
    for seed in range(8):
        likely = np.log(np.random.default_rng(seed).uniform(0.2, 0.8, (60, 40)))
        choice = choose(x, y, 2, [Told("guesses", likely, likely > np.log(0.5), int(likely.mean(0).argmax()))])
        assert choice.settings == 40
        seen.append(choice.standings[0].accuracy)
        corrected.append(choice.standings[0].accuracy - choice.optimism)
    assert np.mean(seen) > 0.57
    assert abs(np.mean(corrected) - 0.5) < 0.05


def test_one_setting_is_not_optimistic() -> None:
    x, y = two_classes(10)
    assert choose(x, y, 2, [Told("one", np.log(np.full((10, 1), 0.9)), np.ones((10, 1), dtype=bool))]).optimism == 0


def test_with_one_example_per_class_the_first_head_is_the_default() -> None:
    x, y = np.eye(3, dtype=np.float32), np.arange(3)
    choice = choose(x, y, 3)
    assert (choice.name, choice.standings, choice.examples) == (DEFAULT_HEADS[0].name, (), 0)
    assert "by default" in str(choice)
    assert choose(x, y, 3, [Nearest()]).name == "nearest"


@pytest.mark.slow
def test_real_heads_are_compared_on_the_same_examples() -> None:
    rng = np.random.default_rng(0)
    y = np.repeat(np.arange(4), 5)
    x = (3 * rng.normal(size=(4, 6))[y] + rng.normal(size=(20, 6))).astype(np.float32)
    choice = choose(x, y, 4)
    assert {one.name for one in choice.standings} == {head.name for head in DEFAULT_HEADS}
    assert choice.standings[0].name == choice.name
    for standing in choice.standings:
        head = next(head for head in DEFAULT_HEADS if head.name == standing.name)
        found = head.left_out(x, y, 4)
        np.testing.assert_allclose(standing.log_likelihood, found.log_probabilities[np.arange(20), y].mean(), atol=1e-6)


def test_an_example_that_one_head_cannot_score_is_left_aside() -> None:
    x, y = np.array([[0.0], [0.2], [3.0]], dtype=np.float32), np.array([0, 0, 1])
    choice = choose(x, y, 2, [ShrunkenMeans(np.array([[0.0], [3.0]])), Ridge()])  # only the descriptions can score the third
    assert choice.examples == 2


def test_two_heads_of_one_name_are_refused() -> None:
    with pytest.raises(RecipeError, match="different names; found ridge, ridge"):
        choose(*two_classes(4), 2, [Ridge(), Ridge()])
