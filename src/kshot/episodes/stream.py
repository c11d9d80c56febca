"""An endless stream of updates, each a function of its number: the input of training.

In: a data set, classes, a shape and a seed. Out: for update t, the rectangles of its tasks. Next: `kshot.meta_train`.
"""

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
import torch

from kshot.data.class_index import ClassIndex
from kshot.data.dataset import Dataset, notes_on, require_dataset
from kshot.data.target_dataset import has_targets
from kshot.device import pick_device
from kshot.episodes.batch import gather_batch
from kshot.episodes.centres import distances_for
from kshot.episodes.draw import check_drawable, draw_episodes, episode_key
from kshot.episodes.episode import DrawnEpisodes, EpisodeBatch
from kshot.episodes.nearness import ClassDistances
from kshot.episodes.shape import EpisodeShape, check_way
from kshot.errors import EpisodeError
from kshot.short_repr import short_repr
from kshot.value_types import LARGEST_COUNT, count_fault

_AHEAD = 64
"""Episodes drawn per call, so that they share its cost. Drawing them together changes none of them."""


@dataclass
class EpisodeStream:
    """An endless stream of episodes: update t has the episodes t·tasks … (t + 1)·tasks - 1; rank r of R gets those ≡ r (mod R).

    Attributes:
        dataset: Where the items are.
        index: The classes that may be drawn.
        split: Name of these classes in the record, for example `vinyals/train`; part of an episode's identity.
        shape: Way, shot, query and rules.
        seed: Seed of the episode stream.
        tasks: Tasks per update, over all ranks.
        rank: This process, 0 … ranks - 1.
        ranks: Number of processes that share the stream.
        device: Device of the tensors; a name is taken too.
        distances: Distances between the classes of `index`, for a shape with near or far classes. None measures them on the pixels.

    Raises:
        DataError: `dataset` is no data set.
        EpisodeError: The classes cannot give the shape, there are fewer tasks than ranks, or a number is not whole or out of its range.
        SetupError: There is no such device here.
    """

    source: ClassVar[str] = "episodes"
    dataset: Dataset
    index: ClassIndex
    split: str
    shape: EpisodeShape
    seed: int
    tasks: int = 1
    rank: int = 0
    ranks: int = 1
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    distances: ClassDistances | None = None

    def __post_init__(self) -> None:
        require_dataset(self.dataset)
        for name in ("tasks", "rank", "ranks"):
            if fault := count_fault(f"{name} of a stream", getattr(self, name), 0, LARGEST_COUNT):
                raise EpisodeError(f"{fault}.")
        if self.tasks < 1 or self.ranks < 1 or not 0 <= self.rank < self.ranks or self.tasks < self.ranks:
            raise EpisodeError(f"a stream needs 0 ≤ rank < ranks ≤ tasks; found rank={self.rank} ranks={self.ranks} tasks={self.tasks}.")
        self.device = pick_device(self.device)
        check_way(self.shape, real_targets=has_targets(self.dataset))
        check_drawable(self.index, self.shape, notes_on(self.dataset))
        self.distances = distances_for(self.shape, self.dataset, self.index, self.distances)
        self._key = episode_key(self.dataset.fingerprint, self.split, self.shape, self.seed, self.distances)
        self._ahead: dict[int, list[DrawnEpisodes]] = {}

    def __repr__(self) -> str:
        classes = f"{self.dataset.name} {self.split}: {len(self.index):,} classes"
        ranks = [] if self.ranks == 1 else [f"rank={self.rank}", f"ranks={self.ranks}"]
        parts = [classes, repr(self.shape), f"seed={self.seed}", f"tasks={self.tasks}", *ranks, f"device='{self.device}'"]
        return short_repr("EpisodeStream", parts)

    @property
    def size(self) -> int:
        """Tasks per update, over all ranks."""
        return self.tasks

    def drawn(self, update: int) -> list[DrawnEpisodes]:
        """Return the tasks of one update as item numbers, in rectangles."""
        if update not in self._ahead:
            updates = max(1, _AHEAD // self.tasks)
            start = update - update % updates
            self._ahead = {t: [] for t in range(start, start + updates)}
            numbers = np.arange(start * self.tasks, (start + updates) * self.tasks)
            of_rank = numbers[numbers % self.ranks == self.rank]
            for rectangle in draw_episodes(self.index, self.shape, self._key, of_rank, self.distances):
                of_update = rectangle.numbers // self.tasks
                for t in np.unique(of_update):
                    self._ahead[int(t)].append(rectangle.rows(of_update == t))
            for rectangles in self._ahead.values():  # this order does not depend on what else was drawn ahead
                rectangles.sort(key=lambda rectangle: int(rectangle.numbers[0]))
        return self._ahead[update]

    def batches(self, update: int) -> list[EpisodeBatch]:
        """Return the tasks of one update as tensors: one batch, or several if way or shot is a range."""
        return [gather_batch(self.dataset, rectangle, self.shape.augment, self.device) for rectangle in self.drawn(update)]
