import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kshot.errors import RecipeError
from kshot.results.compare.paired import Difference, paired_difference, rank

SCORES = st.integers(1, 12).flatmap(
    lambda episodes: st.dictionaries(
        st.sampled_from("abcdef"),
        st.lists(st.integers(0, 64), min_size=episodes, max_size=episodes).map(lambda values: np.array(values) / 64),
        min_size=1,
    )
)
"""Multiples of 1/64, whose sums and differences are exact."""


def test_a_case_worked_by_hand() -> None:
    # Differences 0.2, 0.0, 0.1, 0.1: mean 0.1, squared distances 0.01 + 0.01 + 0 + 0 over 3; 1.96 · √(1/150) / √4.
    difference = paired_difference(np.array([0.9, 0.5, 0.8, 0.3]), np.array([0.7, 0.5, 0.7, 0.2]))
    assert difference.mean == pytest.approx(0.1)
    assert difference.interval == pytest.approx(0.98 / math.sqrt(150))
    assert difference.episodes == 4
    assert difference.differs  # 0.1 > 0.0800


def test_paired_is_narrower_than_apart() -> None:
    # Episodes spread from 0 to 1, yet the second learner is always 0.25 behind, give or take 1/64: no doubt which is better.
    first = np.linspace(0.25, 1, 40)
    second = first - 0.25 + np.where(np.arange(40) % 2, 1, -1) / 64
    difference = paired_difference(first, second)
    assert (difference.mean, difference.differs) == (pytest.approx(0.25), True)
    assert difference.interval == pytest.approx(1.96 / 64 / math.sqrt(39))  # s² = E/(E-1) · (1/64)²


@pytest.mark.parametrize(
    ("mean", "interval", "episodes", "differs"),
    [
        (0.1, 0.05, 100, True),
        (-0.1, 0.05, 100, True),
        (0.05, 0.05, 100, False),  # the interval's end is 0
        (0.0, 0.0, 100, False),
        (0.3, 0.0, 2, True),
        (0.3, 0.0, 1, False),  # one episode has no interval
    ],
)
def test_they_differ_when_the_interval_leaves_0_out(mean: float, interval: float, episodes: int, differs: bool) -> None:
    assert Difference(mean, interval, episodes).differs is differs


def test_the_order_is_by_means_then_names() -> None:
    scores = {"b": np.array([0.5, 0.5]), "c": np.array([1.0, 1.0]), "a": np.array([0.75, 0.25])}
    assert [one.name for one in rank(scores, higher_is_better=True)] == ["c", "a", "b"]
    assert [one.name for one in rank(scores, higher_is_better=False)] == ["a", "b", "c"]
    best, *others = rank(scores, higher_is_better=False)
    assert (best.difference.mean, best.difference.interval) == (0, 0)
    assert [one.difference.mean for one in others] == [0, 0.5]


@pytest.mark.slow
@given(SCORES, st.booleans(), st.randoms())
def test_the_order_of_the_learners_does_not_matter(scores: dict[str, np.ndarray], higher: bool, random: object) -> None:
    names = list(scores)
    random.shuffle(names)  # type: ignore[attr-defined]
    assert rank({name: scores[name] for name in names}, higher_is_better=higher) == rank(scores, higher_is_better=higher)


@pytest.mark.slow
@given(SCORES, st.booleans(), st.integers(-64, 64))
def test_a_constant_added_to_all_scores_changes_no_difference(scores: dict[str, np.ndarray], higher: bool, constant: int) -> None:
    before = rank(scores, higher_is_better=higher)
    after = rank({name: values + constant / 64 for name, values in scores.items()}, higher_is_better=higher)
    means = {name: float(values.mean()) for name, values in scores.items()}
    if len(set(means.values())) == len(means):  # of learners with equal means, rounding may choose
        assert [one.name for one in after] == [one.name for one in before]
    for one, other in zip(before, after, strict=True):
        assert other.mean == pytest.approx(one.mean + constant / 64)
        if other.name == one.name and before[0].name == after[0].name:
            assert other.difference == one.difference


@pytest.mark.slow
@given(SCORES, st.booleans())
def test_equal_learners_do_not_differ(scores: dict[str, np.ndarray], higher: bool) -> None:
    name = next(iter(scores))
    standings = rank({**scores, "twin": scores[name].copy()}, higher_is_better=higher)
    own, twin = (next(one for one in standings if one.name == wanted) for wanted in (name, "twin"))
    assert own.difference == twin.difference
    assert not rank({name: scores[name], "twin": scores[name].copy()}, higher_is_better=higher)[1].difference.differs


@pytest.mark.slow
@given(SCORES)
def test_the_best_is_ahead_of_all_and_sides_are_mirrored(scores: dict[str, np.ndarray]) -> None:
    for one in rank(scores, higher_is_better=True):
        assert one.difference.mean <= 1e-12
    for one in rank(scores, higher_is_better=False):
        assert one.difference.mean >= -1e-12
    first, second = next(iter(scores.values())), np.ones_like(next(iter(scores.values())))
    there, back = paired_difference(first, second), paired_difference(second, first)
    assert (there.mean, there.interval, there.differs) == (-back.mean, back.interval, back.differs)


def test_what_cannot_be_paired_is_refused() -> None:
    with pytest.raises(RecipeError, match=r"the scores of the same episodes; found shapes \(2,\) and \(3,\)"):
        paired_difference(np.zeros(2), np.zeros(3))
    with pytest.raises(RecipeError, match=r"found shapes \(0,\) and \(0,\)"):
        paired_difference(np.zeros(0), np.zeros(0))
    with pytest.raises(RecipeError, match=r"there are no learners to rank"):
        rank({}, higher_is_better=True)
