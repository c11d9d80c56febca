"""The answers of a learner to each query, from one pass over an episode set. All counts about its tasks come from these answers.

In: a learner, an episode set. Out: `Answers`, and the `Results` that `evaluate` gives. Next: `kshot.results.inspect`.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from kshot.device import pick_device
from kshot.episodes.episode import DrawnEpisodes
from kshot.errors import RecipeError
from kshot.learners.learner import Learner, Mode
from kshot.results.score.class_spread import ClassCounts
from kshot.results.score.episode_set import EpisodeSet
from kshot.results.score.evaluate import evaluating, predict_rectangle, require_mode, results_of
from kshot.results.score.features import with_features
from kshot.results.score.result import Results


@dataclass(frozen=True, eq=False)
class Answers:
    """The answers to B episodes of equal way, S and Q.

    Attributes:
        drawn: The episodes.
        logits: float32 (B, Q, N), without NaN; -∞ for a class that is impossible.
        chosen: Label given to each query, the first of the best, int64 (B, Q); -1 if the learner gave no number at all.
    """

    drawn: DrawnEpisodes
    logits: np.ndarray
    chosen: np.ndarray

    @classmethod
    def of(cls, drawn: DrawnEpisodes, logits: np.ndarray) -> "Answers":
        """Read logits (B, Q, N) as `Classification.score` does: NaN never wins."""
        clean = np.nan_to_num(logits.astype(np.float32), nan=-np.inf, posinf=np.inf, neginf=-np.inf)
        chosen = np.where(np.isnan(logits).all(-1), -1, clean.argmax(-1))
        return cls(drawn, clean, chosen)


@torch.no_grad()
def answer_episodes(
    learner: Learner,
    episodes: EpisodeSet,
    *,
    mode: Mode = "inductive",
    device: torch.device | str = "cpu",
    progress: Callable[[int], None] | None = None,
) -> tuple[list[Answers], Results]:
    """Answer every query of an episode set.

    The logits are kept: 4 bytes per class and query, 30 MB for a thousand 20-way episodes with 15 queries per class.

    Args:
        learner: A learner of classification tasks. It is put in evaluation mode and restored afterwards.
        episodes: The fixed test.
        mode: `inductive` or `transductive`; the learner must offer it.
        device: Device for the computation. The learner is moved there.
        progress: Called with the number of episodes answered since the last call.

    Returns:
        The answers, block by block, and the same `Results` as from `evaluate`.

    Raises:
        RecipeError: The learner does not classify, or does not offer the mode.
        SetupError: There is no such device here.
    """
    if learner.family.name != "classification":
        raise RecipeError(f"confusion and difficulty need classes; {type(learner).__name__} learns {learner.family.name} tasks.")
    require_mode(learner, mode)
    began, device = time.perf_counter(), pick_device(device)
    answers, numbers, scores, counts = [], [], [], ClassCounts(len(episodes.index))
    with evaluating(learner.to(device)):
        for drawn, features in with_features(learner, episodes, device):
            logits = predict_rectangle(learner, episodes, drawn, features, mode, device)
            scores.append(learner.family.score(logits, torch.from_numpy(drawn.query_y).to(device)).cpu().numpy())
            numbers.append(drawn.numbers)
            answers.append(Answers.of(drawn, logits.cpu().float().numpy()))
            counts.add(drawn.classes, drawn.query_y, answers[-1].chosen == drawn.query_y)
            if progress is not None:
                progress(len(drawn))
    by_number = np.concatenate(scores)[np.argsort(np.concatenate(numbers))]
    return answers, results_of(learner, episodes, by_number, mode, time.perf_counter() - began, counts)
