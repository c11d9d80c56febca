"""Thresholds among scores: worked by hand, and the promise itself, counted."""

import math
from fractions import Fraction
from itertools import permutations

import numpy as np
import pytest

from kshot.tasks.certainty.ranks import least_rate, threshold


def test_by_hand() -> None:
    scores = np.arange(1.0, 20.0)  # 19 of them
    assert [threshold(scores, rate) for rate in (0.05, 0.09, 0.1, 0.5, 0.95)] == [1, 1, 2, 10, 19]
    assert threshold(scores, 0.049) == -math.inf
    assert threshold(np.empty(0), 0.5) == -math.inf
    assert threshold(np.arange(1.0, 30.0), 0.1) == 3  # not the rounded 2.9999… of 0.1 · 30
    assert least_rate(19) == 0.05


@pytest.mark.parametrize("rate", [Fraction(1, 5), Fraction(1, 3), Fraction(1, 2)])
def test_over_all_orders_at_most_the_rate_lies_below(rate: Fraction) -> None:
    orders = list(permutations([0.1, 0.4, 0.4, 0.7, 0.9]))
    below = sum(new < threshold(np.sort(old), float(rate)) for *old, new in orders)
    assert Fraction(below, len(orders)) <= rate
