import math

import numpy as np
import pytest

from kshot.results.score.interval import mean_and_interval


def test_a_case_worked_by_hand() -> None:
    # Mean 0.9; squared distances 0.01 + 0.01 + 0 + 0, over 3, is 1/150; 1.96 · √(1/150) / √4.
    mean, half = mean_and_interval(np.array([0.8, 1.0, 0.9, 0.9]))
    assert mean == pytest.approx(0.9)
    assert half == pytest.approx(0.98 / math.sqrt(150))


def test_equal_scores_have_no_interval() -> None:
    assert mean_and_interval(np.full(5, 0.5)) == (0.5, 0.0)


def test_a_single_score_has_none() -> None:
    assert mean_and_interval(np.array([0.7])) == (0.7, 0.0)


def test_it_holds_the_true_mean_95_times_in_100() -> None:
    random = np.random.default_rng(0)
    held = 0
    for scores in random.binomial(75, 0.9, (2000, 200)) / 75:
        mean, half = mean_and_interval(scores)
        held += abs(mean - 0.9) <= half
    assert 0.935 < held / 2000 < 0.965
