"""Omniglot: 1,623 handwritten characters from 50 alphabets, each drawn by 20 people.

In: the file inside the package, or the official zips. Out: a `Dataset` of drawings at any size, either with every quarter turn of a
character as a class of its own or without turns; and the three splits that papers use. Next: `kshot.episodes`.
"""

import json
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from kshot.data.cache import read_array, write_array
from kshot.data.class_index import ClassIndex
from kshot.data.kind import Kind
from kshot.data.pictures.flat import Levels
from kshot.data.pictures.ink import Ink, resize_ink
from kshot.data.pictures.omniglot_archive import DRAWERS, EMBEDDED, SIDE, Drawings, read_header, read_official, unpack
from kshot.data.split import Split, divide_by_names
from kshot.data.summary import summary
from kshot.errors import DataError, known_ones

if TYPE_CHECKING:
    from torch import Tensor

SPLITS = ("vinyals", "characters", "alphabets")
_TURNS = ("rot000", "rot090", "rot180", "rot270")
_AT_ONCE = 512
_RESIZED_BY = "bilinear1"
"""Names the method of `resize_ink`. It changes when the method does, so that the cache of an older kshot is not used."""
_VALIDATION_CHARACTERS, _VALIDATION_ALPHABETS = 100, 5


class Omniglot:
    """All 32,460 drawings in memory, uint8 (1, size, size), ink 255 on 0.

    Args:
        root: The folder of the official zips, or of their unpacked trees; None reads the copy inside the package.
        size: Pixels per side. Papers use 28; the original drawings have 105.
        zoom: How far drawings are brought to one common size, from 0 (not at all) to 1: `kshot.data.pictures.ink.resize_ink`.
        levels: How a learner of these drawings reads other pictures: `kshot.data.pictures.flat.Levels`.
        rotations: `classes`: every quarter turn of a character is a class, named `Greek/character01/rot090`, and item
            4 · drawing + turn is a drawing turned counter-clockwise. `none`: characters as drawn, item = drawing.

    Attributes:
        index: All 6,492 or 1,623 classes; the group of a class is its alphabet, `Greek`, with its turn where it has one, `Greek/rot090`.
        background: The 30 alphabets of the background set; the other 20 are the evaluation set.

    Raises:
        DataError: The official files are missing or damaged.

    Example:
        >>> omniglot = Omniglot()
        >>> len(omniglot.index), len(omniglot.split("vinyals").part("test"))
        (6492, 1692)
        >>> omniglot.gather(omniglot.index.items_of("Greek/character01/rot090")[:3]).shape
        torch.Size([3, 1, 28, 28])
    """

    name = "omniglot"

    def __init__(
        self,
        root: Path | None = None,
        *,
        size: int = 28,
        zoom: float = 0.0,
        levels: Levels = "full",
        rotations: Literal["classes", "none"] = "classes",
    ) -> None:
        if rotations not in ("classes", "none"):
            raise DataError(
                f"rotations must be 'classes' or 'none'; found {rotations!r}. As augmentation, ask for augment='quarter_turns'."
            )
        self.preprocess = Ink(size, zoom, levels)
        self.rotations = rotations
        if root is None:
            packed = EMBEDDED.read_bytes()
            characters, background, self.fingerprint = read_header(packed)
            zoomed = f"-zoom{zoom}" if zoom else ""
            name = f"omniglot-{self.fingerprint[:12]}-{size}{zoomed}-{_RESIZED_BY}.bin"
            worth = size < SIDE  # at full size a cache would take 358 MB of disk and hardly be quicker than unpacking
            kept = read_array(name) if worth else None
            if kept is None or kept.dtype != np.uint8 or kept.shape != (DRAWERS * len(characters), 1, size, size):
                kept = _resized(unpack(packed), self.preprocess)
                if worth:
                    write_array(name, kept)
        else:
            drawings = read_official(Path(root))
            characters, background, self.fingerprint = drawings.characters, drawings.background, drawings.fingerprint()
            kept = _resized(drawings, self.preprocess)
        self._kept = kept  # (drawings, 1, size, size)
        self.background = background
        self._characters = ["/".join(character) for character in characters]
        self.index = self._classes()

    def __len__(self) -> int:
        return len(self._kept) * (4 if self.rotations == "classes" else 1)

    def __repr__(self) -> str:
        return summary(self)

    def gather(self, items: np.ndarray) -> "Tensor":
        """Gather drawings, turned where turns are classes: uint8 (M, 1, size, size), a fresh tensor on the CPU."""
        import torch  # here, because opening the data needs none of it

        kept = torch.from_numpy(self._kept)  # the same memory
        if self.rotations == "none":
            return kept[torch.from_numpy(items)]
        drawings, turns = np.divmod(items, 4)
        gathered = kept[torch.from_numpy(drawings)]
        for turn in (1, 2, 3):
            chosen = torch.from_numpy(np.flatnonzero(turns == turn))
            if len(chosen):
                gathered[chosen] = torch.rot90(gathered[chosen], turn, (2, 3))
        return gathered

    def split(self, name: str, *, seed: int = 0) -> Split:
        """Divide the classes as papers do, into the parts `train`, `val`, `trainval` (both) and `test`.

        Args:
            name: `vinyals`: 1,028 / 172 / 423 characters, as published with Prototypical Networks. `characters`: the same 423
                test characters; `seed` divides the other 1,200 into 1,100 / 100. `alphabets`: the 20 evaluation alphabets are
                `test`; the 30 background alphabets are `trainval`, and 5 of them, chosen by `seed`, are `val`.
            seed: Seed of the division into train and val; `vinyals` uses none.

        Raises:
            DataError: There is no such split.
        """
        if name not in SPLITS:
            raise DataError(f"Omniglot has no split {name!r}.{known_ones(name, SPLITS)}")
        random = np.random.Generator(np.random.Philox(seed))
        if name == "alphabets":
            background = sorted(self.background)
            chosen = {background[position] for position in random.permutation(len(background))[:_VALIDATION_ALPHABETS]}
            parts: dict[str, list[str]] = {"train": [], "val": [], "test": []}
            for character in self._characters:
                alphabet = character.partition("/")[0]
                part = "val" if alphabet in chosen else "train" if alphabet in self.background else "test"
                parts[part].append(character)
        else:
            parts = json.loads((EMBEDDED.parent / "vinyals.json").read_text(encoding="utf-8"))
            if name == "characters":
                others = sorted(parts["train"] + parts["val"])
                order = random.permutation(len(others))
                cut = len(others) - _VALIDATION_CHARACTERS
                train, val = sorted(order[:cut]), sorted(order[cut:])
                parts = {"train": [others[p] for p in train], "val": [others[p] for p in val], "test": parts["test"]}
        return divide_by_names(self.index, {part: self._with_turns(members) for part, members in parts.items()}, name)

    def _with_turns(self, characters: list[str]) -> list[str]:
        if self.rotations == "none":
            return characters
        return [f"{character}/{turn}" for character in characters for turn in _TURNS]

    def _classes(self) -> ClassIndex:
        names = self._with_turns(self._characters)
        turns = len(names) // len(self._characters)
        drawings = np.arange(len(self._kept)).reshape(-1, 1, DRAWERS)  # (characters, 1, 20)
        items = (drawings * turns + np.arange(turns)[None, :, None]).reshape(len(names), DRAWERS)
        # A turned alphabet is an alphabet of its own: nobody mistakes a letter for another one that lies on its side.
        groups = {name: "/".join(name.split("/")[::2]) for name in names}
        return ClassIndex.build(dict(zip(names, items, strict=True)), groups)


def _resized(drawings: Drawings, preprocess: Ink) -> np.ndarray:
    """Resize every drawing to the size of the preprocessing: uint8 (M, 1, size, size)."""

    def resized(start: int) -> np.ndarray:
        full = drawings.ink[start : start + _AT_ONCE, None].view(np.uint8) * np.uint8(255)
        return resize_ink(full, preprocess.size, preprocess.zoom)

    with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:
        return np.concatenate(list(pool.map(resized, range(0, len(drawings.ink), _AT_ONCE))))


def _open(name: str, preprocess: Ink, *, rotations: Literal["classes", "none"] = "classes") -> Omniglot:
    return Omniglot(size=preprocess.size, zoom=preprocess.zoom, levels=preprocess.levels, rotations=rotations)


OMNIGLOT = Kind(
    what="omniglot is ink on paper",
    expects="the word 'omniglot'",
    dataset=Omniglot,
    preprocesses=(Ink,),
    open=_open,
    words=("omniglot",),
    splits=SPLITS,
    find_again=lambda omniglot: {"name": "omniglot", "rotations": omniglot.rotations},
)
