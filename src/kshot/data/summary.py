"""A data set in a few lines, for `repr`.

In: a data set. Out: its name, how many classes and items it has, what an item is, how items become inputs, and its fingerprint.
"""

from kshot.data.dataset import Dataset
from kshot.data.inputs import form_of, map_inputs
from kshot.data.target_dataset import has_targets
from kshot.short_repr import short_repr

_LONGEST = 80


def summary(dataset: Dataset) -> str:
    """Describe a data set.

    Example:
        >>> import numpy as np
        >>> from kshot.data.arrays import ArrayDataset
        >>> print(summary(ArrayDataset(np.eye(4, dtype=np.float32), ["fox", "owl", "owl", "fox"])))
        ArrayDataset('arrays', 2 classes, 4 items of float32 (4,), AsIs(), fingerprint 2f8b9a581b05…)
    """
    one = dataset.index.items[:1]
    item = form_of(map_inputs(lambda part: part[0], dataset.gather(one)))
    if has_targets(dataset):
        item += f" with targets {form_of(dataset.targets(one)[0])}"
    parts = [
        repr(dataset.name if len(dataset.name) <= _LONGEST else f"…{dataset.name[-_LONGEST:]}"),
        f"{len(dataset.index):,} classes",
        f"{len(dataset):,} items of {item}",
        repr(dataset.preprocess),
        f"fingerprint {dataset.fingerprint[:12]}…",
    ]
    return short_repr(type(dataset).__name__, parts)
