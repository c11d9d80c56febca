"""Augmentations: parameters are drawn together with the indices and applied to the gathered items.

Like everything else about an episode, a parameter is a function of (seed, episode, class, item). An augmented episode is therefore as
repeatable as a plain one, and its hash covers what was done to the items.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from kshot.data.inputs import Inputs
from kshot.episodes.counter_random import below
from kshot.episodes.warp import affine, draw_warps, elastic
from kshot.errors import EpisodeError, known_ones


@dataclass(frozen=True)
class Augmentation:
    """One augmentation: how its parameters are drawn, and how they change items.

    Attributes:
        words: Number of random words per class of an episode.
        draw: words uint64 (words, M) for M (episode, class) pairs and the number of items per class → parameters int16 (M, items).
        apply: kept items (M, …) and their parameters int16 (M,) → changed items.
        kinds: Number of classes that it makes out of one class. It is 1 if a changed item keeps its class; it is k if the parameters are
            0 … k - 1 and each creates a new class. Plain labelled batches (`kshot.episodes.item_stream`) number these classes.
        kind_of: Maps parameters int16 (…) to the new class they create, int64 (…) in 0 … kinds - 1. None stands for the parameter, or for
            0 if there is one kind.
        class_words: Number of words, counted from the first, that decide which new class is created. If all classes of an episode are from
            one group, these words are the same for all of them: a mirrored alphabet is an alphabet, but no alphabet has only some of its
            letters mirrored.
    """

    words: int
    draw: Callable[[np.ndarray, int], np.ndarray]
    apply: Callable[[Inputs, np.ndarray], Inputs]
    kinds: int = 1
    kind_of: Callable[[np.ndarray], np.ndarray] | None = None
    class_words: int = 0

    def made(self, parameters: np.ndarray) -> np.ndarray:
        """Return which new class each parameter creates, int64 in 0 … kinds - 1."""
        if self.kind_of is not None:
            return self.kind_of(parameters)
        return parameters.astype(np.int64) if self.kinds > 1 else np.zeros(parameters.shape, dtype=np.int64)


def _draw_quarter_turn(word: np.ndarray, items: int) -> np.ndarray:
    turns = below(word[0], 4).astype(np.int16)
    return np.repeat(turns[:, None], items, axis=1)


def quarter_turns(images: Inputs, turns: np.ndarray) -> Inputs:
    """Turn each image `(M, C, H, H)` counter-clockwise by its number of quarter turns (M,)."""
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
    """Mirror left and right of each image `(M, C, H, W)` whose number (M,) is 1; leave those with 0 unchanged."""
    if not isinstance(images, Tensor) or images.ndim != 4:
        found = tuple(images.shape) if isinstance(images, Tensor) else "a mapping"
        raise EpisodeError(f"augment='mirror' mirrors images (M, C, H, W); found {found}. Use augment='none'.")
    changed = images.clone()
    chosen = torch.from_numpy(np.flatnonzero(mirrored))
    if len(chosen):
        changed[chosen] = images[chosen].flip(3)
    return changed


def together(of_class: Augmentation, of_item: Augmentation) -> Augmentation:
    """Combine an augmentation that creates new classes with one that varies items. One parameter holds both.

    Args:
        of_class: Has k > 1 kinds; its parameters are 0 … k - 1. It is applied first.
        of_item: Has one kind; its parameters are any 16-bit numbers.

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
    # All items of a class turn together: a turned character counts as another character (MAML, Finn et al. 2017, section 5.2).
    "quarter_turns": Augmentation(words=1, draw=_draw_quarter_turn, apply=quarter_turns, kinds=4, class_words=1),
    # A mirrored character counts as another character, too.
    "mirror": Augmentation(words=1, draw=_draw_mirror, apply=mirror, kinds=2, class_words=1),
    "affine": Augmentation(words=1, draw=draw_warps, apply=affine),
    "elastic": Augmentation(words=1, draw=draw_warps, apply=elastic),
}


def augmentation(name: str) -> Augmentation | None:
    """Return the augmentation of that name; None for `none`.

    Args:
        name: One of `AUGMENTATIONS`, or two of them joined by a +: first one that creates new classes, then one that varies items. For
            example, `quarter_turns+affine`.

    Raises:
        EpisodeError: A name is unknown, or the two augmentations are not one of each kind, in this order.
    """
    if name == "none":
        return None
    parts = name.split("+") if isinstance(name, str) else [name]
    for part in parts:
        if not isinstance(part, str) or part not in AUGMENTATIONS:
            raise EpisodeError(f"there is no augmentation {part!r}.{known_ones(part, ['none', *sorted(AUGMENTATIONS)])}")
    if len(parts) == 1:
        return AUGMENTATIONS[name]
    found = [AUGMENTATIONS[part] for part in parts]
    if len(parts) != 2 or found[0].kinds == 1 or found[1].kinds > 1:
        ways = [[key for key, one in sorted(AUGMENTATIONS.items()) if (one.kinds > 1) is many] for many in (True, False)]
        raise EpisodeError(f"two augmentations must be one of {', '.join(ways[0])}, then one of {', '.join(ways[1])}; found {name!r}.")
    return together(*found)


def of_classes(name: str) -> str:
    """Return the name of the part of an augmentation that creates new classes, or `none`."""
    rule = augmentation(name)
    return "none" if rule is None or rule.kinds == 1 else name.split("+")[0]
