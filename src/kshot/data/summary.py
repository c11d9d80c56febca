"""A data set in five lines, for `repr`.

In: a data set. Out: text: how many classes and items there are, its name, what an item is, how it is read, and its fingerprint.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from kshot.data.dataset import Dataset
from kshot.data.one_line import one_line
from kshot.data.target_dataset import has_targets

if TYPE_CHECKING:
    from torch import Tensor


def summary(dataset: Dataset) -> str:
    """Describe a data set.

    Example:
        >>> import numpy as np
        >>> from kshot.data.arrays import ArrayDataset
        >>> print(summary(ArrayDataset(np.eye(4, dtype=np.float32), ["fox", "owl", "owl", "fox"])))
        ArrayDataset: 2 classes, 4 items
          name        arrays
          item        float32 (4,)
          preprocess  AsIs()
          fingerprint c60b07a2acdc…
    """
    one = dataset.index.items[:1]
    kept = dataset.gather(one)
    item = ", ".join(f"{name!r} {_form(part)}" for name, part in kept.items()) if isinstance(kept, Mapping) else _form(kept)
    if has_targets(dataset):
        item += f" with targets {_form(dataset.targets(one))}"
    rows = {
        "name": dataset.name,
        "item": item,
        "preprocess": repr(dataset.preprocess),
        "fingerprint": f"{dataset.fingerprint[:12]}…",
    }
    counts = f"{type(dataset).__name__}: {len(dataset.index):,} classes, {len(dataset):,} items"
    return "\n".join([counts, *(f"  {row:12}{one_line(value)}" for row, value in rows.items())])


def _form(part: "Tensor") -> str:
    return f"{str(part.dtype).removeprefix('torch.')} {tuple(part.shape[1:])}"
