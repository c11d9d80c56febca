"""Augmentations: parameters are drawn with the indices, and applied to the gathered items.

A parameter is a function of (seed, episode, class, item), like everything else about an episode, so that an augmented episode is
as repeatable as a plain one, and its hash covers what was done to the items.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from kshot.data.inputs import Inputs
from kshot.episodes.counter_random import below
from kshot.episodes.warp import affine, draw_warps, elastic
from kshot.errors import EpisodeError


@dataclass(frozen=True)
class Augmentation:
    """One augmentation.

    Attributes:
        words: How many random words a class of an episode uses.
        draw: words uint64 (words, M) for M (episode, class) pairs and the number of items a class → parameters int16 (M, items).
        apply: kept items (M, …) and their parameters int16 (M,) → changed items.
        kinds: How many classes it makes of one: 1 where a changed item stays what it was; k where the parameters are 0 … k - 1 and
            each makes another class. Plain labelled batches (`kshot.episodes.item_stream`) number them.
    """

    words: int
    draw: Callable[[np.ndarray, int], np.ndarray]
    apply: Callable[[Inputs, np.ndarray], Inputs]
    kinds: int = 1


def _draw_quarter_turn(word: np.ndarray, items: int) -> np.ndarray:
    turns = below(word[0], 4).astype(np.int16)
    return np.repeat(turns[:, None], items, axis=1)


def quarter_turns(images: Inputs, turns: np.ndarray) -> Inputs:
    """Each image `(M, C, H, H)` turned counter-clockwise by its number of quarter turns (M,)."""
    if not isinstance(images, Tensor) or images.ndim != 4 or images.shape[-1] != images.shape[-2]:
        found = tuple(images.shape) if isinstance(images, Tensor) else "a mapping"
        raise EpisodeError(f"augment='quarter_turns' turns square images (M, C, H, H); found {found}. Use augment='none'.")
    turned = images.clone()
    for turn in (1, 2, 3):
        chosen = torch.from_numpy(np.flatnonzero(turns == turn))
        if len(chosen):
            turned[chosen] = torch.rot90(images[chosen], turn, (2, 3))
    return turned


AUGMENTATIONS = {
    # All items of a class turn together: a turned character is another character (MAML, Finn et al. 2017, section 5.2).
    "quarter_turns": Augmentation(words=1, draw=_draw_quarter_turn, apply=quarter_turns, kinds=4),
    "affine": Augmentation(words=1, draw=draw_warps, apply=affine),
    "elastic": Augmentation(words=1, draw=draw_warps, apply=elastic),
}


def augmentation(name: str) -> Augmentation | None:
    """The augmentation of that name; None for `none`.

    Raises:
        EpisodeError: The name is unknown.
    """
    if name == "none":
        return None
    if name not in AUGMENTATIONS:
        raise EpisodeError(f"there is no augmentation {name!r}; known are none, {', '.join(sorted(AUGMENTATIONS))}.")
    return AUGMENTATIONS[name]
