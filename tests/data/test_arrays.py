"""Arrays and tensors as a data set."""

import numpy as np
import pytest
import torch

from kshot.data.arrays import ArrayDataset
from kshot.data.dataset import Dataset
from kshot.data.pictures.ink import Ink
from kshot.errors import DataError


def test_items_and_classes_by_hand() -> None:
    data = ArrayDataset(np.arange(8, dtype=np.float64).reshape(4, 2), ["owl", "fox", "owl", "fox"], groups={"fox": "a", "owl": "b"})
    assert isinstance(data, Dataset)
    assert len(data) == 4
    assert data.index.names == ("fox", "owl")
    assert data.index.groups == ("a", "b")
    assert data.index.items_of("owl").tolist() == [0, 2]
    gathered = data.gather(np.array([3, 0, 3]))
    assert isinstance(gathered, torch.Tensor)
    assert gathered.dtype == torch.float64
    assert gathered.tolist() == [[6, 7], [0, 1], [6, 7]]
    assert data.preprocess.to_input(gathered) is gathered


def test_mappings_are_gathered_by_name() -> None:
    data = ArrayDataset({"tokens": torch.tensor([[1, 2], [3, 4]]), "mask": np.array([[True, False], [True, True]])}, torch.tensor([1, 0]))
    gathered = data.gather(np.array([1]))
    assert not isinstance(gathered, torch.Tensor)
    assert gathered["tokens"].tolist() == [[3, 4]]
    assert gathered["tokens"].dtype == torch.int64
    assert gathered["mask"].tolist() == [[True, True]]


@pytest.mark.parametrize(
    "y", [[0, 1, 10], np.array([0, 1, 10]), torch.tensor([0, 1, 10]), np.array([0.0, 1.0, 10.0]), [np.int8(0), torch.tensor(1), 10]]
)
def test_labels_of_any_kind_are_sorted_as_numbers(y: object) -> None:
    assert ArrayDataset(np.zeros((3, 1)), y).index.names == ("0", "1", "10")  # type: ignore[arg-type]  # of many kinds


def test_the_fingerprint_is_of_the_contents() -> None:
    x, y = np.arange(6, dtype=np.float32).reshape(3, 2), [0, 1, 1]
    same = ArrayDataset(torch.from_numpy(x.copy()), np.array(y), name="other", preprocess=Ink())
    others = [ArrayDataset(x + 1, y), ArrayDataset(x, [0, 0, 1]), ArrayDataset(x.astype(np.float64), y), ArrayDataset(x[:, :, None], y)]
    assert same.fingerprint == ArrayDataset(x, y).fingerprint
    assert len({same.fingerprint, *(other.fingerprint for other in others)}) == 5
    assert ArrayDataset(np.asfortranarray(x), y).fingerprint == same.fingerprint


def test_read_only_and_foreign_byte_orders_are_read() -> None:
    x = np.arange(3, dtype=">f4")
    x.flags.writeable = False
    gathered = ArrayDataset(x, "abc").gather(np.array([2]))
    assert isinstance(gathered, torch.Tensor)
    assert gathered.tolist() == [2.0]


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        (np.zeros((3, 2)), [0, 1], "found 3 items in 'x' and 2 labels"),
        ({"a": np.zeros(2), "b": np.zeros(3)}, [0, 1], "found 3 items in 'b' and 2 labels"),
        ({}, [], "mapping without arrays"),
        (np.zeros((0, 2)), [], "at least one class"),
        (np.array([[0.0], [np.nan]]), [0, 1], "item 1 of 'x' holds NaN or infinity"),
        ({"a": torch.tensor([1.0, torch.inf])}, [0, 1], "item 1 of 'a' holds NaN or infinity"),
        (np.float64(3), [0], "NumPy array or a torch tensor; found float64"),
        (np.array(3.0), [0], "first dimension of 'x' counts items"),
        (np.array(["a", "b"]), [0, 1], "which tensors cannot hold"),
        ([[1, 2]], [0], "NumPy array or a torch tensor; found list"),
        (np.zeros(2), [0.5, 1], r"a label is a whole number or text; item 0 has 0\.5"),
        (np.zeros(2), [0, None], "item 1 has None"),
        (np.zeros(2), torch.zeros(2, 3), r"item 0 has \[0\.0, 0\.0, 0\.0\]"),
        (np.zeros(2), [0, "0"], "two different labels have the same name"),
    ],
)
def test_errors_name_the_item(x: object, y: object, message: str) -> None:
    with pytest.raises(DataError, match=message):
        ArrayDataset(x, y)  # type: ignore[arg-type]  # wrong on purpose


def test_a_nan_far_in_is_found() -> None:
    x = np.zeros((9000, 2), dtype=np.float32)
    x[8191, 1] = np.nan
    with pytest.raises(DataError, match="item 8191 of 'x'"):
        ArrayDataset(x, np.arange(9000) % 5)


RECORDS = np.zeros(4, dtype=[("mark", "u1"), ("x", "<f4")])  # a field's numbers lie 5 bytes apart
RECORDS["x"] = [0, 1, 2, 3]


@pytest.mark.parametrize(
    "x",
    [
        np.arange(4.0)[::-1][::-1],
        np.arange(3.0, -1, -1)[::-1],
        RECORDS["x"],
        np.arange(4.0).astype(">f8"),
        np.broadcast_to(np.arange(4.0), (2, 4))[0],
    ],
    ids=["turned twice", "negative strides", "a field of records", "another byte order", "read-only"],
)
def test_arrays_whose_memory_a_tensor_cannot_share_are_copied(x: np.ndarray) -> None:
    assert ArrayDataset(x, "aabb").gather(np.arange(4)).tolist() == [0, 1, 2, 3]  # type: ignore[union-attr]  # a tensor, as x is an array


def test_pictures_turned_upside_down_keep_their_numbers() -> None:
    x = np.arange(12.0).reshape(3, 2, 2)[:, ::-1, ::-1]
    assert ArrayDataset(x, "abc").gather(np.array([1])).tolist() == [[[7, 6], [5, 4]]]  # type: ignore[union-attr]  # a tensor
