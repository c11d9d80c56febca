"""Arrays or tensors with one label per item.

In: arrays of other programs. Out: a `Dataset` over it. Next: `kshot.episodes`. PyTorch is imported where tensors are made, so that a kind
of data may derive from `ArrayDataset`.
"""

import hashlib
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Union

import numpy as np

from kshot.data.as_is import AsIs
from kshot.data.class_index import ClassIndex
from kshot.data.inputs import Inputs, map_inputs
from kshot.data.preprocess import Preprocess
from kshot.data.summary import summary
from kshot.errors import DataError

if TYPE_CHECKING:
    from torch import Tensor

Array = Union[np.ndarray, "Tensor"]


class ArrayDataset:
    """Items given as arrays, each with its label.

    Args:
        x: An array or tensor `(M, …)`, or a mapping of names to such arrays of equal first dimension. Memory is shared with the
            caller where possible: do not change it afterwards.
        y: M labels: whole numbers or text, as a list, array or tensor.
        groups: The group of each class, by class name (a label as text), where classes have groups.
        name: The name in records.
        preprocess: How items become inputs. By default they are inputs already.

    Attributes:
        name: The argument `name`.
        fingerprint: SHA-256 of the arrays' names, dtypes, shapes and contents, and of the labels.
        index: The classes, sorted by label.
        preprocess: The argument `preprocess`.

    Raises:
        DataError: Lengths differ, there are no items, an item holds a number that is not finite, or a label is neither a whole number
            nor text.

    Example:
        >>> data = ArrayDataset(np.eye(4, dtype=np.float32), ["fox", "owl", "owl", "fox"])
        >>> data.index.names, data.index.items_of("owl").tolist()
        (('fox', 'owl'), [1, 2])
    """

    def __init__(
        self,
        x: Array | Mapping[str, Array],
        y: Iterable[object],
        *,
        groups: Mapping[str, str] | None = None,
        name: str = "arrays",
        preprocess: Preprocess | None = None,
    ) -> None:
        from torch import Tensor

        self._x: Inputs = {key: tensor_of(value, key) for key, value in x.items()} if isinstance(x, Mapping) else tensor_of(x, "x")
        labels = [
            plain_label(value, f"item {number}") for number, value in enumerate(y.tolist() if isinstance(y, Tensor | np.ndarray) else y)
        ]
        parts = {"x": self._x} if isinstance(self._x, Tensor) else dict(self._x)
        if not parts:
            raise DataError("x is a mapping without arrays; give it at least one, by name.")
        for key, part in parts.items():
            if part.shape[0] != len(labels):
                raise DataError(
                    f"x and y must hold one entry per item; found {part.shape[0]} items in {key!r} and {len(labels)} labels. "
                    "Check that they belong together."
                )
            check_finite(part, key)
        index = ClassIndex.from_labels(labels)
        if groups is not None:
            index = ClassIndex.build({class_name: index.items_of(class_name) for class_name in index.names}, groups)
        self.name = name
        self.index = index
        self.preprocess: Preprocess = AsIs() if preprocess is None else preprocess
        self.fingerprint = _fingerprint(parts, labels)
        self._n_items = len(labels)

    def __repr__(self) -> str:
        return summary(self)

    def __len__(self) -> int:
        return self._n_items

    def gather(self, items: np.ndarray) -> Inputs:
        """Gather the items with these numbers `(M, …)`: fresh on the CPU, in their own dtype."""
        import torch

        chosen = torch.from_numpy(np.ascontiguousarray(items, dtype=np.int64))
        return map_inputs(lambda part: part.index_select(0, chosen), self._x)


def plain_label(value: object, item: str) -> int | str:
    """Return a label as a whole number or text; tensors and arrays of one number count as the number.

    Args:
        value: The label as given.
        item: The name of the item in messages.

    Raises:
        DataError: It is neither.
    """
    from torch import Tensor

    if isinstance(value, Tensor | np.ndarray | np.generic) and (value.numel() if isinstance(value, Tensor) else value.size) == 1:
        value = value.item()
    if isinstance(value, str):
        return value
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float) and value.is_integer():
        return int(value)
    shown = f"a {type(value).__name__} of shape {tuple(value.shape)}" if isinstance(value, Tensor | np.ndarray) else repr(value)
    raise DataError(f"a label is a whole number or text; {item} has {shown}. Give each item the number or the name of its class.")


def tensor_of(value: object, key: str) -> "Tensor":
    """Return an array as a tensor on the CPU that shares its memory where possible.

    Args:
        value: An array or a tensor.
        key: Its name in messages.

    Raises:
        DataError: It is neither, holds no numbers, or is a single number.
    """
    import torch

    if isinstance(value, torch.Tensor):
        tensor = value.detach().cpu()
    elif isinstance(value, np.ndarray):
        tensor = from_array(value, f"{key!r} holds")
    else:
        raise DataError(
            f"{key!r} must be a NumPy array or a torch tensor; found {type(value).__name__}. Convert it, such as with np.asarray."
        )
    if tensor.dim() == 0:
        raise DataError(f"the first dimension of {key!r} counts items; found a single number.")
    return tensor


def from_array(value: np.ndarray, who: str) -> "Tensor":
    """Return an array as a tensor, which shares its memory where tensors can.

    They cannot where the array is read-only, in another byte order, or has strides that are negative or no multiple of its numbers' size,
    as of `x[::-1]` or of a field of records. Such an array is copied.

    Args:
        value: The array.
        who: Subject and verb of the message.

    Raises:
        DataError: Its values are no numbers that tensors hold.
    """
    import torch

    size = max(1, value.itemsize)
    shared = value.flags.writeable and value.dtype.isnative and all(step >= 0 and step % size == 0 for step in value.strides)
    try:
        return torch.from_numpy(value if shared else np.array(value, dtype=value.dtype.newbyteorder("="), order="C"))
    except (TypeError, ValueError) as error:
        raise DataError(f"{who} values of type {value.dtype}, which tensors cannot hold. Convert them to numbers.") from error


def check_finite(part: "Tensor", key: str) -> None:
    """Refuse NaN and infinity.

    Args:
        part: Numbers (M, …); whole numbers pass.
        key: Its name in the message.

    Raises:
        DataError: An item holds NaN or infinity; the message names the item.
    """
    if not (part.is_floating_point() or part.is_complex()):
        return
    import torch

    for start in range(0, part.shape[0], 4096):  # in pieces: a copy of the whole would double the memory
        finite = (
            torch.isfinite(part[start : start + 4096]).flatten(1).all(1) if part.dim() > 1 else torch.isfinite(part[start : start + 4096])
        )
        if not bool(finite.all()):
            item = start + int((~finite).nonzero()[0, 0])
            raise DataError(f"every number must be finite; item {item} of {key!r} holds NaN or infinity. Repair or drop the item.")


def _fingerprint(parts: Mapping[str, "Tensor"], labels: list[int | str]) -> str:
    import torch

    digest = hashlib.sha256()
    for key in sorted(parts):
        part = parts[key].contiguous()
        digest.update(f"{key}\0{part.dtype}\0{tuple(part.shape)}\0".encode())
        digest.update(part.reshape(-1).view(torch.uint8).numpy().data)
    digest.update(repr(labels).encode())
    return digest.hexdigest()
