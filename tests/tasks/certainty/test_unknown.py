"""Familiarity: cosines worked by hand."""

import numpy as np
import pytest

from kshot.tasks.certainty.unknown import Neighbours
from kshot.tasks.heads.class_means import ClassMeans
from kshot.tasks.heads.given import MOST

X = np.array([[1, 0], [2, 0.1], [0, 1], [0.1, 3]], np.float32)
Y = np.array([0, 0, 1, 1])


def neighbours(x: np.ndarray = X, y: np.ndarray = Y) -> Neighbours:
    return Neighbours(ClassMeans(feature_maps=("unit length",)).fit(X, Y, 2), x, y, 2)


def cosine(one: np.ndarray, other: np.ndarray) -> float:
    return float(one @ other / np.linalg.norm(one) / np.linalg.norm(other))


def test_by_hand() -> None:
    asked = np.array([[3, 0], [1, 1], [-1, -1], [0, 0]], np.float32)
    found = neighbours().familiarity(asked)
    expected = [1, cosine(asked[1], X[1]), cosine(asked[2], X[2]), 0]
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_examples_do_not_meet_themselves() -> None:
    np.testing.assert_allclose(neighbours().to_each_other(), [cosine(X[0], X[1])] * 2 + [cosine(X[2], X[3])] * 2, atol=1e-6)
    assert neighbours(X[:1], Y[:1]).to_each_other().shape == (0,)


def test_of_very_many_examples_a_sample_is_met() -> None:
    x = np.random.default_rng(0).normal(size=(MOST + 500, 2)).astype(np.float32)
    y = np.arange(len(x)) % 2
    assert neighbours(x, y).to_each_other().shape == (MOST,)


@pytest.mark.parametrize("size", [1e-30, 1e30])
def test_lengths_do_not_matter(size: float) -> None:
    np.testing.assert_allclose(neighbours().familiarity(X * np.float32(size)), 1, atol=1e-5)
