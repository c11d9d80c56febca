"""Ordered samples without replacement: a case by hand, two slow versions, uniformity, and independence of the company."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kshot.episodes.counter_random import streams, words, words_of_rows
from kshot.episodes.sample import _smallest_of_few, sample_without_replacement

FEW = 24  # up to this many, numbers are drawn one after another; beyond, by sorting keys


def slow_one_after_another(word: list[int], count: int, size: int) -> list[int]:
    left = list(range(size))
    return [left.pop(((word[i] >> 32) * len(left)) >> 32) for i in range(count)]


def slow_smallest_keys(word: list[int], count: int, size: int) -> list[int]:
    return [candidate for _, candidate in sorted((word[candidate], candidate) for candidate in range(size))][:count]


def test_one_case_worked_by_hand() -> None:
    # The published words of seed 1234567 begin with 0.350..., 0.173..., 0.532... as fractions of 2⁶⁴. Of five numbers the
    # first is floor(0.350 · 5) = 1; of the four left (0 2 3 4) the next is floor(0.173 · 4) = the 0th, 0; of (2 3 4) the
    # next is floor(0.532 · 3) = the 1st, 3.
    found = sample_without_replacement(np.array([1234567], dtype=np.uint64), 0, 3, np.array([5]), 5)
    assert found[:, 0].tolist() == [1, 0, 3]


@pytest.mark.slow
@settings(derandomize=True)
@given(
    key=st.integers(0, 2**64 - 1),
    start=st.integers(0, 10),
    count=st.integers(1, 40),
    extra=st.lists(st.integers(0, 200), min_size=1, max_size=6),
)
def test_equals_the_slow_version_for_rows_of_different_sizes(key: int, start: int, count: int, extra: list[int]) -> None:
    seeds = streams(key, np.arange(len(extra)))
    sizes = np.array([count + more for more in extra])
    largest = int(sizes.max())
    found = sample_without_replacement(seeds, start, count, sizes, largest)
    assert found.dtype == np.int64
    assert found.shape == (count, len(extra))
    slow = slow_one_after_another if count <= FEW else slow_smallest_keys
    needed = count if count <= FEW else largest
    for row, size in enumerate(sizes.tolist()):
        word = words(seeds[row : row + 1], start, needed)[:, 0].tolist()
        assert found[:, row].tolist() == slow(word, count, size)


@pytest.mark.parametrize("passing", [30, 3])
def test_keys_below_a_limit_give_the_same_sample_even_if_too_few_are_below(passing: int) -> None:
    keys = words_of_rows(streams(5, np.arange(4)), 0, 100)
    beyond = np.arange(100) >= np.array([100, 60, 99, 31])[:, None]
    limits = np.sort(keys, axis=1)[:, passing]  # of row 3, some of those below are beyond its size
    expected = np.argsort(np.where(beyond, np.uint64(2**64 - 1), keys), axis=1)[:, :25]
    assert (_smallest_of_few(keys, beyond, 25, limits) == expected).all()


@pytest.mark.parametrize("size", [127, 128, 255, 256, 32_767, 32_768])
def test_the_compact_integers_inside_never_overflow(size: int) -> None:
    seeds = streams(7, np.arange(200))
    found = sample_without_replacement(seeds, 0, FEW, np.full(200, size), size)
    for row in range(0, 200, 40):
        word = words(seeds[row : row + 1], 0, FEW)[:, 0].tolist()
        assert found[:, row].tolist() == slow_one_after_another(word, FEW, size)
    assert found.min() >= 0
    assert found.max() < size


@pytest.mark.parametrize("count", [1, 5, FEW, FEW + 1, 60])
def test_a_whole_row_is_a_permutation(count: int) -> None:
    found = sample_without_replacement(streams(3, np.arange(50)), 2, count, np.full(50, count), count)
    assert (np.sort(found, axis=0) == np.arange(count)[:, None]).all()


@pytest.mark.parametrize(("count", "size"), [(2, 6), (25, 27)])
def test_every_ordered_pair_is_equally_likely(count: int, size: int) -> None:
    M = 30_000
    found = sample_without_replacement(streams(11, np.arange(M)), 0, count, np.full(M, size), size)
    pairs = list(itertools.permutations(range(size), 2))
    for one, two in ((0, 1), (count - 2, count - 1)):
        counts = np.bincount(found[one] * size + found[two], minlength=size * size)
        seen = np.array([counts[a * size + b] for a, b in pairs])
        assert seen.sum() == M  # no number twice
        expected, freedom = M / len(pairs), len(pairs) - 1
        assert ((seen - expected) ** 2 / expected).sum() < freedom + 5 * (2 * freedom) ** 0.5


@pytest.mark.parametrize("count", [4, 30])
def test_a_row_s_answer_does_not_depend_on_the_other_rows(count: int) -> None:
    seeds, sizes = streams(5, np.arange(20)), np.arange(30, 50)
    together = sample_without_replacement(seeds, 0, count, sizes, 60)
    for row in range(20):
        alone = sample_without_replacement(seeds[row : row + 1], 0, count, sizes[row : row + 1], 60)
        assert (together[:, row] == alone[:, 0]).all()
