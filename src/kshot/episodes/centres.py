"""Class centres: the mean of the items of each class, in pixels or features.

In: a data set and classes. Out: one row per class. Next: `kshot.episodes.stream`, `kshot.workflows.inspection`.
"""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from kshot.data.class_index import ClassIndex
from kshot.data.dataset import Dataset
from kshot.data.inputs import Inputs
from kshot.device import pick_device
from kshot.episodes.batch import gather_inputs
from kshot.episodes.nearness import ClassDistances
from kshot.episodes.shape import EpisodeShape
from kshot.errors import EpisodeError

_AT_ONCE = 512


def pixels(x: Inputs) -> Tensor:
    """Return the inputs, flattened: (M, …) → (M, D).

    Raises:
        EpisodeError: The inputs are not one tensor of real numbers.
    """
    if not isinstance(x, Tensor) or not x.is_floating_point():
        found = f"a tensor of {str(x.dtype).removeprefix('torch.')}" if isinstance(x, Tensor) else f"a mapping of {', '.join(x)}"
        raise EpisodeError(
            f"distances between items need inputs of real numbers; found {found}. "
            "Give your own distances: ClassDistances.of(index, centres)."
        )
    return x.flatten(1)


@torch.no_grad()
def class_centres(
    dataset: Dataset,
    index: ClassIndex,
    *,
    encode: Callable[[Inputs], Inputs] = pixels,
    items: int | None = None,
    device: torch.device | str = "cpu",
    progress: Callable[[int], None] | None = None,
) -> np.ndarray:
    """Return the mean of the items of each class.

    Args:
        dataset: Where the items are.
        index: The classes.
        encode: Gives the vectors that are averaged: inputs (M, …) → vectors (M, D). It is `pixels`, or a learner's `encode` in evaluation
            mode.
        items: Largest number of items per class; they are evenly spread over the items of the class. None takes all.
        device: Device on which `encode` computes.
        progress: Called with the number of items encoded since the last call.

    Returns:
        float64 (C, D), in the order of `index`.

    Raises:
        EpisodeError: `encode` does not give one vector of real numbers per item, or gives a number that is not finite.
        SetupError: There is no such device here.
    """
    device = pick_device(device)
    places = [_spread(int(size), items) + int(start) for start, size in zip(index.starts, index.sizes, strict=True)]
    owners = torch.from_numpy(np.repeat(np.arange(len(index)), [len(own) for own in places]))
    numbers = index.items[np.concatenate(places)]
    sums: Tensor | None = None
    for start in range(0, len(numbers), _AT_ONCE):
        part = slice(start, start + _AT_ONCE)
        rows = _vectors(encode(gather_inputs(dataset, numbers[part], None, "none", device)))
        if not bool((finite := rows.isfinite().all(1)).all()):
            name = index.names[int(owners[part][~finite][0])]
            raise EpisodeError(f"the encoding of an item of class {name!r} is not finite. Look for NaN in data and learner.")
        sums = torch.zeros(len(index), rows.shape[1], dtype=torch.float64) if sums is None else sums
        sums.index_add_(0, owners[part], rows)
        if progress is not None:
            progress(len(rows))
    assert sums is not None  # a class index has at least one item
    means: np.ndarray = (sums / torch.bincount(owners, minlength=len(index))[:, None]).numpy()
    return means


def pixel_distances(dataset: Dataset, index: ClassIndex) -> ClassDistances:
    """Return the distances between the mean pictures of the classes. They do not depend on any learner.

    Raises:
        EpisodeError: The inputs are not tensors of real numbers, or all classes have the same mean.
    """
    return ClassDistances.of(index, class_centres(dataset, index))


def distances_for(shape: EpisodeShape, dataset: Dataset, index: ClassIndex, given: ClassDistances | None) -> ClassDistances | None:
    """Return the distances needed to draw episodes of this shape: None, the given ones, or those of the pixels."""
    if shape.nearness == "any":
        return None
    return pixel_distances(dataset, index) if given is None else given


def _spread(size: int, most: int | None) -> np.ndarray:
    """Return all numbers below `size`, or `most` of them at even steps."""
    count = size if most is None else min(size, most)
    return np.arange(count) * size // count


def _vectors(features: Inputs) -> Tensor:
    """Check the features and return them as float64 (M, D) on the CPU."""
    if not isinstance(features, Tensor) or features.ndim != 2 or not features.is_floating_point():
        found = (
            f"{str(features.dtype).removeprefix('torch.')} (M, {', '.join(map(str, features.shape[1:]))})"
            if isinstance(features, Tensor)
            else "a mapping"
        )
        raise EpisodeError(f"distances between classes need one vector of real numbers per item, (M, D); this encoder gives {found}.")
    return features.cpu().double()
