"""The prior over tables: numbers from raw words, every table a function of its number, classes by hand."""

import math

import numpy as np
import pytest

from kshot.data.tables.draws import Draws
from kshot.data.tables.prior import _mistaken, _rows_of_classes, _standard, draw_table


def test_uniform_numbers_are_the_words_of_philox() -> None:
    words = np.random.Philox(key=np.array([3, 7], dtype=np.uint64)).random_raw(4)
    assert Draws(3, 7).uniform(2, 2).ravel().tolist() == [int(word) // 2**11 / 2**53 for word in words]


def test_normal_numbers_are_box_and_mullers() -> None:
    radius, angle = Draws(0, 1).uniform(2, 2)
    length = [math.sqrt(-2 * math.log(1 - one)) for one in radius]
    expected = [r * f(2 * math.pi * a) for f in (math.cos, math.sin) for r, a in zip(length, angle, strict=True)]
    assert Draws(0, 1).normal(3).tolist() == pytest.approx(expected[:3])
    many = Draws(0, 2).normal(20_000)
    assert (many.mean(), many.std()) == (pytest.approx(0, abs=0.03), pytest.approx(1, abs=0.03))
    assert np.mean(np.abs(many) < 1.959964) == pytest.approx(0.95, abs=0.008)


def test_choices_are_in_their_ranges_and_all_of_them_happen() -> None:
    draws = Draws(1, 1)
    assert {draws.whole(2, 4) for _ in range(60)} == {2, 3, 4}
    assert {draws.place([1.0, 0.0, 2.0]) for _ in range(60)} == {0, 2}
    assert sorted(draws.order(9)) == list(range(9))
    assert all(0.1 <= draws.magnitude(0.1, 10) < 10 for _ in range(50))
    assert np.median([draws.magnitude(0.1, 10) for _ in range(500)]) == pytest.approx(1, rel=0.35)


@pytest.mark.slow
def test_a_table_is_a_function_of_seed_and_number() -> None:
    for number in range(40):
        table = draw_table(0, number, 2 + number % 9, 12)
        assert table.dtype == np.float32
        assert table.shape[:2] == (2 + number % 9, 12)
        assert 1 <= table.shape[2] <= 32
        assert np.isfinite(table).all()
        assert np.array_equal(table, draw_table(0, number, 2 + number % 9, 12))
    assert not np.array_equal(draw_table(0, 1, 3, 4).ravel()[:12], draw_table(0, 2, 3, 4).ravel()[:12])
    assert not np.array_equal(draw_table(0, 1, 3, 4).ravel()[:12], draw_table(1, 1, 3, 4).ravel()[:12])


@pytest.mark.slow
def test_the_classes_of_most_tables_can_be_told_apart() -> None:
    # The nearest mean of standardised features, from half the rows of two classes, on the other half: 0.5 where classes mean nothing.
    right = []
    for number in range(60):
        table = draw_table(5, number, 2, 24).astype(np.float64)
        table = _standard(table.reshape(48, -1)).reshape(2, 24, -1)
        means, asked = table[:, :12].mean(1), table[:, 12:]
        near = ((asked[:, :, None] - means) ** 2).sum(-1).argmin(-1)  # (2, 12)
        right.append(float((near == np.array([[0], [1]])).mean()))
    assert 0.65 < np.mean(right) < 0.95
    assert min(right) < 0.65  # and some are hard


def test_intervals_of_one_score_are_classes() -> None:
    scores = np.arange(20.0)[::-1].reshape(20, 1)
    rows = _rows_of_classes(Draws(0, 0), scores, 3, 4)
    assert rows.shape == (3, 4)
    assert len(np.unique(rows)) == 12
    values = scores[rows, 0]
    assert values[0].max() < values[1].min()
    assert values[1].max() < values[2].min()


def test_the_largest_score_is_the_class_and_a_rare_class_keeps_its_best_rows() -> None:
    # The third class is never the largest; rows 4 and 5 come nearest to it.
    scores = np.array([[5, 0, 0], [6, 0, 0], [0, 5, 0], [0, 6, 0], [1, 0, 0.9], [0, 1, 0.8], [7, 0, 0], [0, 7, 0]], dtype=float)
    rows = _rows_of_classes(Draws(0, 0), scores, 3, 2)
    assert sorted(rows[2].tolist()) == [4, 5]
    assert set(rows[0].tolist()) <= {0, 1, 6}
    assert set(rows[1].tolist()) <= {2, 3, 7}


def test_mistaken_rows_exchange_their_places() -> None:
    x = np.arange(200.0).reshape(100, 2)
    changed = [float((_mistaken(Draws(0, number), x.copy()) != x).any(1).mean()) for number in range(60)]
    assert 0 < np.mean([share > 0 for share in changed]) < 0.5
    assert max(changed) < 0.3
    one = next(_mistaken(Draws(0, number), x.copy()) for number, share in enumerate(changed) if share)
    assert sorted(one[:, 0].tolist()) == x[:, 0].tolist()


def test_a_constant_column_becomes_zeros() -> None:
    assert _standard(np.array([[3.0, 1.0], [3.0, 3.0]])).tolist() == [[0.0, -1.0], [0.0, 1.0]]
