"""Difficulty: by hand, the fitted scale against a grid, and logits that have no ordinary softmax."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from kshot.episodes.episode import DrawnEpisodes
from kshot.episodes.shape import EpisodeShape
from kshot.results.inspect.difficulty import fitted_scale, measure_difficulty
from kshot.results.score.answers import Answers, answer_episodes

Make = Callable[..., Any]


def block(logits: Any, y: Any, numbers: list[int]) -> Answers:
    logits, y = np.array(logits, dtype=np.float32), np.array(y)
    (B, Q), N = y.shape, logits.shape[-1]
    labels = np.tile(np.arange(N), (B, 1))
    return Answers.of(DrawnEpisodes(np.array(numbers), labels, np.zeros((B, N), int), labels, np.zeros((B, Q), int), y), logits)


def random_block(scale: float = 1.0, seed: int = 0, B: int = 30, N: int = 4) -> Answers:
    random = np.random.default_rng(seed)
    y = random.integers(0, N, (B, 10))
    logits = random.normal(size=(B, 10, N)) + 1.5 * np.eye(N)[y]
    return block(scale * logits, y, list(range(B)))


def test_accuracy_and_order_by_hand() -> None:
    sure, unsure = [9.0, 0, 0], [0.1, 0, 0]
    found = measure_difficulty(
        [
            block([[sure, sure], [sure, unsure], [unsure, unsure]], [[0, 0], [1, 0], [0, 0]], [5, 3, 8]),
            block([[unsure, sure]], [[1, 0]], [4]),
        ]
    )
    assert found.numbers.tolist() == [3, 4, 5, 8]
    assert found.accuracy.tolist() == [0.5, 0.5, 1, 1]
    assert found.uncertainty[2] < found.uncertainty[0] == found.uncertainty[1] < found.uncertainty[3]
    assert found.numbers[found.hardest()].tolist() == [3, 4, 8, 5]  # the same accuracy: the less sure one; then the smaller number
    assert found.numbers[found.easiest(3)].tolist() == [5, 8, 3]


def test_the_uncertainty_is_the_entropy_of_the_fitted_softmax() -> None:
    one = random_block()
    found = measure_difficulty([one])
    p = F.softmax(found.scale * torch.from_numpy(one.logits).double(), -1)
    expected = -(p * p.log()).sum(-1).mean(1) / np.log(4)
    np.testing.assert_allclose(found.uncertainty, expected.numpy(), rtol=1e-6)
    assert 0 < found.uncertainty.min() < found.uncertainty.max() < 1


def test_the_scale_is_the_best_of_a_grid() -> None:
    one = random_block(scale=40.0)
    z, y = torch.from_numpy(one.logits).double(), torch.from_numpy(one.drawn.query_y)

    def loss(scale: float) -> float:
        return float(F.cross_entropy(scale * z.flatten(0, 1), y.flatten()))

    scale = measure_difficulty([one]).scale
    grid = np.geomspace(1e-4, 1, 400)
    assert loss(scale) <= min(map(loss, grid)) + 1e-9
    assert 0.5 < scale * 40 / 1.5 < 2  # by Bayes, 1.5 of the logits before they were made 40 times as large


def test_the_unit_of_the_logits_does_not_matter() -> None:
    small, large = (measure_difficulty([random_block(scale)]) for scale in (1e-3, 1e3))
    np.testing.assert_allclose(small.uncertainty, large.uncertainty, rtol=1e-4)
    assert small.scale / large.scale == pytest.approx(1e6, rel=1e-3)


def test_labels_decide_nothing_but_the_scale() -> None:
    one = random_block()
    turned = block(one.logits[:, :, ::-1].copy(), 3 - one.drawn.query_y, list(range(30)))  # the same answers, other labels
    np.testing.assert_allclose(measure_difficulty([one]).uncertainty, measure_difficulty([turned]).uncertainty, rtol=1e-6)


def test_blocks_and_many_queries_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    one = random_block(B=60)
    halves = [Answers.of(one.drawn.rows(part), one.logits[part]) for part in (slice(30, 60), slice(0, 30))]
    np.testing.assert_allclose(measure_difficulty(halves).uncertainty, measure_difficulty([one]).uncertainty, rtol=1e-6)
    whole = measure_difficulty([one]).scale
    monkeypatch.setattr("kshot.results.inspect.difficulty._FITTED", 200)
    some = measure_difficulty([one]).scale
    assert some != whole
    assert some == pytest.approx(whole, rel=0.3)


@pytest.mark.parametrize("logits", [[0.0, 0, 0], [-np.inf, -np.inf, -np.inf], [np.nan, np.nan, np.nan], [np.inf, np.inf, np.inf]])
def test_a_learner_that_cannot_tell_is_wholly_unsure(logits: list[float]) -> None:
    found = measure_difficulty([block([[logits] * 3] * 2, [[0, 1, 2]] * 2, [0, 1])])
    np.testing.assert_allclose(found.uncertainty, 1)


def test_what_cannot_be_has_no_part_in_the_uncertainty() -> None:
    with_ruled_out = block([[[1.0, 0.5, -np.inf]] * 4], [[0, 0, 1, 2]], [0])  # the last one was ruled out, and fits no scale
    found = measure_difficulty([with_ruled_out])
    assert np.isfinite(found.scale)
    assert found.uncertainty[0] <= np.log(2) / np.log(3) + 1e-9
    assert measure_difficulty([block([[[np.inf, 0, 0]]], [[0]], [0])]).uncertainty[0] == 0


def test_all_right_is_sure_and_all_wrong_is_unsure() -> None:
    logits = np.eye(3)[None].repeat(2, 0) * 5
    sure = measure_difficulty([block(logits, [[0, 1, 2]] * 2, [0, 1])])
    assert np.isfinite(sure.scale)
    assert sure.uncertainty.max() < 1e-6
    wrong = measure_difficulty([block(logits, [[1, 2, 0]] * 2, [0, 1])])
    assert wrong.scale > 0
    assert wrong.uncertainty.min() > 1 - 1e-6
    assert fitted_scale([np.zeros((1, 2, 3))], [np.zeros((1, 2), int)]) == 1


def test_less_sure_episodes_have_more_mistakes(pictures: Make, protonet: Make, draw: Make) -> None:
    answers, results = answer_episodes(protonet(), draw(pictures(), EpisodeShape((2, 5), 1, 5), 80))
    found = measure_difficulty(answers)
    np.testing.assert_allclose(found.accuracy, results.scores)
    assert np.corrcoef(found.uncertainty, found.accuracy)[0, 1] < -0.2
