"""Score a sequence learner by how often it has met a class: accuracy at the 1st, 2nd, … presentation.

In: a `SequenceLearner` and an `EpisodeSet`, whose support and query are shown together as one sequence. Out: `Presentations`. Next:
`kshot.workflows.mann_protocol`.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from kshot.device import pick_device
from kshot.episodes.batch import gather_targets
from kshot.learners.memory.sequence_learner import SequenceLearner, in_order, sequence_order
from kshot.results.score.episode_set import EpisodeSet
from kshot.results.score.evaluate import evaluating
from kshot.results.score.features import with_features
from kshot.results.score.interval import caution, mean_and_interval
from kshot.short_repr import short_repr


@dataclass(frozen=True, eq=False)
class Presentations:
    """Accuracies of one learner at each presentation of a class.

    Attributes:
        scores: The share of an episode's classes that were named rightly at their j-th presentation, float64 (E, presentations).
        ideal_first: The accuracy of an ideal learner at the first presentation: see `ideal_first`.
        data: Name of the data set.
        split: Name of the classes, for example `characters/test`.
        way: Classes per episode.
        labels: Number of different labels that an answer can be.
        seed: Seed of the episode stream.
        augment: What was done to the classes: `none`, or an augmentation.
        episodes_hash: SHA-256 of the data's fingerprint and the drawn indices. The order of each sequence is a function of its number.
        seconds: Wall time, with embedding.
    """

    scores: np.ndarray
    ideal_first: float
    data: str
    split: str
    way: int
    labels: int
    seed: int
    augment: str
    episodes_hash: str
    seconds: float

    @property
    def accuracies(self) -> list[float]:
        """Mean accuracy at each presentation."""
        return [mean_and_interval(column)[0] for column in self.scores.T]

    @property
    def intervals(self) -> list[float]:
        """Half widths of the 95 % intervals of the means, over the draw of episodes."""
        return [mean_and_interval(column)[1] for column in self.scores.T]

    def __repr__(self) -> str:
        shown = ", ".join(f"{value:.3f}" for value in self.accuracies)
        return short_repr(
            "Presentations", [f"accuracies=[{shown}]", f"ideal_first={self.ideal_first:.3f}", f"episodes={len(self.scores):,}"]
        )

    def as_dict(self) -> dict[str, Any]:
        """Return one JSON object. Accuracies and intervals are fractions."""
        return {
            "accuracies": self.accuracies,
            "intervals": self.intervals,
            "ideal_first": self.ideal_first,
            "episodes": len(self.scores),
            "episodes_hash": self.episodes_hash,
            "way": self.way,
            "labels": self.labels,
            "augment": self.augment,
            "data": self.data,
            "split": self.split,
            "seed": self.seed,
            "seconds": round(self.seconds, 3),
        }

    def rows(self) -> list[tuple[str, str]]:
        """Return the accuracies and everything that identifies them, as names and values in words, for a table."""
        values = zip(self.accuracies, self.intervals, strict=True)
        shown = [f"{100 * mean:.2f} ± {100 * half:.2f} %" for mean, half in values]
        shown[0] += f" (an ideal learner: {100 * self.ideal_first:.2f} %, a guess among the unused labels)"
        cautions = [caution(column, fraction=True) for column in self.scores.T]
        return [
            *((f"presentation {number}", value) for number, value in enumerate(shown, 1)),
            *((f"interval {number}", told) for number, told in enumerate(cautions, 1) if told is not None),
            ("data", self.data),
            ("classes", self.split),
            ("sequence", f"{self.way} classes, each presented {len(shown)} times, {self.labels:,} labels"),
            ("episodes", f"{len(self.scores):,}"),
            ("seed of the episodes", str(self.seed)),
            ("hash of the episodes", self.episodes_hash),
            ("seconds", f"{self.seconds:.1f}"),
        ]


def ideal_first(labels: int, way: int) -> float:
    """Return the accuracy that no learner can exceed at the first presentation of a class.

    The labels of the classes are a random choice, so nothing tells the label of a new class except that it is none of the labels already
    used. The j-th new class of an episode is therefore guessed with a probability of at most 1 / (labels - j + 1); the mean over j = 1 …
    way is the bound. A learner reaches it if it knows a new class when it sees one.

    Example:
        >>> round(ideal_first(5, 5), 4)
        0.4567
    """
    return float(np.mean([1 / (labels - used) for used in range(way)]))


def presentation_numbers(y: Tensor) -> Tensor:
    """Return how many items of the same label stand before each item: int64 (B, T) → int64 (B, T)."""
    one_hot = F.one_hot(y)  # (B, T, N)
    return (one_hot.cumsum(1) * one_hot).sum(-1) - 1


@torch.no_grad()
def score_presentations(
    learner: SequenceLearner,
    episodes: EpisodeSet,
    *,
    device: torch.device | str = "cpu",
    progress: Callable[[int], None] | None = None,
) -> Presentations:
    """Show each episode as one sequence and score every step.

    Args:
        learner: The learner. It is put in evaluation mode and restored afterwards.
        episodes: The fixed test, with the same number of items for each class.
        device: Device for the computation. The learner is moved there.
        progress: Called with the number of episodes scored since the last call.

    Raises:
        RecipeError: There are more classes than labels.
        SetupError: There is no such device here.
    """
    began = time.perf_counter()
    device = pick_device(device)
    numbers, scores = [], []
    with evaluating(learner.to(device)):
        for drawn, features in with_features(learner, episodes, device):
            support, query = features.of(drawn.support_items, drawn.support_changes), features.of(drawn.query_items, drawn.query_changes)
            assert isinstance(support, Tensor)
            assert isinstance(query, Tensor)
            support_y, query_y, _ = gather_targets(episodes.dataset, drawn, device)
            y = torch.cat([support_y, query_y], 1)
            order = sequence_order(drawn.numbers, y.shape[1]).to(device)
            y = y.gather(1, order)
            spelled = learner.code.spell(y, learner.code.draw(drawn.numbers, drawn.way, device))
            right = learner.code.right(learner.answer_sequence(in_order(torch.cat([support, query], 1), order), spelled), spelled)
            seen = presentation_numbers(y)
            times = y.shape[1] // drawn.way
            by_time = torch.zeros(len(y), times, dtype=torch.float64, device=device).scatter_add_(1, seen, right.double())
            scores.append((by_time / drawn.way).cpu().numpy())
            numbers.append(drawn.numbers)
            if progress is not None:
                progress(len(drawn))
    way = int(episodes.drawn[0].way)
    return Presentations(
        scores=np.concatenate(scores)[np.argsort(np.concatenate(numbers))],
        ideal_first=ideal_first(learner.code.strings, way),
        data=episodes.dataset.name,
        split=episodes.split,
        way=way,
        labels=learner.code.strings,
        seed=episodes.seed,
        augment=episodes.shape.augment,
        episodes_hash=episodes.hash,
        seconds=time.perf_counter() - began,
    )
