"""The estimate: counted by hand, with its interval, and silent where nothing can be known."""

import json

import numpy as np
import pytest

from kshot.errors import DataError
from kshot.tasks.estimate import estimate, estimate_from_dict, score
from kshot.tasks.heads.head import LeftOut


def left_out(probabilities: list[list[float]], scored: list[bool]) -> LeftOut:
    rows = np.flatnonzero(scored)
    empty = np.empty((len(rows), 1))
    return LeftOut(np.log(probabilities), np.array(scored), "leave-one-out", rows, empty, empty.astype(bool), 0)


def test_counts_by_hand() -> None:
    found = estimate(
        left_out([[0.7, 0.2, 0.1], [0.2, 0.7, 0.1], [0.1, 0.8, 0.1], [0.3, 0.3, 0.4]], [True, True, True, False]), np.array([0, 0, 1, 2]), 3
    )
    assert found.confusion.tolist() == [[1, 1, 0], [0, 1, 0], [0, 0, 0]]
    assert (found.examples, found.accuracy) == (3, 2 / 3)
    assert found.unscored.tolist() == [0, 0, 1]
    np.testing.assert_allclose(found.log_likelihood, np.log([0.7, 0.2, 0.8]).mean())
    np.testing.assert_allclose(found.class_accuracy, [0.5, 1.0, np.nan])
    # Wilson: p = 2/3, n = 3, z = 1.96: centre (p + z²/6) / (1 + z²/3) = 0.5730, half 0.3653
    np.testing.assert_allclose(found.interval, (0.2077, 0.9385), atol=1e-3)
    assert found.class_intervals[2].tolist() == [0.0, 1.0]
    assert found.most_confused() == [(0, 1, 1)]
    assert "66.7 % of 3 examples" in str(found)
    assert "1 class has one example" in str(found)


def test_one_example_per_class_gives_no_estimate() -> None:
    found = estimate(left_out([[0.6, 0.4], [0.4, 0.6]], [False, False]), np.array([0, 1]), 2)
    assert np.isnan(found.accuracy)
    assert found.interval == (0.0, 1.0)
    assert "No estimate: no class has two examples" in str(found)
    assert found.as_dict()["accuracy"] is None


def test_a_record_gives_the_estimate_back() -> None:
    for scored in ([True] * 3, [False] * 3):
        first = estimate(left_out([[0.7, 0.3], [0.2, 0.8], [0.6, 0.4]], scored), np.array([0, 1, 1]), 2)
        text = json.dumps(first.as_dict(), allow_nan=False)
        second = estimate_from_dict(json.loads(text))
        assert second.as_dict() == first.as_dict()
        assert str(second) == str(first)
        np.testing.assert_array_equal(second.confusion, first.confusion)


def test_labelled_data_is_scored() -> None:
    found = score(np.log([[0.9, 0.1], [0.8, 0.2]]), np.array([0, 1]), 2)
    assert (found.accuracy, found.how, found.examples) == (0.5, "labelled data", 2)
    with pytest.raises(DataError, match=r"needs answers \(M, 2\) with one label each; found \(2, 2\) and 1 labels"):
        score(np.log([[0.9, 0.1], [0.8, 0.2]]), np.array([0]), 2)
    with pytest.raises(DataError, match="0 labels"):
        score(np.empty((0, 2)), np.empty(0, dtype=np.int64), 2)


def test_the_interval_holds_the_rate_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    held = 0
    for _ in range(400):
        right = rng.random(50) < 0.8
        found = score(np.log(np.where(right[:, None], [0.9, 0.1], [0.1, 0.9])), np.zeros(50, dtype=np.int64), 2)
        held += found.interval[0] <= 0.8 <= found.interval[1]
    assert 0.92 < held / 400 < 0.99
