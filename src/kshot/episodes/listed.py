"""Episodes that are given, not drawn: published tests, for example Lake's runs.

In: item numbers of support and query. Out: the same `DrawnEpisodes` that drawing gives. Next: `kshot.workflows.lake_challenge`.
"""

from collections.abc import Sequence

import numpy as np

from kshot.data.class_index import ClassIndex
from kshot.episodes.episode import DrawnEpisodes
from kshot.errors import EpisodeError


def listed_episodes(
    index: ClassIndex,
    classes: Sequence[Sequence[str]],
    support_items: np.ndarray,
    support_y: np.ndarray,
    query_items: np.ndarray,
    query_y: np.ndarray,
) -> DrawnEpisodes:
    """Return E given episodes of equal way, S and Q, numbered from 0.

    Args:
        index: Where the classes and their items are.
        classes: Class names of each episode, E rows of N names. Label n stands for the n-th name.
        support_items: Item numbers, int64 (E, S).
        support_y: Labels 0 … N-1, int64 (E, S).
        query_items: Item numbers, int64 (E, Q).
        query_y: Labels, int64 (E, Q).

    Raises:
        EpisodeError: An item does not belong to the class of its label, a class has no support item, or an item is both support and
            query of an episode.
        DataError: A class is not in the index.
    """
    positions = np.array([[index.position(name) for name in row] for row in classes], dtype=np.int64)  # (E, N)
    owner = np.full(int(index.items.max()) + 1, -1, dtype=np.int64)  # for each item, the position of its class
    owner[index.items] = np.repeat(np.arange(len(index)), index.sizes)
    for part, items, labels in (("support", support_items, support_y), ("query", query_items, query_y)):
        known = np.where((items >= 0) & (items < len(owner)), owner[np.clip(items, 0, len(owner) - 1)], -1)
        wrong = np.argwhere(known != np.take_along_axis(positions, labels, axis=1))
        if len(wrong):
            episode, place = map(int, wrong[0])
            raise EpisodeError(
                f"the label of {part} item {place} of episode {episode} (item number {items[episode, place]}) says class "
                f"{classes[episode][labels[episode, place]]!r}, but the item is not of that class. Correct the list."
            )
    for episode in range(len(positions)):
        if len(missing := set(range(positions.shape[1])) - set(support_y[episode].tolist())):
            raise EpisodeError(f"class {classes[episode][min(missing)]!r} of episode {episode} has no support item. Give it one.")
        if len(shared := np.intersect1d(support_items[episode], query_items[episode])):
            raise EpisodeError(f"item {shared[0]} is both support and query of episode {episode}; a query must be new. Drop it from one.")
    return DrawnEpisodes(np.arange(len(positions)), positions, support_items, support_y, query_items, query_y)
