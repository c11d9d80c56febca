"""Items encoded once, however many episodes use them.

In: a learner and the episodes of a set. Out: `Features`, found by item. Next: `kshot.results.score.evaluate` and other modules that score
or inspect answers.
"""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from kshot.data.inputs import Inputs, concatenate, map_inputs
from kshot.episodes.batch import gather_inputs
from kshot.episodes.episode import DrawnEpisodes
from kshot.errors import DataError, KshotError
from kshot.learners.asked import all_finite, looked_at
from kshot.learners.learner import Learner
from kshot.results.score.episode_set import EpisodeSet

_ITEMS_AT_ONCE = 512
_ROWS_AT_ONCE = 1 << 12
_FEATURE_BYTES = 1 << 30
"""Features of all items are kept up to this size. Above it, episodes are scored block by block."""


@dataclass(frozen=True, eq=False)
class Features:
    """Encoded items, found by item number and augmentation parameter.

    Attributes:
        codes: item · 2¹⁶ + parameter for each row, ascending, int64 (U,).
        rows: Features (U, …).
        finite: Whether all of them are known to be finite.
    """

    codes: np.ndarray
    rows: Inputs
    finite: bool = False

    def looked_at(self) -> AbstractContextManager[None]:
        """Return a block in which learners need not look for numbers that are not finite, if there are none."""
        return looked_at() if self.finite else nullcontext()

    def of(self, items: np.ndarray, changes: np.ndarray | None) -> Inputs:
        """Return the features of items (B, n), as (B, n, …)."""
        place = torch.from_numpy(np.searchsorted(self.codes, item_codes(items, changes)))
        return map_inputs(lambda rows: rows[place.to(rows.device)], self.rows)


def encode_items(learner: Learner, episodes: EpisodeSet, codes: np.ndarray, device: torch.device) -> Features:
    """Encode items in chunks of a fixed size."""
    parts = []
    for start in range(0, len(codes), _ITEMS_AT_ONCE):
        chunk = codes[start : start + _ITEMS_AT_ONCE]
        changes = (chunk & 0xFFFF).astype(np.int16)
        x = gather_inputs(episodes.dataset, chunk >> 16, changes, episodes.shape.augment, device)
        with naming_items(x):
            parts.append(learner.encode(x))
    rows = concatenate(parts)
    return Features(codes, rows, all_finite(rows))


@contextmanager
def naming_items(x: Inputs) -> Iterator[None]:
    """Turn what a network raises for items (M, …) that it cannot read into an error that names their shape and type.

    Raises:
        DataError: The network cannot read them.
    """
    try:
        yield
    except KshotError:
        raise
    except (RuntimeError, ValueError) as error:
        if isinstance(error, torch.OutOfMemoryError):
            raise
        named = {"": x} if isinstance(x, Tensor) else x
        items = ", ".join(
            f"{name} {str(value.dtype).removeprefix('torch.')} {tuple(value.shape[1:])}".strip() for name, value in named.items()
        )
        raise DataError(
            f"the learner's network cannot read these items, {items}: {error}. Give items of the shape and type that it expects "
            "(float32 for most networks)."
        ) from error


def item_codes(items: np.ndarray, changes: np.ndarray | None) -> np.ndarray:
    """Encode each item and its parameter as one number, item · 2¹⁶ + parameter, int64. Parameters may be negative."""
    return (items << 16) | (0 if changes is None else changes.astype(np.int64) & 0xFFFF)


def used_codes(drawn: DrawnEpisodes) -> np.ndarray:
    """Return the codes of all items of a rectangle, each once."""
    codes = [item_codes(drawn.support_items, drawn.support_changes), item_codes(drawn.query_items, drawn.query_changes)]
    return np.unique(np.concatenate([part.reshape(-1) for part in codes]))


def encode_used(learner: Learner, sets: Sequence[EpisodeSet], device: torch.device) -> Features | None:
    """Encode all items that these sets use, each once. The sets must share one data set and one augmentation.

    Returns:
        The features; None if they would take more memory than is kept at once.
    """
    codes = np.unique(np.concatenate([used_codes(rectangle) for episodes in sets for rectangle in episodes.drawn]))
    sample = encode_items(learner, sets[0], codes[:1], device)
    return encode_items(learner, sets[0], codes, device) if len(codes) * _bytes_of(sample.rows) <= _FEATURE_BYTES else None


def with_features(
    learner: Learner, episodes: EpisodeSet, device: torch.device, features: Features | None = None
) -> Iterator[tuple[DrawnEpisodes, Features]]:
    """Yield blocks of episodes, each with features that cover its items: the given ones, or ones encoded here."""
    features = encode_used(learner, [episodes], device) if features is None else features
    for rectangle in episodes.drawn:
        per_episode = rectangle.support_y.shape[1] + rectangle.query_y.shape[1]
        rows = 1 if features is None else max(1, _ROWS_AT_ONCE // per_episode)
        for start in range(0, len(rectangle), rows):
            block = rectangle.rows(slice(start, start + rows))
            yield block, encode_items(learner, episodes, used_codes(block), device) if features is None else features


def _bytes_of(rows: Inputs) -> int:
    values = [rows] if isinstance(rows, Tensor) else list(rows.values())
    return sum(value.numel() * value.element_size() for value in values)
