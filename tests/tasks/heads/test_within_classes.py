"""What has the sum 0 over every class: the basis is orthonormal, and its products are those of the full matrix."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from kshot.tasks.heads.discriminant import WithinClasses


@given(st.lists(st.integers(0, 5), min_size=1, max_size=5).filter(lambda counts: max(counts) > 1), st.integers(0, 9))
@settings(max_examples=50, deadline=None)
def test_it_is_an_orthonormal_basis(sizes: list[int], seed: int) -> None:
    rng, counts = np.random.default_rng(seed), np.array(sizes)
    labels = rng.permutation(np.repeat(np.arange(len(counts)), counts))
    within = WithinClasses(labels, counts)
    basis = within.of(np.eye(len(labels)))  # H itself
    assert basis.shape[1] == len(labels) - (counts > 0).sum()
    np.testing.assert_allclose(basis.T @ basis, np.eye(basis.shape[1]), atol=1e-12)
    np.testing.assert_allclose(np.eye(len(counts))[labels].T @ basis, 0, atol=1e-12)
    columns = rng.normal(size=(basis.shape[1], 3))
    np.testing.assert_allclose(within.spread(columns), basis @ columns, atol=1e-12)


def test_a_class_of_three_by_hand() -> None:
    np.testing.assert_allclose(WithinClasses(np.zeros(3, int), np.array([3])).of(np.eye(3)) * np.sqrt([2, 6]), [[1, 1], [-1, 1], [0, -2]])
