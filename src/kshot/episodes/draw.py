"""Draw episodes: item numbers, from a class index, a shape, a key and the numbers of the episodes, and from nothing else.

Drawing is vectorised over episodes. Each episode has its own random stream, and so has each of its classes. What an episode draws therefore
does not depend on which other episodes are drawn with it. Next: `kshot.episodes.stream`.
"""

from collections.abc import Sequence

import numpy as np

from kshot.data.class_index import ClassIndex
from kshot.episodes.augment import augmentation
from kshot.episodes.counter_random import below, key_of, streams, words
from kshot.episodes.episode import DrawnEpisodes
from kshot.episodes.nearness import Candidates, ClassDistances, check_distances, draw_related, least_classes
from kshot.episodes.sample import sample_without_replacement
from kshot.episodes.shape import EpisodeShape, Range
from kshot.errors import EpisodeError
from kshot.value_types import count_fault

# The words of an episode's stream are: way, shot, query, group, then the classes. The words of a class's stream in an episode are:
# its own shot and query, the division of its items (with replacement only), the augmentation, then the items.
_WAY, _SHOT, _QUERY, _GROUP, _CLASSES = range(5)
_OWN_SHOT, _OWN_QUERY, _CHANGES, _ITEMS = 0, 1, 2, 8
_POSITIONS = streams(1, np.arange(1))
"""Turns the seed of an episode into the seed of the stream that all its classes share (`same_positions`)."""


def episode_key(fingerprint: str, split: str, shape: EpisodeShape, seed: int, distances: ClassDistances | None = None) -> int:
    """Return the 64-bit key of a stream of episodes. An episode is a function of this key and its number.

    Distances enter the key if the shape asks for near or far classes.

    Raises:
        EpisodeError: The split is no text, or the seed is negative or no whole number.
    """
    if not isinstance(split, str):
        raise EpisodeError(f"the split of episodes must be text, the name of their classes; found {split!r}.")
    if fault := count_fault("the seed of episodes", seed, 0):
        raise EpisodeError(f"{fault}.")
    parts = {"data": fingerprint, "split": split, "shape": shape.as_dict(), "seed": int(seed)}
    if shape.nearness != "any" and distances is not None:
        parts["distances"] = distances.fingerprint
    return key_of(parts)


def check_drawable(index: ClassIndex, shape: EpisodeShape, notes: Sequence[str] = ()) -> None:
    """Raise an error if the classes cannot give episodes of this shape.

    Args:
        index: The classes.
        shape: The shape.
        notes: What a user should know about the data: why a class is smaller than its folder, for example.

    Raises:
        EpisodeError: There are too few classes for the way, too few items in a class, no groups, or no group with enough classes. The
            message ends with the notes.
    """
    try:
        _check_drawable(index, shape)
    except EpisodeError as error:
        raise EpisodeError(" ".join([str(error), *(f"Note: {note}" for note in notes)])) from None


def _check_drawable(index: ClassIndex, shape: EpisodeShape) -> None:
    way, shot, query = shape.way_range[1], shape.shot_range[1], shape.query_range[1]
    least = least_classes(way, shape.nearness)
    asked = f"way={way}" + (f" nearness={shape.nearness!r}" if shape.nearness != "any" else "")
    if len(index) < least:
        raise EpisodeError(
            f"{asked} needs at least {least} classes; found {len(index)}: {', '.join(index.names[:5])}. Lower way or add classes."
        )
    needed = 2 if shape.replacement else shot + query
    smallest = int(np.argmin(index.sizes))
    if index.sizes[smallest] < needed:
        short = int((index.sizes < needed).sum())
        others = f" ({short} classes are too small)" if short > 1 else ""
        cure = "Lower shot or query, or drop the class."
        if shape.replacement:
            cure = "Add items or drop the class."
        raise EpisodeError(
            f"class {index.names[smallest]!r} has {index.sizes[smallest]} items; way={way} shot={shot} query={query} "
            f"needs {needed}{others}. {cure}"
        )
    if shape.within_groups:
        if index.groups is None:
            raise EpisodeError("episodes within groups need a group for each class; this data has none. Drop within_groups.")
        names, group = index.grouping
        counts = np.bincount(group)
        if counts.max() < least:
            raise EpisodeError(
                f"{asked} within one group needs a group of {least} classes; the largest, {names[counts.argmax()]!r}, "
                f"has {counts.max()}. Lower way or drop within_groups."
            )


def draw_episodes(
    index: ClassIndex, shape: EpisodeShape, key: int, numbers: np.ndarray, distances: ClassDistances | None = None
) -> list[DrawnEpisodes]:
    """Draw the episodes with these numbers.

    Args:
        index: The classes to draw from.
        shape: Way, shot, query and rules.
        key: From `episode_key`.
        numbers: Which episodes, int64 ≥ 0 (E,).
        distances: Distances between the classes of `index`; needed only for near or far classes.

    Returns:
        Rectangles of equal way, S and Q, in the order of their first numbers. Together they hold every number once.
        There is one rectangle if way, shot and query are plain numbers.

    Raises:
        EpisodeError: The classes cannot give the shape (`check_drawable`), or the distances are missing or belong to other classes.
    """
    check_drawable(index, shape)
    if shape.nearness != "any":
        check_distances(distances, index, shape.nearness)
    numbers = np.asarray(numbers, dtype=np.int64)
    seeds = streams(key, numbers)
    way = _own(words(seeds, _WAY, 1)[0], shape.way_range)
    shot = _own(words(seeds, _SHOT, 1)[0], shape.shot_range)
    query = _own(words(seeds, _QUERY, 1)[0], shape.query_range)
    if not shape.balanced:
        shot[:], query[:] = shape.shot_range[1], shape.query_range[1]
    rectangles = []
    for rows in _equal_rows(np.stack([way, shot, query])):
        first = rows[0]
        classes = _draw_classes(index, shape, seeds[rows], int(way[first]), distances)
        drawn = _draw_items(index, shape, seeds[rows], classes, int(shot[first]), int(query[first]))
        rectangles.extend(_cut(numbers[rows], classes, *drawn))
    position = {int(number): place for place, number in enumerate(numbers)}
    return sorted(rectangles, key=lambda drawn: position[int(drawn.numbers[0])])


def _own(word: np.ndarray, limits: Range) -> np.ndarray:
    """Return a value of the range for each word, int64."""
    own: np.ndarray = limits[0] + below(word, limits[1] - limits[0] + 1)
    return own


def _equal_rows(columns: np.ndarray) -> list[np.ndarray]:
    """Return the positions of equal columns of (3, E), one array per group, each in ascending order."""
    if (columns == columns[:, :1]).all():
        return [np.arange(columns.shape[1])] if columns.shape[1] else []
    _, group = np.unique(columns, axis=1, return_inverse=True)
    group = group.reshape(-1)  # only NumPy 2.0 gives it a second dimension
    order = np.argsort(group, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(group[order])) + 1)


def _draw_classes(index: ClassIndex, shape: EpisodeShape, seeds: np.ndarray, way: int, distances: ClassDistances | None) -> np.ndarray:
    """Draw different classes for each episode, int64 (B, N), in random order. The order is the labelling."""
    choices = _candidates(index, shape, seeds, way)
    if shape.nearness != "any":
        assert distances is not None
        return draw_related(shape.nearness, choices, distances.table, seeds, _CLASSES, way)
    return choices.at(sample_without_replacement(seeds, _CLASSES, way, choices.counts, choices.largest))


def _candidates(index: ClassIndex, shape: EpisodeShape, seeds: np.ndarray, way: int) -> Candidates:
    """Return, for each episode, all classes, or those of a randomly drawn group that is large enough."""
    if not shape.within_groups:
        counts = np.full(len(seeds), len(index), dtype=np.int64)
        return Candidates(np.arange(len(index)), np.zeros_like(counts), counts, len(index), len(index))
    assert index.groups is not None
    _, group = index.grouping
    members = np.argsort(group, kind="stable")  # class positions, one group after another
    counts = np.bincount(group)
    starts = np.cumsum(counts) - counts
    eligible = np.flatnonzero(counts >= least_classes(way, shape.nearness))
    chosen = eligible[below(words(seeds, _GROUP, 1)[0], len(eligible))]
    return Candidates(members, starts[chosen], counts[chosen], int(counts[eligible].min()), int(counts.max()))


_Items = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray | None]


def _draw_items(index: ClassIndex, shape: EpisodeShape, seeds: np.ndarray, classes: np.ndarray, shot: int, query: int) -> _Items:
    """Draw support and query items for each class of each episode.

    Returns:
        Item numbers of support (B, N, K) and query (B, N, Q/N); how many of either each class uses, int64 (B, N) twice; and the
        augmentation parameters (B, N, K + Q/N), or None.
    """
    B, N = classes.shape
    flat = classes.reshape(-1)  # (M,) with M = B N
    episode_seeds = seeds
    own = streams(0, np.arange(N))  # one stream per class position, the same in every episode ...
    with np.errstate(over="ignore"):
        seeds = (seeds[:, None] ^ own[None, :]).reshape(-1)  # ... which the episode's seed makes its own, (M,)
    sizes, largest = index.sizes[flat], int(index.sizes.max())
    wanted = np.int64(shot + query)
    if shape.same_positions:
        smallest = int(index.sizes.min())  # every class has these positions
        one = sample_without_replacement(episode_seeds ^ _POSITIONS, _ITEMS, shot + query, np.full(B, smallest), smallest)
        drawn = np.repeat(one, N, axis=1)
    else:
        drawn = sample_without_replacement(seeds, _ITEMS, shot + query, np.maximum(sizes, wanted), max(largest, shot + query))
    if shape.replacement and (few := sizes < wanted).any():
        drawn[:, few] = _with_replacement(seeds[few], sizes[few], largest, shot, query)
    items = index.items[index.starts[flat] + drawn].T.reshape(B, N, shot + query)
    shots, queries = np.full((B, N), shot), np.full((B, N), query)
    if not shape.balanced:
        shots = _own(words(seeds, _OWN_SHOT, 1)[0], shape.shot_range).reshape(B, N)
        queries = _own(words(seeds, _OWN_QUERY, 1)[0], shape.query_range).reshape(B, N)
    changes = None
    if (augment := augmentation(shape.augment)) is not None:
        drawn_words = words(seeds, _CHANGES, augment.words)  # (words, M)
        if shape.within_groups:
            drawn_words[: augment.class_words] = np.repeat(drawn_words[: augment.class_words, ::N], N, axis=1)
        changes = augment.draw(drawn_words, shot + query).reshape(B, N, shot + query)
    return items[:, :, :shot], items[:, :, shot:], shots, queries, changes


def _with_replacement(seeds: np.ndarray, sizes: np.ndarray, largest: int, shot: int, query: int) -> np.ndarray:
    """Draw for classes with too few items: divide the items at random as shot : query, then draw from both parts with replacement."""
    order = np.argsort(np.where(np.arange(largest)[:, None] < sizes, words(seeds, _ITEMS, largest), np.uint64(2**64 - 1)), axis=0)
    for_support = np.clip(np.rint(sizes * shot / (shot + query)).astype(np.int64), 1, sizes - 1)
    picks = words(seeds, _ITEMS + largest, shot + query)
    ranks = np.concatenate([below(picks[:shot], for_support), for_support + below(picks[shot:], sizes - for_support)])
    drawn: np.ndarray = np.take_along_axis(order, ranks, axis=0)  # (shot + query, M)
    return drawn


def _cut(
    numbers: np.ndarray,
    classes: np.ndarray,
    support: np.ndarray,
    query: np.ndarray,
    shots: np.ndarray,
    queries: np.ndarray,
    changes: np.ndarray | None,
) -> list[DrawnEpisodes]:
    """Flatten classes × items to S and Q. Unbalanced episodes are grouped into rectangles of equal S and Q."""
    B, N, K = support.shape
    labels = np.arange(N)[None, :, None]
    if (shots == K).all() and (queries == query.shape[2]).all():  # balanced: every item is kept, S = N·K
        return [
            DrawnEpisodes(
                numbers=numbers,
                classes=classes,
                support_items=support.reshape(B, -1),
                support_y=np.tile(np.repeat(np.arange(N), K), (B, 1)),
                query_items=query.reshape(B, -1),
                query_y=np.tile(np.repeat(np.arange(N), query.shape[2]), (B, 1)),
                support_changes=None if changes is None else changes[:, :, :K].reshape(B, -1),
                query_changes=None if changes is None else changes[:, :, K:].reshape(B, -1),
            )
        ]
    parts = []
    for rows in _equal_rows(np.stack([np.full(B, N), shots.sum(1), queries.sum(1)])):
        keep_support = np.arange(K)[None, None, :] < shots[rows][:, :, None]  # (b, N, K)
        keep_query = np.arange(query.shape[2])[None, None, :] < queries[rows][:, :, None]
        b = len(rows)

        def taken(values: np.ndarray, keep: np.ndarray, b: int = b) -> np.ndarray:
            kept: np.ndarray = np.broadcast_to(values, keep.shape)[keep].reshape(b, -1)
            return kept

        parts.append(
            DrawnEpisodes(
                numbers=numbers[rows],
                classes=classes[rows],
                support_items=taken(support[rows], keep_support),
                support_y=taken(labels, keep_support),
                query_items=taken(query[rows], keep_query),
                query_y=taken(labels, keep_query),
                support_changes=None if changes is None else taken(changes[rows][:, :, :K], keep_support),
                query_changes=None if changes is None else taken(changes[rows][:, :, K:], keep_query),
            )
        )
    return parts
