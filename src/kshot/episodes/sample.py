"""Ordered samples without replacement, for many rows at once.

Every row gets `count` different numbers below its own size. Each ordered sample is equally likely. In: random words. Out: numbers.
"""

import numpy as np

from kshot.episodes.counter_random import below, words

_FEW = 24
"""Up to this many numbers per row are drawn one after another. For more, each candidate gets a random key and the smallest keys win."""


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
    return _smallest_keys(words(seeds, start, largest), count, sizes)


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


def _smallest_keys(keys: np.ndarray, count: int, sizes: np.ndarray) -> np.ndarray:
    # Each candidate has one random key. The candidates with the smallest keys, in key order, are a uniform ordered sample.
    # Candidates beyond a row's size get the largest key. Sorting is stable, so equal keys (chance 2⁻⁶⁴) still give one answer.
    candidates = np.arange(keys.shape[0])[:, None]
    keys = np.where(candidates < sizes[None, :], keys, np.uint64(2**64 - 1))
    return np.argsort(keys, axis=0, kind="stable")[:count]
