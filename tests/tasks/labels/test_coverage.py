"""Greedy coverage: by hand, against every choice there is, and what it never does."""

import itertools

import numpy as np
import pytest

from kshot.tasks.labels.coverage import cover


def column(*values: float) -> np.ndarray:
    return np.array(values, np.float32)[:, None]


def test_a_choice_by_hand() -> None:
    # Squared distances to the known thing, 0: 1, 1, 9; h is their mean, 11/3.
    near, far, between = np.exp(-3 / 11), np.exp(-27 / 11), np.exp(-12 / 11)
    total = 2 * (1 - near) + 1 - far
    assert 1 - far > (1 - near) + (between - far)  # 3 covers itself alone, which is more than 1 covers of itself and of 3
    found = cover(column(1, -1, 3), column(0), np.ones(3), 3)
    assert [one.place for one in found] == [2, 0, 1]
    assert [one.gain for one in found] == pytest.approx([(1 - far) / total, (1 - near) / total, (1 - near) / total], rel=1e-5)
    assert [one.place for one in cover(column(1, -1, 3), column(0), np.array([1.0, 4, 1]), 1)] == [1]


def value(z: np.ndarray, known: np.ndarray, weights: np.ndarray, chosen: tuple[int, ...]) -> float:
    """F of a choice, from its definition."""
    square = ((z[:, None] - z[None]) ** 2).sum(2)
    nearest = ((z[:, None] - known[None]) ** 2).sum(2).min(1)
    h = nearest.mean()
    covered = np.exp(-np.minimum(nearest, square[:, list(chosen)].min(1, initial=np.inf)) / h)
    return float(weights @ covered)


def test_each_step_adds_the_most_and_the_whole_reaches_its_guarantee() -> None:
    for seed in range(5):
        random = np.random.default_rng(seed)
        z, known, weights = random.normal(size=(9, 3)).astype(np.float32), random.normal(size=(2, 3)).astype(np.float32), random.random(9)
        found = cover(z, known, weights, 4)
        places = tuple(one.place for one in found)
        bare = value(z, known, weights, ())
        for step in range(4):
            chosen = places[:step]
            best = max(range(9), key=lambda one, chosen=chosen: value(z, known, weights, (*chosen, one)))  # type: ignore[misc]
            assert places[step] == best
            added = value(z, known, weights, (*chosen, best)) - value(z, known, weights, chosen)
            assert found[step].gain == pytest.approx(added / (weights.sum() - bare), rel=1e-3)
        most = max(value(z, known, weights, some) for some in itertools.combinations(range(9), 4))
        assert value(z, known, weights, places) - bare >= (1 - 1 / np.e) * (most - bare)


def test_gains_fall_and_fewer_are_the_beginning_of_more() -> None:
    random = np.random.default_rng(0)
    z, known, weights = random.normal(size=(300, 4)).astype(np.float32), random.normal(size=(5, 4)).astype(np.float32), random.random(300)
    found = cover(z, known, weights, 40)
    gains = [one.gain for one in found]
    assert gains == sorted(gains, reverse=True)
    assert len({one.place for one in found}) == 40
    assert cover(z, known, weights, 10) == found[:10]
    assert [one.place for one in cover(z * 1000, known * 1000, weights, 10)] == [one.place for one in found[:10]]  # no unit matters


def test_typical_things_come_first_and_no_two_are_alike() -> None:
    random = np.random.default_rng(1)
    crowd = random.normal(5, 0.1, (50, 2))
    other, outlier = random.normal(-5, 0.1, (30, 2)), [[20.0, -20.0]]
    z = np.concatenate([crowd, other, outlier]).astype(np.float32)
    found = [one.place for one in cover(z, np.zeros((1, 2), np.float32), np.ones(81), 3)]
    assert [0 <= found[0] < 50, 50 <= found[1] < 80, found[2] == 80] == [True] * 3


def test_what_is_covered_is_not_chosen_again() -> None:
    same = np.ones((7, 3), np.float32)
    assert [one.place for one in cover(same, np.zeros((1, 3), np.float32), np.ones(7), 5)] == [0]
    assert len(cover(same, np.empty((0, 3), np.float32), np.ones(7), 5)) == 1
    assert cover(same, same[:1], np.ones(7), 5) == []
    assert cover(np.empty((0, 3), np.float32), same, np.empty(0), 5) == []
    assert cover(same + 1e-7 * np.arange(7, dtype=np.float32)[:, None], same[:1], np.ones(7), 5) == []  # rounding is no difference
