"""Small labelled items to classify, for objectives: Omniglot's characters, scikit-learn's digits, or rows of 16 numbers in clusters.

In: a part. Out: items of many classes, as many for each. Next: `networks`.
"""

from collections.abc import Callable
from functools import cache

import numpy as np
import torch
from torch import Tensor

from kshot.data.pictures.omniglot import Omniglot
from kshot.episodes.counter_random import key_of
from kshot.errors import SetupError
from kshot.meta_train.objectives.objective import Part

OMNIGLOT_SIDE, DIGITS_SIDE, CLUSTERS_SIDE = 16, 8, 4
_CLUSTERS = 1000
_DIGITS_PER_CLASS = {"train": (0, 100), "val": (100, 130), "test": (130, 170)}


@cache
def omniglot_characters(part: Part) -> Tensor:
    """The characters of a part of the Vinyals split, every quarter turn a class: (classes, 20, 1, 16, 16) uint8, ink 255 on 0."""
    dataset = Omniglot(size=OMNIGLOT_SIDE)
    index = dataset.split("vinyals").part(part)
    items = dataset.gather(index.items)
    return items.view(len(index), -1, *items.shape[1:])


@cache
def digits(part: Part) -> Tensor:
    """Scikit-learn's digits, a part of each class: (10, 30 to 100, 1, 8, 8) uint8, at most 255.

    Raises:
        SetupError: scikit-learn is not installed.
    """
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise SetupError(
            "the digits come with scikit-learn, which is not installed. Install it with: pip install scikit-learn. "
            "Or leave the objectives of digits out of optimizer.objectives."
        ) from error
    pictures, labels = load_digits(return_X_y=True)  # 0 … 16
    first, last = _DIGITS_PER_CLASS[part]
    chosen = np.stack([pictures[labels == digit][first:last] for digit in range(10)])
    return torch.from_numpy(np.round(chosen * (255 / 16)).astype(np.uint8)).view(10, -1, 1, DIGITS_SIDE, DIGITS_SIDE)


@cache
def clusters(part: Part) -> Tensor:
    """Clusters of normal numbers, as standardised tables have them: (1000, 20, 1, 4, 4) float32.

    The centre of a class is normal with deviation 1 in each of 16 numbers; its items deviate by 0.2 to 1 from it.
    """
    generator = torch.Generator().manual_seed(key_of({"clusters": part}) >> 1)
    centre = torch.randn(_CLUSTERS, 1, 1, CLUSTERS_SIDE, CLUSTERS_SIDE, generator=generator)
    width = 0.2 + 0.8 * torch.rand(_CLUSTERS, 1, 1, 1, 1, generator=generator)
    return centre + width * torch.randn(_CLUSTERS, 20, 1, CLUSTERS_SIDE, CLUSTERS_SIDE, generator=generator)


PICTURES: dict[str, tuple[Callable[[Part], Tensor], int]] = {
    "omniglot": (omniglot_characters, OMNIGLOT_SIDE),
    "digits": (digits, DIGITS_SIDE),
    "clusters": (clusters, CLUSTERS_SIDE),
}
"""Name → how the items of a part are read, and numbers per side."""
