"""One pass over the episodes: the answers that `evaluate` scores, NaN and ∞ read as it reads them."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from kshot.episodes.episode import DrawnEpisodes
from kshot.episodes.family import Classification, Regression
from kshot.episodes.shape import EpisodeShape
from kshot.errors import RecipeError
from kshot.results.score.answers import Answers, answer_episodes
from kshot.results.score.evaluate import evaluate

Make = Callable[..., Any]


def test_the_results_are_those_of_evaluate(pictures: Make, protonet: Make, draw: Make) -> None:
    learner, episodes = protonet(norm=True).train(), draw(pictures(), EpisodeShape((2, 4), 1, (2, 5)), 40)
    seen: list[int] = []
    answers, results = answer_episodes(learner, episodes, progress=seen.append)
    expected = evaluate(learner, episodes)
    assert sum(seen) == 40
    assert learner.training
    np.testing.assert_array_equal(results.scores, expected.scores)
    assert {**results.as_dict(), "seconds": 0} == {**expected.as_dict(), "seconds": 0}
    by_number = {
        int(number): (block.chosen[row] == block.drawn.query_y[row]).mean()
        for block in answers
        for row, number in enumerate(block.drawn.numbers)
    }
    assert [by_number[number] for number in range(40)] == results.scores.tolist()
    assert {block.logits.shape for block in answers} == {(*block.drawn.query_y.shape, block.drawn.way) for block in answers}


def test_what_is_no_number_never_wins() -> None:
    nan, inf = float("nan"), float("inf")
    logits = np.array([[[nan, 1, 0], [nan, nan, nan], [-inf, -inf, -inf], [0, inf, inf], [nan, -inf, -5]]])
    y = np.array([[1, 0, 0, 1, 2]])
    drawn = DrawnEpisodes(np.array([0]), np.array([[4, 5, 6]]), np.zeros((1, 3), int), np.array([[0, 1, 2]]), np.arange(5)[None], y)
    answers = Answers.of(drawn, logits)
    assert answers.chosen.tolist() == [[1, -1, 0, 1, 2]]
    assert not np.isnan(answers.logits).any()
    right = (answers.chosen == y).mean(1)
    assert right == Classification().score(torch.from_numpy(logits), torch.from_numpy(y)).numpy() == [0.8]


def test_what_cannot_be_answered_is_refused(pictures: Make, protonet: Make, draw: Make) -> None:
    learner, episodes = protonet(), draw(pictures(), EpisodeShape(3, 1, 2), 3)
    with pytest.raises(RecipeError, match=r"ProtoNet offers inductive prediction; transductive was asked for"):
        answer_episodes(learner, episodes, mode="transductive")
    learner.family = Regression()
    with pytest.raises(RecipeError, match=r"need classes; ProtoNet learns regression tasks"):
        answer_episodes(learner, episodes)
