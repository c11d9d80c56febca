"""Calibration: bins and errors worked by hand."""

import math

import numpy as np
import pytest

from kshot.tasks.certainty.calibration import calibration_error, reliability, risk_by_coverage

ANSWERS = np.log([[0.9, 0.1], [0.8, 0.2], [0.4, 0.6], [0.45, 0.55]])
TRUTH = np.array([0, 1, 1, 0])


def test_bins_by_hand() -> None:
    low, high = reliability(ANSWERS, TRUTH, bins=4)  # 0.5 … 0.75 and 0.75 … 1
    assert (low.things, high.things) == (2, 2)
    assert low[1:] == pytest.approx((0.575, 0.5))
    assert high[1:] == pytest.approx((0.85, 0.5))
    assert calibration_error(ANSWERS, TRUTH, bins=4) == pytest.approx((2 * 0.075 + 2 * 0.35) / 4)


def test_probabilities_that_are_right_have_no_error_and_certain_ones_are_counted() -> None:
    assert calibration_error(np.log([[0.75, 0.25]] * 4), np.array([0, 0, 0, 1])) == pytest.approx(0)
    certain = np.array([[0.0, -math.inf]] * 2)
    assert calibration_error(certain, np.array([0, 1])) == pytest.approx(0.5)
    assert math.isnan(calibration_error(np.empty((0, 2)), np.empty(0, np.int64)))


def test_risk_of_the_surest_by_hand() -> None:
    assert risk_by_coverage(ANSWERS, TRUTH).tolist() == pytest.approx([0, 1 / 2, 1 / 3, 2 / 4])
    assert risk_by_coverage(np.empty((0, 2)), np.empty(0, np.int64)).shape == (0,)
