"""Score a learner on a fixed set of episodes, one score an episode.

In: a learner, classes, an episode set (a shape, a seed and a range of numbers). Out: `Results`. Every item that the episodes use is
encoded once, however many episodes use it; the scores are those of encoding each episode on its own.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from kshot.data.class_index import ClassIndex
from kshot.data.dataset import Dataset
from kshot.data.inputs import Inputs, concatenate, map_inputs
from kshot.data.targets import has_targets
from kshot.episodes.batch import gather_answers, gather_inputs
from kshot.episodes.centres import distances_for
from kshot.episodes.draw import check_drawable, draw_episodes, episode_key
from kshot.episodes.episode import DrawnEpisodes
from kshot.episodes.identity import episodes_hash
from kshot.episodes.nearness import ClassDistances
from kshot.episodes.shape import EpisodeShape, check_way
from kshot.errors import RecipeError
from kshot.learners.learner import Learner, Mode, require_kind
from kshot.results.result import Results

_ITEMS_AT_ONCE = 512
_ROWS_AT_ONCE = 1 << 12
_FEATURE_BYTES = 1 << 30
"""Features of all items are kept while they take at most this much; beyond it, episodes are scored block by block."""


@dataclass(frozen=True, eq=False)
class EpisodeSet:
    """A fixed test: E episodes of a seed, drawn once, from these classes.

    Attributes:
        dataset: Where the items are.
        index: The classes that were drawn from; `drawn.classes` are positions in it.
        split: What records call the classes, such as `vinyals/test`.
        shape: Way, shot, query and rules.
        seed: Which stream.
        drawn: All episodes, as rectangles.
        hash: Names the set.
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
        """Episodes 0 … episodes - 1 of a seed.

        A shape with near or far classes takes the distances given, or else measures them on the pixels.

        Raises:
            EpisodeError: The classes cannot give the shape.
            RecipeError: There are no episodes to draw.
        """
        if episodes < 1:
            raise RecipeError(f"episodes must be at least 1; found {episodes}.")
        check_way(shape, real_targets=has_targets(dataset))
        check_drawable(index, shape)  # before anything is measured
        distances = distances_for(shape, dataset, index, distances)
        key = episode_key(dataset.fingerprint, split, shape, seed, distances)
        drawn = tuple(draw_episodes(index, shape, key, np.arange(episodes), distances))
        return cls(dataset, index, split, shape, seed, drawn, episodes_hash(dataset.fingerprint, drawn))

    @classmethod
    def given(cls, dataset: Dataset, index: ClassIndex, name: str, drawn: DrawnEpisodes) -> "EpisodeSet":
        """Episodes that were listed, not drawn (`kshot.episodes.listed`): a published test, by its name."""
        way, (S, Q) = drawn.way, (drawn.support_y.shape[1], drawn.query_y.shape[1])
        shape = EpisodeShape(way, max(1, S // way), max(1, Q // way))
        return cls(dataset, index, name, shape, 0, (drawn,), episodes_hash(dataset.fingerprint, [drawn]))

    def __len__(self) -> int:
        return sum(len(rectangle) for rectangle in self.drawn)


@torch.no_grad()
def evaluate(
    learner: Learner,
    episodes: EpisodeSet,
    *,
    mode: Mode = "inductive",
    device: torch.device | str = "cpu",
    progress: Callable[[int], None] | None = None,
    features: "Features | None" = None,
) -> Results:
    """Score a learner on an episode set.

    Args:
        learner: Any; it is put in evaluation mode, and back afterwards.
        episodes: The fixed test.
        mode: `inductive` or `transductive`; the learner must offer it.
        device: Where to compute; the learner is moved there.
        progress: Called with how many more episodes were scored.
        features: Of all items that the episodes use, where they are there already (`encode_used`): several sets can share them. The
            seconds then leave out the encoding.

    Returns:
        One score an episode, in the order of their numbers.

    Raises:
        RecipeError: The learner does not offer the mode, or solves tasks of another kind.
    """
    require_mode(learner, mode)
    require_kind(learner, real_targets=has_targets(episodes.dataset))
    began = time.perf_counter()
    device = torch.device(device)
    numbers, scores = [], []
    with evaluating(learner.to(device)):
        for rectangle, encoded in with_features(learner, episodes, device, features):
            scores.append(score_rectangle(learner, episodes, rectangle, encoded, mode, device).cpu().numpy())
            numbers.append(rectangle.numbers)
            if progress is not None:
                progress(len(rectangle))
    by_number = np.concatenate(scores)[np.argsort(np.concatenate(numbers))]
    return results_of(learner, episodes, by_number, mode, time.perf_counter() - began)


def require_mode(learner: Learner, mode: Mode) -> None:
    """Refuse a mode that the learner does not offer.

    Raises:
        RecipeError: It does not.
    """
    if mode not in learner.modes:
        offered = " and ".join(learner.modes)
        raise RecipeError(f"{type(learner).__name__} offers {offered} prediction; {mode} was asked for. Ask for what it offers.")


def results_of(learner: Learner, episodes: EpisodeSet, scores: np.ndarray, mode: Mode, seconds: float) -> Results:
    """Scores (E,), in the order of the episodes' numbers, with everything that they are scores of."""
    return Results(
        scores=scores,
        score_name=learner.family.score_name,
        data=episodes.dataset.name,
        split=episodes.split,
        way=episodes.shape.way,
        shot=episodes.shape.shot,
        query=episodes.shape.query,
        seed=episodes.seed,
        episodes_hash=episodes.hash,
        mode=mode,
        statistics=batch_norm_statistics(learner, mode),
        seconds=seconds,
        nearness=episodes.shape.nearness,
        augment=episodes.shape.augment,
        steps=learner.adapt_steps,
    )


@contextmanager
def evaluating(learner: Learner) -> Iterator[None]:
    """Within the block the learner is in evaluation mode; after it, each of its modules is in the mode that it was in."""
    training = {module: module.training for module in learner.modules()}
    learner.eval()
    try:
        yield
    finally:
        for module, flag in training.items():
            module.training = flag


def score_rectangle(
    learner: Learner, episodes: EpisodeSet, drawn: DrawnEpisodes, features: "Features", mode: Mode, device: torch.device
) -> Tensor:
    """The score of each episode of a rectangle, float64 (B,)."""
    outputs = predict_rectangle(learner, episodes, drawn, features, mode, device)
    _, query_y, _ = gather_answers(episodes.dataset, drawn, device)
    return learner.family.score(outputs, query_y)


def predict_rectangle(
    learner: Learner, episodes: EpisodeSet, drawn: DrawnEpisodes, features: "Features", mode: Mode, device: torch.device
) -> Tensor:
    """Logits (B, Q, N) of a rectangle's queries, or values (B, Q, T)."""
    support = features.of(drawn.support_items, drawn.support_changes)
    query = features.of(drawn.query_items, drawn.query_changes)
    support_y, _, way = gather_answers(episodes.dataset, drawn, device)
    adapted: Any = learner.adapt(support, support_y, way=way)
    return learner.predict_together(adapted, query) if mode == "transductive" else learner.predict(adapted, query)


@dataclass(frozen=True, eq=False)
class Features:
    """Encoded items, found by item number and augmentation parameter.

    Attributes:
        codes: item · 2¹⁶ + parameter of each row, ascending, int64 (U,).
        rows: Features (U, …).
    """

    codes: np.ndarray
    rows: Inputs

    def of(self, items: np.ndarray, changes: np.ndarray | None) -> Inputs:
        """Features of items (B, n), as (B, n, …)."""
        place = torch.from_numpy(np.searchsorted(self.codes, item_codes(items, changes)))
        return map_inputs(lambda rows: rows[place.to(rows.device)], self.rows)


def encode_items(learner: Learner, episodes: EpisodeSet, codes: np.ndarray, device: torch.device) -> Features:
    """Encode items in chunks of a fixed size."""
    parts = []
    for start in range(0, len(codes), _ITEMS_AT_ONCE):
        chunk = codes[start : start + _ITEMS_AT_ONCE]
        changes = (chunk & 0xFFFF).astype(np.int16)
        x = gather_inputs(episodes.dataset, chunk >> 16, changes, episodes.shape.augment, device)
        parts.append(learner.encode(x))
    return Features(codes, concatenate(parts))


def item_codes(items: np.ndarray, changes: np.ndarray | None) -> np.ndarray:
    """Each item with its parameter as one number, item · 2¹⁶ + parameter, int64; parameters may be negative."""
    return (items << 16) | (0 if changes is None else changes.astype(np.int64) & 0xFFFF)


def used_codes(drawn: DrawnEpisodes) -> np.ndarray:
    """The codes of all items of a rectangle, each once."""
    codes = [item_codes(drawn.support_items, drawn.support_changes), item_codes(drawn.query_items, drawn.query_changes)]
    return np.unique(np.concatenate([part.reshape(-1) for part in codes]))


def encode_used(learner: Learner, sets: Sequence[EpisodeSet], device: torch.device) -> Features | None:
    """Features of all items that some sets of one data set and one augmentation use, each encoded once.

    Returns:
        None where the features would take more memory than is kept at once.
    """
    codes = np.unique(np.concatenate([used_codes(rectangle) for episodes in sets for rectangle in episodes.drawn]))
    sample = encode_items(learner, sets[0], codes[:1], device)
    return encode_items(learner, sets[0], codes, device) if len(codes) * _bytes_of(sample.rows) <= _FEATURE_BYTES else None


def with_features(
    learner: Learner, episodes: EpisodeSet, device: torch.device, features: Features | None = None
) -> Iterator[tuple[DrawnEpisodes, Features]]:
    """Blocks of episodes, each with features that hold its items: those given, or else encoded here."""
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


def device_of(learner: Learner) -> torch.device:
    """Where the learner is; the CPU for one without parameters and buffers."""
    return next((tensor.device for tensor in (*learner.parameters(), *learner.buffers())), torch.device("cpu"))


def batch_norm_statistics(learner: Learner, mode: Mode = "inductive") -> str:
    """Whose batch-norm statistics an evaluation of this learner uses.

    Returns:
        `none` when it has no batch norm; what the learner says of the mode; or else `running`, or `batch`.
    """
    norms = [module for module in learner.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    if not norms:
        return "none"
    if mode in learner.statistics:
        return learner.statistics[mode]
    return "running" if all(norm.track_running_stats for norm in norms) else "batch"
