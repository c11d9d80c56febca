"""Keys of vectors: equal for equal ones and for no others."""

import numpy as np

from kshot.tasks.row_keys import row_keys


def test_equal_vectors_and_no_others_have_one_key() -> None:
    rng = np.random.default_rng(0)
    x = rng.integers(0, 3, (20_000, 8)).astype(np.float32)  # 6,561 different vectors, most of them several times
    _, by_key = np.unique(row_keys(x), return_inverse=True)
    _, by_row = np.unique(x, axis=0, return_inverse=True)
    assert len(np.unique(by_row)) == len(np.unique(by_key)) > 5_000
    assert len(np.unique(by_row * 10_000 + by_key)) == len(np.unique(by_key))


def test_vectors_that_differ_in_one_bit_or_by_order_differ() -> None:
    x = np.random.default_rng(0).normal(size=(1000, 3)).astype(np.float32)
    near = np.nextafter(x, np.float32(9))
    assert not set(row_keys(x).tolist()) & (set(row_keys(near).tolist()) | set(row_keys(x[:, ::-1]).tolist()))
    assert row_keys(x[:, ::-1].copy()).tolist() == row_keys(x[:, ::-1]).tolist()
