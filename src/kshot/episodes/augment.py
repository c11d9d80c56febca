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
        kind_of: Which class a parameter makes of a class, 0 … kinds - 1: parameters int16 (…) → int64 (…). None: the parameter itself, or
            0 where there is one kind.
        class_words: How many of the words, the first ones, say which class it makes. Where an episode's classes are of one group they are
            the same for all of them: a mirrored alphabet is an alphabet, but no alphabet has some letters mirrored.
    """

    words: int
    draw: Callable[[np.ndarray, int], np.ndarray]
    apply: Callable[[Inputs, np.ndarray], Inputs]
    kinds: int = 1
    kind_of: Callable[[np.ndarray], np.ndarray] | None = None
    class_words: int = 0

    def made(self, parameters: np.ndarray) -> np.ndarray:
        """Which class each parameter makes of a class, int64, 0 … kinds - 1."""
        if self.kind_of is not None:
            return self.kind_of(parameters)
        return parameters.astype(np.int64) if self.kinds > 1 else np.zeros(parameters.shape, dtype=np.int64)


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


def _draw_mirror(word: np.ndarray, items: int) -> np.ndarray:
    mirrored = below(word[0], 2).astype(np.int16)
    return np.repeat(mirrored[:, None], items, axis=1)


def mirror(images: Inputs, mirrored: np.ndarray) -> Inputs:
    """Each image `(M, C, H, W)` as it is (0) or with left and right exchanged (1), by its number (M,)."""
    if not isinstance(images, Tensor) or images.ndim != 4:
        found = tuple(images.shape) if isinstance(images, Tensor) else "a mapping"
        raise EpisodeError(f"augment='mirror' mirrors images (M, C, H, W); found {found}. Use augment='none'.")
    changed = images.clone()
    chosen = torch.from_numpy(np.flatnonzero(mirrored))
    if len(chosen):
        changed[chosen] = images[chosen].flip(3)
    return changed


def together(of_class: Augmentation, of_item: Augmentation) -> Augmentation:
    """First what makes another class of a class, then what varies its items; a parameter holds both.

    Args:
        of_class: With k > 1 kinds, whose parameters are 0 … k - 1.
        of_item: With one kind, whose parameters are any numbers of 16 bits.

    Returns:
        One augmentation of k kinds; parameter + 2¹⁵ is k · (the item's number) + kind.
    """
    k, low = of_class.kinds, 1 << 15

    def draw(word: np.ndarray, items: int) -> np.ndarray:
        kind = of_class.draw(word[: of_class.words], items).astype(np.int64)
        number = (of_item.draw(word[of_class.words :], items).astype(np.int64) & 0xFFFF) // k
        return (k * number + kind - low).astype(np.int16)

    def kind_of(parameters: np.ndarray) -> np.ndarray:
        kinds: np.ndarray = (parameters.astype(np.int64) + low) % k
        return kinds

    def apply(images: Inputs, parameters: np.ndarray) -> Inputs:
        number = (parameters.astype(np.int64) + low) // k
        return of_item.apply(of_class.apply(images, kind_of(parameters).astype(np.int16)), number.astype(np.uint16).view(np.int16))

    return Augmentation(of_class.words + of_item.words, draw, apply, k, kind_of, of_class.class_words)


AUGMENTATIONS = {
    # All items of a class turn together: a turned character is another character (MAML, Finn et al. 2017, section 5.2).
    "quarter_turns": Augmentation(words=1, draw=_draw_quarter_turn, apply=quarter_turns, kinds=4, class_words=1),
    # And so is a mirrored one.
    "mirror": Augmentation(words=1, draw=_draw_mirror, apply=mirror, kinds=2, class_words=1),
    "affine": Augmentation(words=1, draw=draw_warps, apply=affine),
    "elastic": Augmentation(words=1, draw=draw_warps, apply=elastic),
}


def augmentation(name: str) -> Augmentation | None:
    """The augmentation of that name; None for `none`.

    Args:
        name: One of `AUGMENTATIONS`, or two with a + between them: one that makes other classes of the classes, then one that varies items,
            such as `quarter_turns+affine`.

    Raises:
        EpisodeError: A name is unknown, or the two are not one of each kind.
    """
    if name == "none":
        return None
    parts = name.split("+")
    for part in parts:
        if part not in AUGMENTATIONS:
            raise EpisodeError(f"there is no augmentation {part!r}; known are none, {', '.join(sorted(AUGMENTATIONS))}.")
    if len(parts) == 1:
        return AUGMENTATIONS[name]
    found = [AUGMENTATIONS[part] for part in parts]
    if len(parts) != 2 or found[0].kinds == 1 or found[1].kinds > 1:
        ways = [[key for key, one in sorted(AUGMENTATIONS.items()) if (one.kinds > 1) is many] for many in (True, False)]
        raise EpisodeError(f"two augmentations are one of {', '.join(ways[0])}, then one of {', '.join(ways[1])}; found {name!r}.")
    return together(*found)


def of_classes(name: str) -> str:
    """The part of an augmentation that makes other classes of the classes: its name, or `none`."""
    rule = augmentation(name)
    return "none" if rule is None or rule.kinds == 1 else name.split("+")[0]
