"""Shift: distances by hand, kin left out, and a discrepancy that finds what differs and only that."""

import numpy as np
import pytest

from kshot.errors import DataError
from kshot.results.inspect import shift as module
from kshot.results.inspect.shift import Centres, discrepancy, kin_of, measure_shift


def centres(rows: object, kin: list[str] | None = None, name: str = "c") -> Centres:
    array = np.array(rows, dtype=np.float64)
    array = array[:, None] if array.ndim == 1 else array
    names = tuple(f"{name}{n}" for n in range(len(array)))
    return Centres(names, names if kin is None else tuple(kin), array)


def test_distances_by_hand() -> None:
    train, test = centres([0, 1, 3, 7], name="a"), centres([1.5, 20], name="b")
    found = measure_shift("features", train, {"test": test})
    assert found.space == "features"
    assert found.unit == 1.5  # the median of 1, 1, 2, 4
    np.testing.assert_allclose(found.nearest["train"], np.array([1, 1, 2, 4]) / 1.5)
    np.testing.assert_allclose(found.nearest["test"], np.array([0.5, 13]) / 1.5)
    assert found.median("train") == 1
    assert found.median("test") == pytest.approx(6.75 / 1.5)
    assert found.beyond("test") == 0.5
    assert found.names == {"train": train.names, "test": test.names}


def test_kin_are_left_out_on_both_sides() -> None:
    train = centres([0, 0.1, 2, 5], ["x", "x", "y", "z"])
    found = measure_shift("features", train, {"test": centres([0.1, 4.9], ["x", "w"])})
    np.testing.assert_allclose(found.nearest["train"] * found.unit, [2, 1.9, 1.9, 3])
    np.testing.assert_allclose(found.nearest["test"] * found.unit, [1.9, 0.1], atol=1e-9)  # not that of its own kin


@pytest.mark.slow
def test_many_classes_in_parts_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(0)
    train, test = centres(random.normal(size=(1100, 5))), centres(random.normal(size=(600, 5)), name="t")
    found = measure_shift("pixels", train, {"test": test}).nearest["test"]
    slow = np.sqrt(np.square(test.rows[:, None] - train.rows[None]).sum(2)).min(1)
    between = np.sqrt(np.square(train.rows[:, None] - train.rows[None]).sum(2)) + np.diag(np.full(1100, np.inf))
    np.testing.assert_allclose(found, slow / np.median(between.min(1)), rtol=1e-6)


def test_kin_share_a_name_beyond_their_group() -> None:
    names = ["Greek/character01/rot000", "Greek/character01/rot090", "Greek/character02", "fox", "a/b"]
    assert kin_of(names, ["Greek", "Greek", "Greek", "x", "z"]) == (
        "Greek/character01",
        "Greek/character01",
        "Greek/character02",
        "fox",
        "a/b",
    )
    assert kin_of(["pets/fox", "pets/owl"], ["pets", "pets"]) == ("pets/fox", "pets/owl")
    assert kin_of(["pets/fox", "pets/owl"], None) == ("pets/fox", "pets/owl")


def test_the_discrepancy_by_hand() -> None:
    # Points 0, 1 and 3: squared distances 1, 9, 4, whose median is 4 = σ²; mean k(x, x') = (1 + e^-1/8) / 2 and so on.
    found = discrepancy(centres([0, 1]), centres([3], name="b"), permutations=5)
    k = {1: np.exp(-1 / 8), 9: np.exp(-9 / 8), 4: np.exp(-4 / 8)}
    assert found.mmd2 == pytest.approx((1 + k[1]) / 2 + 1 - (k[9] + k[4]))


def test_the_discrepancy_finds_a_difference_and_only_a_difference() -> None:
    random = np.random.default_rng(0)
    p = []
    for _ in range(40):
        a = centres(random.normal(size=(80, 6)))
        same = discrepancy(a, centres(random.normal(size=(50, 6)), name="b"), permutations=99)
        p.append(same.p)
        assert 0 < same.mmd2 < 2
    assert 0.25 < np.mean(p) < 0.75
    moved = discrepancy(a, centres(random.normal(size=(50, 6)) + 0.7, name="b"), permutations=99)
    wider = discrepancy(a, centres(2 * random.normal(size=(50, 6)), name="b"), permutations=99)  # the same mean
    assert moved.p == wider.p == 0.01
    assert moved.mmd2 > 3 * moved.by_chance
    assert discrepancy(a, a, permutations=99).mmd2 == pytest.approx(0, abs=1e-12)


def test_kin_stay_together_in_every_division() -> None:
    # Five unrelated places on either side, each of twenty kin: divisions of single classes would find a difference almost always.
    found = []
    for trial in range(30):
        random = np.random.default_rng(trial)
        sides = []
        for name in "ab":
            kin = [f"{name}{n // 20}" for n in range(100)]
            sides.append(centres(np.repeat(random.normal(size=(5, 3)), 20, axis=0) + 0.01 * random.normal(size=(100, 3)), kin))
        found.append(discrepancy(*sides, permutations=49).p)
    assert np.mean(np.array(found) <= 0.05) < 0.2
    assert discrepancy(centres(sides[0].rows), centres(sides[1].rows, name="d"), permutations=49).p <= 0.05


def test_it_is_the_same_each_time_and_looks_at_some_of_many(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(0)
    a, b = centres(random.normal(size=(90, 3))), centres(random.normal(size=(60, 3)), name="b")
    assert discrepancy(a, b) == discrepancy(a, b)
    monkeypatch.setattr(module, "_MOST", 30)
    every_third = centres(a.rows[::3]), centres(b.rows[::2], name="b")
    assert discrepancy(a, b).mmd2 == pytest.approx(discrepancy(*every_third).mmd2)


@pytest.mark.parametrize(
    ("train", "message"),
    [
        (centres([1.0]), r"not copies of each other; found 1: c0"),
        (centres([1.0, 2.0], ["x", "x"]), r"not copies of each other; found 1: c0, c1"),
        (centres([1.0, 1.0, 1.0, 1.0, 2.0]), r"more than half of the 5 training classes share their centre with another"),
    ],
)
def test_training_classes_that_give_no_measure_are_refused(train: Centres, message: str) -> None:
    with pytest.raises(DataError, match=message):
        measure_shift("features", train, {"test": centres([3.0, 4.0], name="t")})
