"""Plain labelled batches, each a function of its number: the training data of the transfer baselines.

In: a data set, classes and a seed. Out: for update t, the items of that update with their class numbers. There are no episodes: a batch
holds items of all classes, and every item comes as often as any other. Next: `kshot.meta_train`.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from kshot.data.class_index import ClassIndex
from kshot.data.dataset import Dataset, require_dataset
from kshot.data.inputs import Inputs, form_of
from kshot.device import pick_device
from kshot.episodes.augment import augmentation
from kshot.episodes.batch import gather_inputs
from kshot.episodes.counter_random import key_of, streams, words
from kshot.errors import EpisodeError
from kshot.short_repr import short_repr
from kshot.value_types import LARGEST_COUNT, count_fault

_AT_ONCE = 512


@dataclass(frozen=True, eq=False)
class ItemBatch:
    """M labelled items as tensors on one device.

    Attributes:
        x: Inputs (M, …), a tensor or a mapping of names to such tensors.
        y: Labels 0 … way - 1, int64 (M,).
        way: Number of classes in all, usually more than there are in this batch.
        numbers: Numbers of these items in the data set, int64 (M,), for messages.
    """

    unit: ClassVar[str] = "item"
    x: Inputs
    y: Tensor
    way: int
    numbers: np.ndarray

    def __repr__(self) -> str:
        return short_repr("ItemBatch", [f"x={form_of(self.x)}", f"y={form_of(self.y)}", f"way={self.way}", f"device='{self.device}'"])

    def __len__(self) -> int:
        return int(self.y.shape[0])

    @property
    def device(self) -> torch.device:
        """Device of the tensors."""
        return self.y.device

    def items(self) -> Inputs:
        """Return some of the items, (M, …): here, all of them."""
        return self.x


@dataclass
class ItemStream:
    """An endless stream of item batches: update t has the places t·batch … (t + 1)·batch - 1; rank r of R gets those ≡ r (mod R).

    The places 0 … n-1 hold each of the n items once, in an order that is a function of (fingerprint, split, augmentation, seed). The
    places n … 2n-1 hold them in another order, and so on. The item in a place does not depend on the batch size, so a batch may hold
    the end of one round and the beginning of the next.

    Attributes:
        dataset: Where the items are.
        index: The classes. The label of an item is the position of its class.
        split: Name of these classes in the record, for example `vinyals/train`.
        seed: Seed of the item stream.
        batch: Items per update, over all ranks.
        augment: Name of an augmentation in `kshot.episodes.augment`, drawn for each place; `none` changes nothing. An augmentation
            that creates new classes (a turned character counts as another character) multiplies the number of classes by its number
            of kinds; the label is then class · kinds + kind.
        rank: This process, 0 … ranks - 1.
        ranks: Number of processes that share the stream.
        device: Device of the tensors; a name is taken too.

    Raises:
        EpisodeError: There are fewer items than a batch needs, only one class, fewer items than ranks, or the seed is negative; a number
            is not whole or out of its range.
        SetupError: There is no such device here.
    """

    source: ClassVar[str] = "items"
    dataset: Dataset
    index: ClassIndex
    split: str
    seed: int
    batch: int = 256
    augment: str = "none"
    rank: int = 0
    ranks: int = 1
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))

    def __post_init__(self) -> None:
        require_dataset(self.dataset)
        for name in ("batch", "rank", "ranks"):
            if fault := count_fault(f"{name} of a stream", getattr(self, name), 0, LARGEST_COUNT):
                raise EpisodeError(f"{fault}.")
        if self.batch < 1 or self.ranks < 1 or not 0 <= self.rank < self.ranks or self.batch < self.ranks:
            raise EpisodeError(f"a stream needs 0 ≤ rank < ranks ≤ batch; found rank={self.rank} ranks={self.ranks} batch={self.batch}.")
        self.device = pick_device(self.device)
        if not isinstance(self.split, str):
            raise EpisodeError(f"the split of items must be text, the name of their classes; found {self.split!r}.")
        if fault := count_fault("the seed of items", self.seed, 0):
            raise EpisodeError(f"{fault}.")
        if self.batch > len(self.index.items):
            raise EpisodeError(
                f"a batch of {self.batch} items is larger than the {len(self.index.items)} items in the {len(self.index)} classes of "
                f"{self.split}. Lower the batch (items.batch in a recipe) or add items."
            )
        if len(self.index) < 2:
            raise EpisodeError(
                f"telling classes apart needs at least 2 of them; {self.split} has only {self.index.names[0]!r}. Add classes."
            )
        self._change = augmentation(self.augment)
        parts = {"data": self.dataset.fingerprint, "split": self.split, "augment": self.augment, "seed": self.seed}
        self._order_key, self._change_key = (key_of({"items": what, **parts}) for what in ("order", "change"))
        self._labels = np.repeat(np.arange(len(self.index)), self.index.sizes)  # labels of the entries of index.items
        self._rounds: dict[int, np.ndarray] = {}

    def __repr__(self) -> str:
        items = f"{self.dataset.name} {self.split}: {len(self.index.items):,} items of {len(self.index):,} classes"
        ranks = [] if self.ranks == 1 else [f"rank={self.rank}", f"ranks={self.ranks}"]
        parts = [items, f"seed={self.seed}", f"batch={self.batch}", f"augment={self.augment!r}", *ranks, f"device='{self.device}'"]
        return short_repr("ItemStream", parts)

    @property
    def size(self) -> int:
        """Items per update, over all ranks."""
        return self.batch

    @property
    def way(self) -> int:
        """Number of classes that the labels distinguish."""
        return len(self.index) * (1 if self._change is None else self._change.kinds)

    def batches(self, update: int) -> list[ItemBatch]:
        """Return the items of one update as tensors, in a list of one batch."""
        places = np.arange(update * self.batch, (update + 1) * self.batch)
        places = places[places % self.ranks == self.rank]
        entries, changes = self._entries(places), self._changes(places)
        items, labels = self.index.items[entries], self._labels[entries]
        if self._change is not None and changes is not None:
            labels = labels * self._change.kinds + self._change.made(changes)
        x = gather_inputs(self.dataset, items, changes, self.augment, self.device)
        return [ItemBatch(x, torch.from_numpy(labels).to(self.device, non_blocking=True), self.way, items)]

    def _entries(self, places: np.ndarray) -> np.ndarray:
        """Return the positions in `index.items` that these places hold, int64 (M,)."""
        n = len(self.index.items)
        rounds = places // n
        needed = {int(number) for number in np.unique(rounds)}
        self._rounds = {number: self._rounds[number] if number in self._rounds else self._order(number) for number in needed}
        entries = np.empty(len(places), dtype=np.int64)
        for number in needed:
            entries[rounds == number] = self._rounds[number][places[rounds == number] % n]
        return entries

    def _order(self, number: int) -> np.ndarray:
        """Return the order of one round: entries sorted by one random key each. Equal keys (chance 2⁻⁶⁴) keep their order."""
        keys = words(streams(self._order_key, np.array([number])), 0, len(self.index.items))[:, 0]
        return np.argsort(keys, kind="stable")

    def _changes(self, places: np.ndarray) -> np.ndarray | None:
        """Return the augmentation parameter of each place, int16 (M,), or None without augmentation."""
        if self._change is None:
            return None
        return self._change.draw(words(streams(self._change_key, places), 0, self._change.words), 1)[:, 0]


def all_items(dataset: Dataset, index: ClassIndex, device: torch.device) -> Iterator[Inputs]:
    """Yield every item of these classes once, class by class, as unaugmented inputs (m, …) in chunks of at most 512."""
    for start in range(0, len(index.items), _AT_ONCE):
        yield gather_inputs(dataset, index.items[start : start + _AT_ONCE], None, "none", device)
