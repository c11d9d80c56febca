"""Thresholds among scores: worked by hand, and the promise itself, counted."""

import math
from fractions import Fraction
from itertools import permutations

import numpy as np
import pytest

from kshot.tasks.certainty.ranks import carried_on, carried_share, least_rate, needed, threshold


def test_by_hand() -> None:
    scores = np.arange(1.0, 20.0)  # 19 of them
    assert [threshold(scores, rate) for rate in (0.05, 0.09, 0.1, 0.5, 0.95)] == [1, 1, 2, 10, 19]
    assert threshold(scores, 0.049) == -math.inf
    assert threshold(np.empty(0), 0.5) == -math.inf
    assert threshold(np.arange(1.0, 30.0), 0.1) == 3  # not the rounded 2.9999… of 0.1 · 30
    assert least_rate(19) == 0.05
    assert [needed(rate) for rate in (0.05, 0.1, 0.3, 0.01)] == [19, 9, 3, 99]


@pytest.mark.parametrize("rate", [Fraction(1, 5), Fraction(1, 3), Fraction(1, 2)])
def test_over_all_orders_at_most_the_rate_lies_below(rate: Fraction) -> None:
    orders = list(permutations([0.1, 0.4, 0.4, 0.7, 0.9]))
    below = sum(new < threshold(np.sort(old), float(rate)) for *old, new in orders)
    assert Fraction(below, len(orders)) <= rate


def test_without_scores_of_fewer_examples_nothing_is_carried_on() -> None:
    scores = np.arange(1.0, 20.0)
    for rate in (0.02, 0.05, 0.1, 0.33, 0.5):
        assert carried_on(scores, np.empty(0), 5, rate) == threshold(scores, rate)
        assert carried_on(scores, scores, 5, rate) == threshold(scores, rate)  # nor where one example less changes nothing


def test_the_change_is_carried_on_by_hand() -> None:
    scores, fewer = np.arange(1.0, 20.0), np.arange(1.0, 20.0) - 2
    # k = 3: r = (1/2 - 1/3) / (1 - 1/2) = 1/3, and 2/3 of it is 2/9. Below 4: 4/20 of the scores, 6/20 of the others.
    assert carried_share(scores, fewer, 3, np.array([4.0]))[0] == pytest.approx(4 / 20 - 2 / 9 * 2 / 20)
    assert carried_on(scores, fewer, 3, 0.18) == 4
    assert threshold(scores, 0.18) == 3


def test_the_learning_curve_is_met() -> None:
    """Scores that grow as 1 / k falls: the plain threshold lies too low, the corrected one less."""
    rng = np.random.default_rng(0)
    drawn = {k: np.sort(rng.normal(size=40_000) - 4 / k) for k in (3, 4)}
    new = rng.normal(size=200_000) - 4 / 5
    plain, carried = threshold(drawn[4], 0.1), carried_on(drawn[4], drawn[3], 5, 0.1)
    assert (new < plain).mean() < 0.075
    assert 0.085 < (new < carried).mean() < 0.1
