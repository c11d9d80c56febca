"""Blocks of examples that are left out together: by hand, and for every kind of counts."""

import numpy as np
import pytest

from kshot.tasks.heads.blocks import LEAVE_ONE_OUT, MOST_OF_A_CLASS, Blocks, blocks_of


def listed(blocks: Blocks) -> list[list[int]]:
    return [block.tolist() for group in blocks.groups for block in group]


def vectors(n: int) -> np.ndarray:
    return np.arange(n, dtype=np.float32)[:, None]


def test_a_block_has_one_example_of_every_class() -> None:
    y = np.array([1, 0, 0, 2, 1, 2, 0])
    found = listed(blocks_of(vectors(7), y, 3))
    assert [sorted(y[block]) for block in found] == [[0, 1, 2], [0, 1, 2], [0]]


def test_the_only_example_of_a_class_stays() -> None:
    y = np.array([0, 0, 1, 1, 2])
    found = listed(blocks_of(vectors(5), y, 3))
    assert sorted(row for block in found for row in block) == [0, 1, 2, 3]
    assert [sorted(y[block]) for block in found] == [[0, 1], [0, 1]]
    known = np.array([False, False, True])
    assert listed(blocks_of(vectors(5), y, 3, known=known)) == [[0], [1], [2], [3], [4]]
    assert listed(blocks_of(vectors(3), np.arange(3), 3)) == []


def test_descriptions_are_never_left_out() -> None:
    found = listed(blocks_of(vectors(6), np.array([0, 1, 0, 1, 1, 0]), 2, anchors=2))
    assert sorted(row for block in found for row in block) == [0, 1, 2, 3]
    assert [len(block) for block in found] == [2, 2]
    assert listed(blocks_of(vectors(4), np.array([0, 1, 0, 1]), 2, anchors=2)) == [[0], [1]], "one example per class: one by one"


@pytest.mark.parametrize("counts", [(2, 5), (MOST_OF_A_CLASS + 1, MOST_OF_A_CLASS + 1)])
def test_unequal_or_many_examples_are_left_out_one_by_one(counts: tuple[int, int]) -> None:
    found = blocks_of(vectors(sum(counts)), np.repeat([0, 1], counts), 2)
    assert found.how == LEAVE_ONE_OUT
    assert listed(found) == [[row] for row in range(sum(counts))]


def test_every_example_is_left_out_once_and_in_any_sequence_alike() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        y = np.repeat(np.arange(5), rng.integers(3, 7, 5))
        x = rng.normal(size=(len(y), 3)).astype(np.float32)
        found = blocks_of(x, y, 5)
        assert sorted(found.rows().tolist()) == list(range(len(y)))
        assert all(len(set(y[block])) == len(block) for block in listed(found))
        order = rng.permutation(len(y))
        shuffled = listed(blocks_of(x[order], y[order], 5))
        assert sorted(sorted(order[block].tolist()) for block in shuffled) == sorted(map(sorted, listed(found)))
