"""A fixed test: a set of episodes, drawn once or listed, and the hash that identifies them.

In: a data set, classes, a shape, a seed. Out: `EpisodeSet`. Next: `kshot.results.score.features` and `kshot.results.score.evaluate`.
"""

from dataclasses import dataclass

import numpy as np

from kshot.data.class_index import ClassIndex
from kshot.data.dataset import Dataset, notes_on, require_dataset
from kshot.data.target_dataset import has_targets
from kshot.episodes.centres import distances_for
from kshot.episodes.draw import check_drawable, draw_episodes, episode_key
from kshot.episodes.episode import DrawnEpisodes
from kshot.episodes.identity import episodes_hash
from kshot.episodes.nearness import ClassDistances
from kshot.episodes.shape import EpisodeShape, check_way
from kshot.errors import RecipeError
from kshot.short_repr import short_repr
from kshot.value_types import count_fault, shortened

MOST_ITEMS = 50_000_000
"""Support and query items of all episodes of a set; their numbers take 8 bytes each, and drawing takes several times that."""


@dataclass(frozen=True, eq=False)
class EpisodeSet:
    """A fixed test: E episodes, drawn once from these classes with one seed.

    Attributes:
        dataset: Where the items are.
        index: The classes from which episodes were drawn. `drawn.classes` are positions in it.
        split: Name of the classes in records, for example `vinyals/test`.
        shape: Way, shot, query and rules.
        seed: Seed of the episode stream.
        drawn: All episodes, as rectangles.
        hash: Hash that identifies the set.
    """

    dataset: Dataset
    index: ClassIndex
    split: str
    shape: EpisodeShape
    seed: int
    drawn: tuple[DrawnEpisodes, ...]
    hash: str

    @classmethod
    def draw(
        cls,
        dataset: Dataset,
        index: ClassIndex,
        split: str,
        shape: EpisodeShape,
        *,
        episodes: int,
        seed: int = 0,
        distances: ClassDistances | None = None,
    ) -> "EpisodeSet":
        """Draw episodes 0 … episodes - 1 of a seed.

        A shape with near or far classes uses the given distances, or else measures them on the pixels.

        Raises:
            DataError: `dataset` is no data set.
            EpisodeError: The classes cannot give the shape.
            RecipeError: The number of episodes is below 1 or not whole, or their items are more than `MOST_ITEMS`.
        """
        require_dataset(dataset)
        if fault := count_fault("episodes", episodes, 1):
            raise RecipeError(f"{fault}.")
        items = episodes * shape.way_range[1] * (shape.shot_range[1] + shape.query_range[1])
        if items > MOST_ITEMS:
            raise RecipeError(
                f"all episodes together have at most {MOST_ITEMS:,} items; {shortened(episodes)} episodes of this shape have "
                f"{shortened(items)}. Lower the number of episodes."
            )
        check_way(shape, real_targets=has_targets(dataset))
        check_drawable(index, shape, notes_on(dataset))  # before anything is measured
        distances = distances_for(shape, dataset, index, distances)
        key = episode_key(dataset.fingerprint, split, shape, seed, distances)
        drawn = tuple(draw_episodes(index, shape, key, np.arange(episodes), distances))
        return cls(dataset, index, split, shape, seed, drawn, episodes_hash(dataset.fingerprint, drawn))

    @classmethod
    def given(cls, dataset: Dataset, index: ClassIndex, name: str, drawn: DrawnEpisodes) -> "EpisodeSet":
        """Make a set of episodes that are listed, not drawn (`kshot.episodes.listed`): a published test with its name."""
        way, (S, Q) = drawn.way, (drawn.support_y.shape[1], drawn.query_y.shape[1])
        shape = EpisodeShape(way, max(1, S // way), max(1, Q // way))
        return cls(dataset, index, name, shape, 0, (drawn,), episodes_hash(dataset.fingerprint, [drawn]))

    def __repr__(self) -> str:
        classes = f"{self.dataset.name} {self.split}: {len(self.index):,} classes"
        parts = [classes, f"{len(self):,} episodes", repr(self.shape), f"seed={self.seed}", f"hash='{self.hash[:12]}…'"]
        return short_repr("EpisodeSet", parts)

    def __len__(self) -> int:
        return sum(len(rectangle) for rectangle in self.drawn)
