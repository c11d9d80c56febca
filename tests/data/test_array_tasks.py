"""Arrays of items with real targets, one group a task."""

import numpy as np
import pytest
import torch

from kshot.data.array_tasks import ArrayTasks
from kshot.data.arrays import ArrayDataset
from kshot.data.target_dataset import TargetDataset, has_targets
from kshot.errors import DataError

X = np.arange(8, dtype=np.float32).reshape(4, 2)
WHO = ["bob", "ann", "bob", "ann"]


def test_items_targets_and_groups_by_hand() -> None:
    data = ArrayTasks(X, [1, 2, 3, 4], WHO)
    assert isinstance(data, TargetDataset)
    assert has_targets(data)
    assert not has_targets(ArrayDataset(X, WHO))
    assert len(data) == 4
    assert data.index.names == ("ann", "bob")
    assert data.index.items_of("bob").tolist() == [0, 2]
    targets = data.targets(np.array([3, 0, 3]))
    assert targets.dtype == torch.float32
    assert targets.tolist() == [[4.0], [1.0], [4.0]]
    assert data.gather(np.array([2])).tolist() == [[4.0, 5.0]]  # type: ignore[union-attr]  # a tensor in, a tensor out


def test_several_targets_and_mappings() -> None:
    data = ArrayTasks({"a": X, "b": torch.arange(4)}, np.arange(12.0).reshape(4, 3), [7, 7, 8, 8])
    assert data.targets(np.array([1])).tolist() == [[3.0, 4.0, 5.0]]
    assert data.targets(np.array([1])).dtype == torch.float64
    assert data.index.names == ("7", "8")


def test_what_is_given_back_is_a_copy() -> None:
    data = ArrayTasks(X, [1, 2, 3, 4], WHO)
    data.targets(np.array([0])).zero_()
    assert data.targets(np.array([0])).tolist() == [[1.0]]


def test_the_fingerprint_is_that_of_inputs_targets_and_groups() -> None:
    prints = {
        ArrayTasks(X, [1, 2, 3, 4], WHO).fingerprint,
        ArrayTasks(X + 1, [1, 2, 3, 4], WHO).fingerprint,
        ArrayTasks(X, [1, 2, 3, 5], WHO).fingerprint,
        ArrayTasks(X, [1, 2, 3, 4], WHO[::-1]).fingerprint,
        ArrayTasks(X, np.array([1.0, 2, 3, 4]), WHO).fingerprint,
    }
    assert len(prints) == 5
    assert ArrayTasks(X, [1, 2, 3, 4], WHO).fingerprint == ArrayTasks(X.copy(), [[1], [2], [3], [4]], WHO).fingerprint


@pytest.mark.parametrize(
    ("y", "groups", "message"),
    [
        ([1, 2, 3], WHO, r"\(4,\) or \(4, T\); found \(3,\)"),
        (np.zeros((4, 2, 2)), WHO, r"found \(4, 2, 2\)"),
        ([1, 2, np.nan, 4], WHO, "item 2 of 'y' holds NaN"),
        ([1, 2, 3, 4], WHO[:3], "4 items in 'x' and 3 labels"),
        ([True, False, True, True], WHO, "targets are real numbers; found bool"),
        (["a", "b", "c", "d"], WHO, "holds values of type"),
    ],
)
def test_what_cannot_be_targets_is_refused(y: object, groups: list[str], message: str) -> None:
    with pytest.raises(DataError, match=message):
        ArrayTasks(X, y, groups)  # type: ignore[arg-type]  # that is the point


@pytest.mark.parametrize(
    ("y", "groups", "message"),
    [
        ([[1.0], [1.0, 2.0]], ["a", "b"], "rows of different lengths"),
        (3.0, ["a", "b"], "y must hold one entry per item; found a float"),
        (None, ["a", "b"], "y must hold one entry per item; found a NoneType"),
        (np.float32(2), ["a", "b"], "y must hold one entry per item; found a float32"),
        ([1.0, 2.0], None, "groups must hold one entry per item; found a NoneType"),
        (np.zeros((2, 0), np.float32), ["a", "b"], r"\(2,\) or \(2, T\); found \(2, 0\)"),
    ],
)
def test_targets_and_groups_of_no_form(y: object, groups: object, message: str) -> None:
    with pytest.raises(DataError, match=message):
        ArrayTasks(np.eye(2, dtype=np.float32), y, groups)  # type: ignore[arg-type]
