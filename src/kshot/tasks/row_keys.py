"""Which vectors are equal: a whole number for each, the same for equal ones.

In: vectors. Out: numbers of 64 bits. Different vectors share one with a probability of about 2⁻⁶⁴, so two of a million do with about
3 · 10⁻⁸. A million keys need 8 MB, where a set of the vectors' bytes needs 200 MB.
"""

import numpy as np

_SEED = 20261128


def row_keys(vectors: np.ndarray) -> np.ndarray:
    """Return the keys of vectors, float32 (n, D) → uint64 (n,).

    The key is a sum over the features, modulo 2⁶⁴: the bits of each, times an odd number drawn for it with a fixed seed, with the upper
    half of the product mixed into the lower one.
    """
    bits = np.ascontiguousarray(vectors, dtype=np.float32).view(np.uint32)
    drawn = np.random.default_rng(_SEED).integers(0, 2**63, size=(vectors.shape[1],), dtype=np.uint64)
    factors: np.ndarray = drawn * np.uint64(2) + np.uint64(1)
    keys = np.zeros(len(vectors), dtype=np.uint64)
    for place in range(vectors.shape[1]):  # column by column: no second copy of all
        mixed = (bits[:, place].astype(np.uint64) + np.uint64(1)) * factors[place]
        keys += mixed ^ (mixed >> np.uint64(32))
    return keys
