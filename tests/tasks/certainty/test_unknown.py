"""Familiarity: distances worked by hand, and against loops."""

import numpy as np
import pytest

from kshot.tasks.certainty.unknown import Surroundings, familiarity, scale_of
from kshot.tasks.heads.given import MOST

X = np.array([[0, 0], [2, 0], [0, 6], [0, 8]], np.float32)
Y = np.array([0, 0, 1, 1])


def test_nearness_by_hand() -> None:
    found = Surroundings(X, Y, 2).nearness(np.array([[1, 0], [0, 3], [0, 8]], np.float32))
    assert found.tolist() == [[0, -1], [-10, -9], [-1, 0]]  # class means (1, 0) and (0, 7)


def test_examples_do_not_meet_themselves() -> None:
    found = Surroundings(X, Y, 2).nearness_left_out()
    assert found.tolist() == [[-4, -4], [-4, -4], [-4, -4], [-4, -4]]
    alone = Surroundings(X[:3], Y[:3], 2).nearness_left_out()
    assert np.isnan(alone).all(1).tolist() == [False, False, True]
    assert Surroundings(X[:0], Y[:0], 2).nearness_left_out().shape == (0, 2)


def test_vectors_of_many_numbers_are_compared_by_direction() -> None:
    rng = np.random.default_rng(0)
    x, y, asked = rng.normal(size=(12, 20)).astype(np.float32), np.arange(12) % 3, rng.normal(size=(5, 20)).astype(np.float32)
    units, there = (rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (x, asked))
    for size in (1e-30, 1, 1e30):
        found = Surroundings(x * np.float32(size), y, 3).nearness(asked)
        for row, one in zip(found, there, strict=True):
            means = [units[y == label].mean(0) for label in range(3)]
            expected = [-min(((one - mean) ** 2).sum() for mean in means), -min(((one - unit) ** 2).sum() for unit in units)]
            np.testing.assert_allclose(row, expected, atol=1e-5)
    left_out = Surroundings(x, y, 3).nearness_left_out()
    for number in range(12):
        rest = np.arange(12) != number
        np.testing.assert_allclose(left_out[number], Surroundings(x[rest], y[rest], 3).nearness(x[number : number + 1])[0], atol=1e-5)


def test_of_very_many_examples_a_sample_is_met() -> None:
    x = np.random.default_rng(0).normal(size=(MOST + 500, 2)).astype(np.float32)
    assert Surroundings(x, np.arange(len(x)) % 2, 2).nearness_left_out().shape == (MOST, 2)


def test_familiarity_adds_what_is_measured_in_units_of_its_spread() -> None:
    measures = np.array([[0.0, 10, -1], [2, 10, -3]])
    scale = scale_of(measures)
    assert scale.tolist() == [[1, 10, -2], [1, 1, 1]]  # equal numbers have no spread
    assert familiarity(np.array([[3.0, 11, -2], [1, 10, 0]]), scale).tolist() == pytest.approx([2 + 1 + 0, 0 + 0 + 1])
