"""Ordered samples without replacement, for many rows at once.

Every row gets `count` different numbers below its own size. Each ordered sample is equally likely. In: random words. Out: numbers.
"""

import numpy as np

from kshot.episodes.counter_random import below, words, words_of_rows

_FEW = 24
"""Up to this many numbers per row are drawn one after another. For more, each candidate gets a random key and the smallest keys win."""
_IN_CACHE = 2**15
"""The number of keys made at a time."""
_LAST = np.uint64(2**64 - 1)
"""A key after all others."""


def sample_without_replacement(seeds: np.ndarray, start: int, count: int, sizes: np.ndarray, largest: int) -> np.ndarray:
    """Draw an ordered sample for each row.

    Args:
        seeds: The random stream of each row, uint64 (M,).
        start: The first word of the stream to use. The function uses `count` words, or `largest` words if `count` is above 24.
        count: Number of numbers to draw, at most the smallest size.
        sizes: Row m draws from 0 … sizes[m] - 1, int64 (M,).
        largest: An upper bound of all sizes that does not depend on which rows are drawn together, so that a row's sample does not
            depend on it either.

    Returns:
        int64 (count, M): column m is the ordered sample of row m.
    """
    if count <= _FEW:
        return _one_after_another(words(seeds, start, count), sizes, largest)
    return _smallest_keys(seeds, start, count, sizes, largest)


def _one_after_another(word: np.ndarray, sizes: np.ndarray, largest: int) -> np.ndarray:
    # The i-th number is a rank among the candidates that are not taken yet. A walk upwards over the taken ones turns the rank into a
    # number: each taken number at or below it pushes it up by one. The new number is passed along, which keeps the taken ones sorted.
    kind = np.uint8 if largest <= 127 else np.int16 if largest < 2**15 else np.int32 if largest < 2**31 else np.int64
    count, rows = word.shape
    drawn = np.empty((count, rows), dtype=kind)
    taken = np.empty((count, rows), dtype=kind)
    for i in range(count):
        number = below(word[i], sizes - i).astype(kind)
        for j in range(i):
            np.add(number, number >= taken[j], out=number)
        drawn[i] = number
        carried = number
        for j in range(i):
            smaller = np.minimum(taken[j], carried)
            carried = np.maximum(taken[j], carried)
            taken[j] = smaller
        taken[i] = carried
    return drawn.astype(np.int64)


def _smallest_keys(seeds: np.ndarray, start: int, count: int, sizes: np.ndarray, largest: int) -> np.ndarray:
    # Each candidate has one random key. The candidates with the smallest keys, in key order, are a uniform ordered sample. Only keys below
    # a limit are sorted. It lets `count` + 5 √count keys pass on average. Rows where it lets too few pass, one in 10⁴, are sorted whole.
    # Sorting is stable, so equal keys (chance 2⁻⁶⁴) still give one answer.
    expected = count + 5 * count**0.5
    limits = (np.minimum(expected / sizes, 1) * (2.0**64 - 2.0**12)).astype(np.uint64)  # 2¹² is the step of float64 there
    drawn = np.empty((len(seeds), count), dtype=np.int64)
    rows = max(1, _IN_CACHE // largest)
    for first in range(0, len(seeds), rows):
        part = slice(first, first + rows)
        keys = words_of_rows(seeds[part], start, largest)
        beyond = np.arange(largest) >= sizes[part, None]
        drawn[part] = _smallest_of_few(keys, beyond, count, limits[part]) if 2 * expected < largest else _smallest(keys, beyond, count)
    return np.ascontiguousarray(drawn.T)


def _smallest(keys: np.ndarray, beyond: np.ndarray, count: int) -> np.ndarray:
    """Return the candidates of the `count` smallest keys of each row, in key order, int64 (rows, count)."""
    return np.argsort(np.where(beyond, _LAST, keys), axis=1, kind="stable")[:, :count]


def _smallest_of_few(keys: np.ndarray, beyond: np.ndarray, count: int, limits: np.ndarray) -> np.ndarray:
    """Return what `_smallest` returns, by sorting only keys below each row's limit."""
    passing = keys < limits[:, None]
    passing &= ~beyond
    number = np.count_nonzero(passing, axis=1)
    if number.min() < count:
        return _smallest(keys, beyond, count)
    row, candidate = np.divmod(np.flatnonzero(passing), keys.shape[1])
    place = np.arange(len(row)) - np.repeat(np.cumsum(number) - number, number)
    few, which = np.full((len(keys), number.max()), _LAST), np.zeros((len(keys), number.max()), dtype=np.int64)
    few[row, place], which[row, place] = keys[row, candidate], candidate
    return np.take_along_axis(which, np.argsort(few, axis=1, kind="stable")[:, :count], axis=1)
