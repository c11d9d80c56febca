"""Doubtful labels and near-duplicates: by hand, planted mistakes, and what cannot be judged."""

import numpy as np
import pytest

import kshot.tasks.labels.doubt
from kshot.encoders.encoder import Provenance
from kshot.errors import DataError
from kshot.tasks.heads.feature_map import apply_map
from kshot.tasks.heads.table import head_named
from kshot.tasks.labels.doubt import doubts, parts_of
from kshot.tasks.labels.doubtful import DOUBT_COLUMNS, doubtful_rows
from kshot.tasks.model import EncoderFacts, Model


def model_of(x: np.ndarray, y: np.ndarray) -> Model:
    x, y = np.asarray(x, np.float32), np.asarray(y, np.int64)
    way = int(y.max()) + 1
    facts = EncoderFacts("drawn", "numbers", x.shape[1], "0" * 16, Provenance("MIT", "drawn here"))
    names = tuple(str(place + 1) for place in range(len(x)))
    return Model(facts, tuple(f"c{label}" for label in range(way)), "class_means", head_named("class_means").fit(x, y, way), x, y, names)


def crowds(way: int, shots: int, *, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    y = np.repeat(np.arange(way), shots)
    return (random.normal(0, 3, (way, 24))[y] + random.normal(0, 1, (way * shots, 24))).astype(np.float32), y


def test_the_score_is_the_margin_of_the_left_out_answers_and_the_nearest_examples() -> None:
    x, y = crowds(3, 4)
    model = model_of(x, y)
    found = {one.place: one for one in doubts(model).labels}
    answers = head_named("class_means").left_out(x, y, 3).log_probabilities
    z = apply_map(model.head.feature_map, model.head.arrays, x)
    for i in range(12):
        square = ((z - z[i]) ** 2).sum(1)
        own = min(square[j] for j in range(12) if j != i and y[j] == y[i])
        other = min(square[j] for j in range(12) if y[j] != y[i])
        most = max((k for k in range(3) if k != y[i]), key=lambda k, i=i: float(answers[i, k]))  # type: ignore[misc]
        expected = answers[i, most] - answers[i, y[i]] + 3 * np.log(own / other)
        assert found[i].doubt == pytest.approx(expected, rel=1e-3, abs=1e-3)
        assert (found[i].label, found[i].other) == (f"c{y[i]}", f"c{most}")
        assert found[i].probability == pytest.approx(np.exp(answers[i, y[i]]))
        assert square[found[i].nearest] == pytest.approx(other, rel=1e-4)


def test_planted_mistakes_come_first() -> None:
    x, y = crowds(6, 10)
    wrong = [3, 17, 41]
    swapped = y.copy()
    swapped[wrong] = (y[wrong] + 2) % 6
    found = doubts(model_of(x, swapped))
    assert {one.place for one in found.labels[:3]} == set(wrong)
    assert [one.other for one in sorted(found.labels[:3], key=lambda one: one.place)] == [f"c{label}" for label in y[wrong]]
    assert found.doubtful >= 3
    assert len(found.labels) == 60
    assert [one.doubt for one in found.labels] == sorted((one.doubt for one in found.labels), reverse=True)


def test_near_duplicates_those_of_two_classes_first() -> None:
    x, y = crowds(3, 6)
    x[2] = x[1] * 1.001
    x[7] = x[6]
    x[13] = x[0]  # another class
    found = doubts(model_of(x, y))
    assert [(one.first, one.second) for one in found.copies[:1]] == [(0, 13)]
    assert {(one.first, one.second) for one in found.copies[1:]} == {(6, 7), (1, 2)}
    assert [one.apart < 1e-4 for one in found.copies] == [True] * 3
    rows = list(doubtful_rows(model_of(x, y), found, 2))
    assert [row.kind for row in rows] == ["label", "label", "copies", "copies"]
    assert (rows[2].input, rows[2].label, rows[2].nearest, rows[2].other) == ("1", "c0", "14", "c2")
    assert rows[2].as_dict()["probability"] is None
    assert tuple(rows[0].as_dict()) == DOUBT_COLUMNS
    told = found.in_words(18)
    assert "3 pairs of examples are nearly the same." in told


def test_equal_examples_of_two_classes_are_doubted_and_finite() -> None:
    x, y = crowds(2, 5)
    x[5] = x[0]
    found = doubts(model_of(x, y))
    assert {one.place for one in found.labels[:2]} == {0, 5}
    assert all(np.isfinite(one.doubt) for one in found.labels)
    same = doubts(model_of(np.ones((6, 3)), [0, 0, 0, 1, 1, 1]))  # all alike: nothing can be said
    assert [one.doubt for one in same.labels] == pytest.approx([0] * 6)
    assert len(same.copies) == 15


def test_what_cannot_be_judged() -> None:
    x, y = crowds(3, 4)
    kept = np.array([0, 1, 2, 3, 4, 5, 6, 7, 8])  # one example of the last class
    found = doubts(model_of(x[kept], y[kept]))
    assert (len(found.labels), found.alone) == (8, 1)
    assert "1 of 9 examples cannot be judged: it is alone in its class." in found.in_words(9)
    with pytest.raises(DataError, match="no label can be judged: every class has one example"):
        doubts(model_of(x[[0, 4, 8]], y[[0, 4, 8]]))
    bare = model_of(x, y)
    bare = Model(bare.encoder, bare.classes, bare.head_name, bare.head, np.empty((0, 24), np.float32), np.empty(0, np.int64), ())
    with pytest.raises(DataError, match="the model has descriptions, and no examples"):
        doubts(bare)


def test_very_many_examples_are_judged_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = crowds(4, 60)
    swapped = y.copy()
    swapped[[5, 100]] = 3
    model = model_of(x, swapped)
    monkeypatch.setattr(kshot.tasks.labels.doubt, "MOST", 100)
    found = doubts(model)
    assert sorted(one.place for one in found.labels) == list(range(240))
    assert {one.place for one in found.labels[:2]} == {5, 100}
    parts = list(parts_of(swapped, 4))
    assert sorted(np.concatenate(parts).tolist()) == list(range(240))
    assert all(len(part) <= 100 for part in parts)
    assert all((np.bincount(swapped[part], minlength=4) >= 12).all() for part in parts)
    few = list(parts_of(np.repeat(np.arange(60), 4), 60))  # four examples of a class stay together
    assert all((np.bincount(np.repeat(np.arange(60), 4)[part]) % 4 == 0).all() for part in few)


def test_a_flood_of_copies_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kshot.tasks.labels.doubt, "MOST_COPIES", 7)
    x, y = crowds(2, 20)
    x[:18] = x[0]
    found = doubts(model_of(x, y))
    assert len(found.copies) == 7
    assert "7 or more pairs of examples are nearly the same." in found.in_words(40)
