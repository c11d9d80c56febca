"""Any map-style torch data set of (x, label), torchvision's included.

In: an object that has a length and whose items are pairs. Out: a `Dataset` that holds every item in memory. Next: `kshot.episodes`.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from kshot.data.arrays import ArrayDataset, from_array, plain_label
from kshot.data.as_is import AsIs
from kshot.data.class_index import ClassIndex
from kshot.data.inputs import Inputs
from kshot.data.preprocess import Preprocess
from kshot.data.summary import summary
from kshot.errors import DataError


class TorchDataset:
    """The items of a torch data set, each read once, in order.

    Labels come from the items themselves, never from attributes such as `targets`, which a `target_transform` or a `Subset` makes
    wrong. Switch random augmentation off: each item is kept as it was read.

    Args:
        dataset: Has `len(dataset)` and `dataset[number]`, which gives `(x, label)`. `x` is a tensor, an array, a mapping of names
            to these, or a Pillow image; the label is a whole number, text, or a tensor of one number.
        preprocess: How items become inputs. Pillow images need one (`Ink`, `Picture`); for other items it may be left out.
        name: The name in records.

    Attributes:
        name: The argument `name`.
        fingerprint: SHA-256 of the kept items and labels.
        index: The classes, sorted by label.
        preprocess: The argument `preprocess`.

    Raises:
        DataError: It is not map-style, an item is not such a pair, or items differ in shape or type.

    Example:
        >>> from torch.utils.data import TensorDataset
        >>> data = TorchDataset(TensorDataset(torch.zeros(6, 3), torch.tensor([0, 0, 1, 1, 2, 2])))
        >>> len(data), data.index.names
        (6, ('0', '1', '2'))
    """

    def __init__(self, dataset: Any, *, preprocess: Preprocess | None = None, name: str = "torch_dataset") -> None:
        xs: list[Tensor | dict[str, Tensor]] = []
        labels: list[int | str] = []
        for number in range(_length(dataset)):
            try:
                item = dataset[number]
            except (IndexError, KeyError, NotImplementedError) as error:
                raise DataError(
                    f"expected a map-style data set; {type(dataset).__name__} has the length {len(dataset)} but gives no item "
                    f"{number} ({type(error).__name__}). Items are numbered from 0."
                ) from error
            if not isinstance(item, tuple | list) or len(item) != 2:
                raise DataError(f"every item must be a pair (x, label); item {number} is {_said(item)}. Wrap the data set so that it is.")
            x = _kept(item[0], preprocess, number)
            if xs:
                _check_same(xs[0], x, number)
            xs.append(x)
            labels.append(plain_label(item[1], f"item {number}"))
        first = xs[0]
        stacked: Tensor | dict[str, Tensor]
        if isinstance(first, Tensor):
            stacked = torch.stack([x for x in xs if isinstance(x, Tensor)])
        else:
            stacked = {key: torch.stack([x[key] for x in xs if not isinstance(x, Tensor)]) for key in first}
        self._arrays = ArrayDataset(stacked, labels, name=name, preprocess=AsIs() if preprocess is None else preprocess)
        self.name = name
        self.fingerprint: str = self._arrays.fingerprint
        self.index: ClassIndex = self._arrays.index
        self.preprocess: Preprocess = self._arrays.preprocess

    def __repr__(self) -> str:
        return summary(self)

    def __len__(self) -> int:
        return len(self._arrays)

    def gather(self, items: np.ndarray) -> Inputs:
        """Gather the kept items with these numbers `(M, …)`: fresh on the CPU."""
        return self._arrays.gather(items)


def _length(dataset: Any) -> int:
    try:
        length = len(dataset)
        dataset.__getitem__  # noqa: B018  # only asked for
    except (TypeError, AttributeError, NotImplementedError) as error:
        raise DataError(
            f"expected a map-style data set, with a length and items by number; found {type(dataset).__name__}. "
            "Turn an iterable one into a list of (x, label) pairs first."
        ) from error
    if length < 1:
        raise DataError(f"the data set {type(dataset).__name__} is empty; expected at least one item.")
    return length


def _kept(x: object, preprocess: Preprocess | None, number: int) -> Tensor | dict[str, Tensor]:
    if isinstance(x, Image.Image):
        if preprocess is None:
            raise DataError(
                f"item {number} is a Pillow image, which a network cannot read. Give a preprocessing, such as "
                "preprocess=Picture(size=84), or a transform that makes tensors."
            )
        try:
            return torch.from_numpy(preprocess.read(x))
        except DataError as error:
            raise DataError(f"item {number}: {error}") from error
    if isinstance(x, Mapping):
        return {str(key): _copied(value, number) for key, value in x.items()}
    return _copied(x, number)


def _copied(value: object, number: int) -> Tensor:
    """Copy a value into a tensor of its own, because data sets may hand out views of one buffer."""
    if isinstance(value, Tensor):
        return value.detach().cpu().clone()
    if isinstance(value, np.ndarray | np.generic):
        return from_array(np.array(value), f"item {number} holds")
    if isinstance(value, int | float):
        return torch.tensor(value)
    raise DataError(f"x must be a tensor, an array, a mapping of these or a Pillow image; item {number} has {_said(value)}.")


def _check_same(first: Tensor | dict[str, Tensor], x: Tensor | dict[str, Tensor], number: int) -> None:
    one = {"x": first} if isinstance(first, Tensor) else first
    other = {"x": x} if isinstance(x, Tensor) else x
    if isinstance(first, Tensor) != isinstance(x, Tensor) or one.keys() != other.keys():
        raise DataError(f"all items must have the same parts: item 0 has {', '.join(one)}, item {number} has {', '.join(other)}.")
    for key in one:
        if one[key].shape != other[key].shape or one[key].dtype != other[key].dtype:
            raise DataError(
                f"all items must have one shape and type: {key!r} of item 0 is {tuple(one[key].shape)} {one[key].dtype}, of item "
                f"{number} {tuple(other[key].shape)} {other[key].dtype}. Bring them to one size, or give a preprocessing."
            )


def _said(value: object) -> str:
    return f"a {type(value).__name__}" + (f" of length {len(value)}" if isinstance(value, tuple | list) else "")
