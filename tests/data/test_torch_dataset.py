"""Map-style torch data sets; torchvision's are imitated by a class of the same shape, so that it need not be installed."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import Dataset as TorchMapDataset
from torch.utils.data import IterableDataset, Subset, TensorDataset

from kshot.data.dataset import Dataset
from kshot.data.pictures.picture import Picture
from kshot.data.torch_dataset import TorchDataset
from kshot.errors import DataError


class LikeTorchvision(TorchMapDataset[Any]):
    """As torchvision's: pictures and whole-number labels, `transform`, and attributes `targets` and `classes`."""

    classes = ("cat", "dog", "fox")

    def __init__(self, transform: Any = None, target_transform: Any = None) -> None:
        self.targets = [0, 1, 2, 0, 1, 2]
        self.transform, self.target_transform = transform, target_transform

    def __len__(self) -> int:
        return len(self.targets)

    def __getitem__(self, number: int) -> tuple[Any, Any]:
        if number >= len(self):
            raise IndexError(number)
        picture, target = Image.new("RGB", (10 + number, 12), (40 * number, 0, 0)), self.targets[number]
        return (
            picture if self.transform is None else self.transform(picture),
            target if self.target_transform is None else self.target_transform(target),
        )


def test_pictures_go_through_the_preprocessing() -> None:
    data = TorchDataset(LikeTorchvision(), preprocess=Picture(8), name="animals")
    assert isinstance(data, Dataset)
    assert (data.name, len(data), data.index.names) == ("animals", 6, ("0", "1", "2"))
    kept = data.gather(np.array([3, 1]))
    assert isinstance(kept, torch.Tensor)
    assert (kept.shape, kept.dtype) == ((2, 3, 8, 8), torch.uint8)
    assert kept[:, 0, 0, 0].tolist() == [120, 40]


def test_tensors_need_no_preprocessing() -> None:
    data = TorchDataset(LikeTorchvision(transform=lambda picture: torch.full((2,), float(picture.width))))
    kept = data.gather(np.array([5, 0]))
    assert isinstance(kept, torch.Tensor)
    assert kept.tolist() == [[15, 15], [10, 10]]


def test_labels_are_those_of_the_items() -> None:
    names = LikeTorchvision.classes
    data = TorchDataset(Subset(LikeTorchvision(target_transform=lambda target: names[2 - target]), [0, 1, 4]), preprocess=Picture(4))
    assert data.index.names == ("dog", "fox")
    assert data.index.items_of("dog").tolist() == [1, 2]


def test_mappings_arrays_and_views_of_one_buffer() -> None:
    buffer = np.zeros(2)

    class Reusing:
        def __len__(self) -> int:
            return 3

        def __getitem__(self, number: int) -> tuple[Any, Any]:
            buffer[:] = number
            return {"values": buffer, "tokens": torch.tensor([number])}, torch.tensor(number % 2)

    kept = TorchDataset(Reusing()).gather(np.array([0, 2]))
    assert not isinstance(kept, torch.Tensor)
    assert kept["values"].tolist() == [[0, 0], [2, 2]]
    assert kept["tokens"].dtype == torch.int64


def test_the_fingerprint_is_of_the_items() -> None:
    x, y = torch.arange(6).view(3, 2), torch.tensor([0, 1, 0])
    one, same, other = (TorchDataset(TensorDataset(part, y)).fingerprint for part in (x, x.clone(), x + 1))
    assert one == same != other


class Stream(IterableDataset[Any]):
    def __iter__(self) -> Iterator[Any]:
        yield torch.zeros(1), 0


class StreamWithLength(Stream):
    def __len__(self) -> int:
        return 1


@pytest.mark.parametrize(
    ("dataset", "message"),
    [
        (Stream(), "expected a map-style data set, with a length and items by number; found Stream"),
        (StreamWithLength(), "expected a map-style data set"),
        (iter([]), "expected a map-style data set"),
        ({1, 2}, "found set"),
        ([], "data set list is empty"),
        ({"a": 1}, "gives no item 0"),
        ([torch.zeros(2)], "item 0 is a Tensor"),
        ([(torch.zeros(2), 0, 1)], "item 0 is a tuple of length 3"),
        ([(torch.zeros(2), 0), (torch.zeros(3), 0)], r"'x' of item 0 is \(2,\) torch.float32, of item 1 \(3,\)"),
        ([(torch.zeros(2), 0), ({"a": torch.zeros(2)}, 0)], "item 0 has x, item 1 has a"),
        ([(torch.zeros(2), 0), (torch.zeros(2), torch.zeros(2))], "item 1 has a Tensor of shape"),
        ([(torch.zeros(2), 0), (torch.full((2,), torch.nan), 1)], "item 1 of 'x' holds NaN"),
        ([("text", 0)], "item 0 has a str"),
        ([(np.array(["a"]), 0)], "item 0 holds values of type <U1, which tensors cannot hold"),
        (LikeTorchvision(), "item 0 is a Pillow image.*Give a preprocessing"),
    ],
)
def test_errors_name_what_is_wrong(dataset: object, message: str) -> None:
    with pytest.raises(DataError, match=message):
        TorchDataset(dataset)


def test_items_with_negative_strides_are_read() -> None:
    data = TorchDataset([(np.arange(3.0)[::-1], "a"), (np.arange(3.0)[::-1] + 1, "b")])
    gathered = data.gather(np.array([1]))
    assert isinstance(gathered, torch.Tensor)
    assert gathered.tolist() == [[3, 2, 1]]
