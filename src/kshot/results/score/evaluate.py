"""Score a learner on a fixed set of episodes, one score per episode.

In: a learner and an `EpisodeSet`. Out: `Results`. Every item is encoded once, however many episodes use it. The scores are the same as if
each episode were encoded separately.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from kshot.data.target_dataset import has_targets
from kshot.device import pick_device
from kshot.episodes.batch import gather_targets
from kshot.episodes.episode import DrawnEpisodes
from kshot.episodes.family import Classification
from kshot.errors import DataError, RecipeError
from kshot.learners.learner import Learner, Mode, require_kind
from kshot.results.score.class_spread import ClassCounts, class_spread
from kshot.results.score.episode_set import EpisodeSet
from kshot.results.score.features import Features, with_features
from kshot.results.score.result import Results


@torch.no_grad()
def evaluate(
    learner: Learner,
    episodes: EpisodeSet,
    *,
    mode: Mode = "inductive",
    device: torch.device | str = "cpu",
    progress: Callable[[int], None] | None = None,
    features: Features | None = None,
) -> Results:
    """Score a learner on an episode set.

    Args:
        learner: The learner. It is put in evaluation mode and restored afterwards.
        episodes: The fixed test.
        mode: `inductive` or `transductive`; the learner must offer it.
        device: Device for the computation. The learner is moved there.
        progress: Called with the number of episodes scored since the last call.
        features: Features of all items that the episodes use, if they are computed already (`encode_used`). Several sets can share them.
            The seconds then exclude the encoding.

    Returns:
        One score per episode, in the order of the episode numbers.

    Raises:
        RecipeError: The learner does not offer the mode, or solves tasks of another kind.
        SetupError: There is no such device here.
    """
    require_mode(learner, mode)
    require_kind(learner, real_targets=has_targets(episodes.dataset))
    began = time.perf_counter()
    device = pick_device(device)
    numbers, scores, counts = [], [], ClassCounts(len(episodes.index))
    with evaluating(learner.to(device)):
        for rectangle, encoded in with_features(learner, episodes, device, features):
            scores.append(score_rectangle(learner, episodes, rectangle, encoded, mode, device, counts))
            numbers.append(rectangle.numbers)
            if progress is not None:
                progress(len(rectangle))
    by_number = np.concatenate(scores)[np.argsort(np.concatenate(numbers))]
    return results_of(learner, episodes, by_number, mode, time.perf_counter() - began, counts)


def require_mode(learner: Learner, mode: Mode) -> None:
    """Raise an error unless the learner offers the mode.

    Raises:
        RecipeError: The learner does not offer it.
    """
    if mode not in learner.modes:
        offered = " and ".join(learner.modes)
        raise RecipeError(f"{type(learner).__name__} offers {offered} prediction; {mode} was asked for. Ask for a mode that it offers.")


def results_of(
    learner: Learner, episodes: EpisodeSet, scores: np.ndarray, mode: Mode, seconds: float, counts: ClassCounts | None = None
) -> Results:
    """Join scores (E,), in the order of the episode numbers, with everything that describes the test."""
    spread = None if counts is None else class_spread(counts.right, counts.asked, episodes.index.groups)
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
        class_spread=spread,
    )


@contextmanager
def evaluating(learner: Learner) -> Iterator[None]:
    """Put the learner in evaluation mode within the block, and restore the mode of each of its modules afterwards."""
    training = {module: module.training for module in learner.modules()}
    learner.eval()
    try:
        yield
    finally:
        for module, flag in training.items():
            module.training = flag


def score_rectangle(
    learner: Learner,
    episodes: EpisodeSet,
    drawn: DrawnEpisodes,
    features: "Features",
    mode: Mode,
    device: torch.device,
    counts: ClassCounts,
) -> np.ndarray:
    """Return the score of each episode of a rectangle, float64 (B,), and count the right answers of each class."""
    outputs = predict_rectangle(learner, episodes, drawn, features, mode, device)
    _, query_y, _ = gather_targets(episodes.dataset, drawn, device)
    if isinstance(learner.family, Classification):
        counts.add(drawn.classes, drawn.query_y, learner.family.right(outputs, query_y).cpu().numpy())
    scores: np.ndarray = learner.family.score(outputs, query_y).cpu().numpy()
    return scores


def predict_rectangle(
    learner: Learner, episodes: EpisodeSet, drawn: DrawnEpisodes, features: "Features", mode: Mode, device: torch.device
) -> Tensor:
    """Return logits (B, Q, N) or values (B, Q, T) for the queries of a rectangle."""
    support = features.of(drawn.support_items, drawn.support_changes)
    query = features.of(drawn.query_items, drawn.query_changes)
    support_y, _, way = gather_targets(episodes.dataset, drawn, device)
    what = "learned"
    try:
        with features.looked_at():
            adapted: Any = learner.adapt(support, support_y, way=way)
            what = "answered"
            return learner.predict_together(adapted, query) if mode == "transductive" else learner.predict(adapted, query)
    except DataError as error:
        if error.task is None:
            raise
        raise DataError(f"episode {int(drawn.numbers[error.task])} cannot be {what}: {error}") from error


def device_of(learner: Learner) -> torch.device:
    """Return the device of the learner; the CPU if it has no parameters and no buffers."""
    return next((tensor.device for tensor in (*learner.parameters(), *learner.buffers())), torch.device("cpu"))


def batch_norm_statistics(learner: Learner, mode: Mode = "inductive") -> str:
    """Name the batch-norm statistics that an evaluation of this learner uses.

    Returns:
        `none` if it has no batch norm; what the learner says about the mode; or else `running` or `batch`.
    """
    norms = [module for module in learner.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    if not norms:
        return "none"
    if mode in learner.statistics:
        return learner.statistics[mode]
    return "running" if all(norm.track_running_stats for norm in norms) else "batch"
