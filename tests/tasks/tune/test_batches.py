"""Batches: every example once per pass, the same ones for the same key, cheap ones together, and parts that fit into memory."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from kshot.tasks.tune.batches import batches_of_pass, parts_of


@given(st.lists(st.integers(1, 50), min_size=1, max_size=200), st.integers(1, 16))
def test_a_pass_holds_every_example_once(costs: list[int], batch: int) -> None:
    batches = batches_of_pass(np.array(costs), batch, 0, 1, 2)
    assert sorted(np.concatenate(batches).tolist()) == list(range(len(costs)))
    assert len(batches) == -(-len(costs) // batch)
    assert max(map(len, batches)) <= batch


def test_batches_are_a_function_of_their_key() -> None:
    costs = np.arange(40)
    same = [batches_of_pass(costs, 8, 0, 0, 0) for _ in range(2)]
    assert [one.tolist() for one in same[0]] == [one.tolist() for one in same[1]]
    other = {str([one.tolist() for one in batches_of_pass(costs, 8, *key)]) for key in ((0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1))}
    assert len(other) == 4


def test_examples_of_similar_cost_are_learned_together() -> None:
    batches = batches_of_pass(np.repeat([1, 100], 16), 8, 0, 0, 0)
    assert sorted(np.repeat([1, 100], 16)[one].tolist() for one in batches) == [[1] * 8] * 2 + [[100] * 8] * 2


def test_parts_by_hand() -> None:
    assert [part.tolist() for part in parts_of(np.array([3, 1, 2, 9]), 4)] == [[1, 2], [0], [3]]  # 1 + 2: 2 × 2; 9 alone is too much


@given(st.lists(st.integers(1, 20), min_size=1, max_size=60), st.integers(1, 60))
def test_parts_hold_every_example_once_and_fit(costs: list[int], most: int) -> None:
    known = np.array(costs)
    parts = parts_of(known, most)
    assert sorted(np.concatenate(parts).tolist()) == list(range(len(costs)))
    assert all(len(part) == 1 or len(part) * known[part].max() <= most for part in parts)
