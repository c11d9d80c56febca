"""Random numbers that depend on where they are used, not on what was drawn before.

SplitMix64 (Steele, Lea & Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014): output j of seed s is
mix(s + (j + 1) γ) with γ the golden ratio in 64 bits. Word j of a stream is therefore computed directly, for any number of
streams at once. This makes episode 17 the same in any batch, process or resumed run.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import numpy as np

_GAMMA = np.uint64(0x9E3779B97F4A7C15)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)
_27, _30, _31, _32 = (np.uint64(bits) for bits in (27, 30, 31, 32))


def key_of(parts: Mapping[str, Any]) -> int:
    """Return a 64-bit key: the first bytes of the SHA-256 of the parts, written as canonical JSON."""
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return int.from_bytes(hashlib.sha256(text.encode("ascii")).digest()[:8], "little")


def mix(state: np.ndarray) -> np.ndarray:
    """Apply the output function of SplitMix64 to each element; uint64 in, uint64 out (a new array)."""
    z = state ^ (state >> _30)
    z *= _MIX_1
    z ^= z >> _27
    z *= _MIX_2
    z ^= z >> _31
    mixed: np.ndarray = z
    return mixed


def streams(key: int, numbers: np.ndarray) -> np.ndarray:
    """Return one stream seed per number: the `number`-th output of the generator seeded with `key`.

    Args:
        key: 64 bits, from `key_of`.
        numbers: Which streams, int64 ≥ 0, any shape.

    Returns:
        Seeds, uint64, in the same shape. For one key they are all different, because both steps are one-to-one.
    """
    with np.errstate(over="ignore"):
        return mix(np.uint64(key) + (numbers.astype(np.uint64) + np.uint64(1)) * _GAMMA)


def words(seeds: np.ndarray, start: int, count: int) -> np.ndarray:
    """Return the words `start` … `start + count - 1` of each stream.

    Args:
        seeds: From `streams`, uint64, shape (M,).
        start: Position of the first word.
        count: Number of words per stream.

    Returns:
        uint64 (count, M), uniform over all 64-bit values.
    """
    positions = np.arange(start + 1, start + count + 1, dtype=np.uint64)
    with np.errstate(over="ignore"):
        return mix(seeds[None, :] + (positions * _GAMMA)[:, None])


def words_of_rows(seeds: np.ndarray, start: int, count: int) -> np.ndarray:
    """Return `words(seeds, start, count)` transposed, (M, count), each stream's words beside each other in memory."""
    positions = np.arange(start + 1, start + count + 1, dtype=np.uint64)
    with np.errstate(over="ignore"):
        return mix(seeds[:, None] + (positions * _GAMMA)[None, :])


def below(word: np.ndarray, bound: np.ndarray | int) -> np.ndarray:
    """Return uniform integers 0 … bound - 1 from the upper 32 bits of each word.

    The method is multiplication and shift. No value is more likely than another by more than bound / 2³².

    Args:
        word: uint64.
        bound: 1 … 2³² - 1, broadcast against `word`.

    Returns:
        int64 of the broadcast shape.
    """
    return (((word >> _32) * np.asarray(bound, dtype=np.uint64)) >> _32).astype(np.int64)


def unit(word: np.ndarray) -> np.ndarray:
    """Return uniform float64 numbers in [0, 1) with 53 random bits."""
    return (word >> np.uint64(11)).astype(np.float64) * 2.0**-53
