"""Spearman's correlation: by hand, with ties, and an interval that holds the truth as often as it says."""

import numpy as np
import pytest

from kshot.results.inspect.rank_correlation import rank_correlation


def test_by_hand() -> None:
    # Without ties ρ = 1 - 6 Σ d² / (n (n² - 1)): differences 0, 1, 1, 0, 0 give 1 - 12 / 120.
    found = rank_correlation(np.array([1.0, 2, 3, 4, 5]), np.array([10, 30, 20, 40, 1000]))
    assert found is not None
    assert found.rho == pytest.approx(0.9)
    assert found.n == 5
    half = 1.96 * ((1 + 0.81 / 2) / 2) ** 0.5
    assert found.interval == pytest.approx((np.tanh(np.arctanh(0.9) - half), np.tanh(np.arctanh(0.9) + half)))
    assert str(found) == "Spearman's ρ 0.90, 95 % interval -0.17 to 1.00, 5 classes"


def test_equal_values_share_their_rank() -> None:
    # Ranks 1.5, 1.5, 3, 4 and 1, 2, 3.5, 3.5: Pearson by NumPy on these.
    found = rank_correlation(np.array([7, 7, 8, 9]), np.array([0, 1, 5, 5]))
    assert found is not None
    assert found.rho == pytest.approx(np.corrcoef([1.5, 1.5, 3, 4], [1, 2, 3.5, 3.5])[0, 1])


def test_order_alone_counts() -> None:
    a = np.random.default_rng(0).normal(size=50)
    rising, falling = rank_correlation(a, np.exp(a)), rank_correlation(a, -(a**3))
    assert rising is not None
    assert falling is not None
    assert (rising.rho, rising.interval) == (1, (1, 1))
    assert (falling.rho, falling.interval) == (-1, (-1, -1))


def test_the_interval_holds_the_truth() -> None:
    random = np.random.default_rng(0)
    r = 0.5
    truth = 6 / np.pi * np.arcsin(r / 2)  # of two normal variables with correlation r
    held = 0
    for _ in range(400):
        a = random.normal(size=100)
        found = rank_correlation(a, r * a + (1 - r**2) ** 0.5 * random.normal(size=100))
        assert found is not None
        held += found.interval[0] <= truth <= found.interval[1]
    assert 0.92 < held / 400 < 0.98


@pytest.mark.parametrize(("a", "b"), [([1, 2, 3], [1, 2, 3]), ([1, 1, 1, 1], [1, 2, 3, 4]), ([], [])])
def test_nothing_can_be_said(a: list[float], b: list[float]) -> None:
    assert rank_correlation(np.array(a), np.array(b)) is None
