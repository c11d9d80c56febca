"""Exact intervals and tests of counts: cases by hand, an independent computation with fractions, and the cover of the interval."""

import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kshot.results.score.counts import clopper_pearson, fisher_exact


def tail(count: int, trials: int, rate: float) -> float:
    """The probability of `count` or more events, by exact fractions."""
    p = Fraction(rate)
    return float(sum((math.comb(trials, k) * p**k * (1 - p) ** (trials - k) for k in range(count, trials + 1)), Fraction(0)))


def test_no_event_of_some_trials_by_hand() -> None:
    # The upper end p fulfils (1 - p)^10 = 0.025.
    low, high = clopper_pearson(0, 10)
    assert low == 0.0
    assert high == pytest.approx(1 - 0.025**0.1, abs=1e-12)


def test_one_trial_by_hand() -> None:
    # P(at least 1 of 1) = p = 0.025 at the lower end.
    assert clopper_pearson(1, 1) == (pytest.approx(0.025, abs=1e-12), 1.0)


def test_half_of_two_trials_by_hand() -> None:
    # P(at least 1 of 2) = 1 - (1 - p)^2 = 0.1, and P(at most 1 of 2) = 1 - p^2 = 0.1.
    assert clopper_pearson(1, 2, level=0.8) == pytest.approx((1 - math.sqrt(0.9), math.sqrt(0.9)), abs=1e-12)


@pytest.mark.slow
@given(st.integers(1, 40).flatmap(lambda trials: st.tuples(st.integers(0, trials), st.just(trials))), st.sampled_from((0.5, 0.9, 0.95)))
def test_its_ends_have_the_tails_that_define_them(counted: tuple[int, int], level: float) -> None:
    count, trials = counted
    low, high = clopper_pearson(count, trials, level)
    assert 0 <= low <= count / trials <= high <= 1
    if count > 0:
        assert tail(count, trials, low) == pytest.approx((1 - level) / 2, abs=1e-9)
    if count < trials:
        assert 1 - tail(count + 1, trials, high) == pytest.approx((1 - level) / 2, abs=1e-9)


@pytest.mark.slow
@given(st.integers(1, 40).flatmap(lambda trials: st.tuples(st.integers(0, trials), st.just(trials))))
def test_misses_mirror_events(counted: tuple[int, int]) -> None:
    count, trials = counted
    low, high = clopper_pearson(count, trials)
    assert clopper_pearson(trials - count, trials) == pytest.approx((1 - high, 1 - low), abs=1e-9)


@pytest.mark.slow
def test_it_holds_the_true_rate_at_least_95_times_in_100() -> None:
    for rate in (0.01, 0.035, 0.3):
        held = 0.0
        for count in range(51):
            low, high = clopper_pearson(count, 50)
            held += math.comb(50, count) * rate**count * (1 - rate) ** (50 - count) * (low <= rate <= high)
        assert held >= 0.95


def test_lakes_seven_of_four_hundred() -> None:
    low, high = clopper_pearson(7, 400)
    assert (round(100 * low, 2), round(100 * high, 2)) == (0.71, 3.57)


def test_the_lady_tasting_tea() -> None:
    # Of 70 ways to choose 4 of 8 cups, 16 + 1 have 3 or 4 right, and as many 1 or 0: 34 in all.
    assert fisher_exact(3, 4, 1, 4) == pytest.approx(34 / 70)
    assert fisher_exact(4, 4, 0, 4) == pytest.approx(2 / 70)
    assert fisher_exact(2, 4, 2, 4) == 1.0


def test_groups_of_unequal_size_by_hand() -> None:
    # 2 events among 2 and 3 trials: 1, 6 and 3 of 10 divisions give the first group 2, 1 and 0 of them.
    assert fisher_exact(2, 2, 0, 3) == pytest.approx(0.1)
    assert fisher_exact(0, 2, 2, 3) == pytest.approx(0.4)
    assert fisher_exact(1, 2, 1, 3) == 1.0


@given(st.integers(0, 30), st.integers(0, 30))
def test_it_does_not_depend_on_the_order(first: int, second: int) -> None:
    assert fisher_exact(first, 30, second, 40) == pytest.approx(fisher_exact(second, 40, first, 30))


def test_lake_against_the_program_and_people() -> None:
    assert fisher_exact(7, 400, 13, 400) == pytest.approx(0.257, abs=5e-4)
    assert fisher_exact(7, 400, 18, 400) == pytest.approx(0.040, abs=5e-4)


@pytest.mark.parametrize(("count", "trials"), [(-1, 4), (5, 4), (0, 0)])
def test_counts_out_of_range_are_refused(count: int, trials: int) -> None:
    with pytest.raises(ValueError, match=rf"count is {count} of {trials} trials"):
        clopper_pearson(count, trials)
    with pytest.raises(ValueError, match=rf"count is {count} of {trials} trials"):
        fisher_exact(1, 2, count, trials)


@pytest.mark.parametrize("level", [0.0, 1.0, math.nan])
def test_a_level_out_of_range_is_refused(level: float) -> None:
    with pytest.raises(ValueError, match="level is"):
        clopper_pearson(1, 2, level)
