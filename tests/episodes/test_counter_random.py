"""SplitMix64 against its published outputs and against plain Python integers; what is made of its words is uniform."""

import hashlib
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kshot.episodes.counter_random import below, key_of, mix, streams, unit, words

PUBLISHED = [6457827717110365317, 3203168211198807973, 9817491932198370423, 4593380528125082431, 16408922859458223821]
"""The first outputs for seed 1234567, as other implementations of SplitMix64 list them."""

MASK = 2**64 - 1
word64 = st.integers(0, MASK)


def slow_output(seed: int, position: int) -> int:
    """Output `position` of SplitMix64, stepping its state from the start as the paper's Java code does."""
    state = seed
    for _ in range(position + 1):
        state = (state + 0x9E3779B97F4A7C15) & MASK
    z = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
    return z ^ (z >> 31)


def chi_square(counts: np.ndarray) -> float:
    expected = counts.sum() / counts.size
    return float(((counts - expected) ** 2 / expected).sum())


def too_uneven(counts: np.ndarray, freedom: int) -> bool:
    """Five standard deviations above the mean of the chi-square distribution."""
    return chi_square(counts) > freedom + 5 * (2 * freedom) ** 0.5


def test_published_outputs() -> None:
    assert words(np.array([1234567], dtype=np.uint64), 0, 5)[:, 0].tolist() == PUBLISHED
    assert streams(1234567, np.arange(5)).tolist() == PUBLISHED


@settings(derandomize=True)
@given(seed=word64, start=st.integers(0, 40), count=st.integers(0, 5))
def test_any_word_is_reached_directly(seed: int, start: int, count: int) -> None:
    found = words(np.array([seed, 0], dtype=np.uint64), start, count)
    assert found.dtype == np.uint64
    assert found.shape == (count, 2)
    assert found[:, 0].tolist() == [slow_output(seed, start + j) for j in range(count)]


@settings(derandomize=True)
@given(key=word64, number=st.integers(0, 100))
def test_a_stream_s_seed_is_an_output_of_the_key(key: int, number: int) -> None:
    assert int(streams(key, np.array([[number]]))[0, 0]) == slow_output(key, number)


def test_mix_leaves_its_argument_alone_and_is_one_to_one() -> None:
    state = np.arange(100_000, dtype=np.uint64)
    mixed = mix(state)
    assert (state == np.arange(100_000)).all()
    assert len(np.unique(mixed)) == 100_000


def test_a_key_is_the_hash_of_canonical_json() -> None:
    parts = {"seed": 3, "data": "ü", "shape": {"way": 5, "shot": [1, 5]}}
    text = '{"data":"\\u00fc","seed":3,"shape":{"shot":[1,5],"way":5}}'
    assert json.loads(text) == parts
    assert key_of(parts) == int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little")
    assert key_of(dict(reversed(parts.items()))) == key_of(parts)
    assert key_of({**parts, "seed": 4}) != key_of(parts)


def test_below_worked_by_hand() -> None:
    quarter = np.uint64(2**62)  # a quarter of the way through all words
    word = np.array([0, quarter, 2 * quarter, 3 * quarter, MASK], dtype=np.uint64)
    assert below(word, 4).tolist() == [0, 1, 2, 3, 3]
    assert below(word, 1).tolist() == [0] * 5
    assert below(word, np.array([1, 2, 3, 4, 2**32 - 1])).tolist() == [0, 0, 1, 3, 2**32 - 2]
    assert below(word, 4).dtype == np.int64


@pytest.mark.parametrize("bound", [2, 5, 20, 97])
def test_below_is_uniform(bound: int) -> None:
    drawn = below(words(streams(0, np.arange(1000)), 0, 200), bound)
    assert not too_uneven(np.bincount(drawn.reshape(-1), minlength=bound), bound - 1)


def test_neighbouring_streams_and_words_are_independent() -> None:
    drawn = below(words(streams(1, np.arange(1001)), 0, 201), 8)
    for first, second in ((drawn[:-1], drawn[1:]), (drawn[:, :-1], drawn[:, 1:])):
        assert not too_uneven(np.bincount((first * 8 + second).reshape(-1), minlength=64), 63)


def test_unit_is_in_the_half_open_interval_and_uniform() -> None:
    assert unit(np.array([0, MASK], dtype=np.uint64)).tolist() == [0.0, 1 - 2.0**-53]
    drawn = unit(words(streams(2, np.arange(1000)), 0, 100))
    assert drawn.dtype == np.float64
    assert not too_uneven(np.bincount((drawn * 50).astype(int).reshape(-1), minlength=50), 49)
