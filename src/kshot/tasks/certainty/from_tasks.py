"""How sure a saved learner is, learnt from tasks and not from examples: so it holds for a new task with one example per class.

    validation tasks --adapt, answer--> scores of their queries --thresholds at many rates--> `certainty.json` beside the learner

The threshold of a rate α is the largest t with (Σ over n tasks of the share of queries below t, + 1) / (n + 1) ≤ α: tasks, and not queries,
come in an order that means nothing (A. Fisch, T. Schuster, T. Jaakkola, R. Barzilay, "Few-shot conformal prediction with auxiliary tasks",
ICML 2021; R. Dunn, L. Wasserman, A. Ramdas, "Distribution-free prediction sets for two-layer hierarchical models", Journal of the American
Statistical Association 118, 2022, section 3). Departure from the former: the threshold is one for all tasks of a shape, and not predicted
from the task. Scores are those of `kshot.tasks.certainty.sets`. A thing of no known class is told by the energy of the logits, log Σ exp,
or by the probability of the most probable class, whichever tells queries of other tasks better.

In: a learner and the tasks of its validation. Out: a `ShapeCertainty` per shape. Next: `kshot.tasks.certainty.task_file`.
"""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch

from kshot.learners.learner import Learner
from kshot.results.score.episode_set import EpisodeSet
from kshot.results.score.evaluate import evaluating, predict_rectangle
from kshot.results.score.features import with_features
from kshot.tasks.certainty.sets import SURE

Detector = Literal["energy", "probability"]
LEVELS = tuple(
    sorted({round(float(one), 5) for one in np.geomspace(5e-4, 0.5, 46)} | {0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5})
)
"""Rates at which thresholds are kept; of a rate between two of them, the smaller one is used."""


@dataclass(frozen=True)
class ShapeCertainty:
    """What validation tasks of one shape tell.

    Attributes:
        way: N.
        shot: Examples per class.
        tasks: n, the number of tasks.
        accuracy: Share of their queries that is answered rightly.
        own: The threshold of sets at each of `LEVELS`; -∞ where there are too few tasks for it.
        detector: What tells unknown things: `energy` or `probability`.
        auroc: How well, as the area under the ROC curve, for queries of other tasks.
        familiar: The threshold of the detector at each of `LEVELS`, as `own`.
    """

    way: int
    shot: int
    tasks: int
    accuracy: float
    own: tuple[float, ...]
    detector: Detector
    auroc: float
    familiar: tuple[float, ...]


def learn_from_tasks(learner: Learner, episodes: EpisodeSet, *, device: str = "cpu") -> ShapeCertainty:
    """Learn from tasks.

    Args:
        learner: A learner of classification that answers each query by itself.
        episodes: Tasks of classes that it was not trained on, all of one way, shot and number of queries.
        device: Where the network computes.
    """
    own: list[np.ndarray] = []
    measures: dict[Detector, list[np.ndarray]] = {"energy": [], "probability": []}
    outside: dict[Detector, list[np.ndarray]] = {"energy": [], "probability": []}
    on = torch.device(device)
    with evaluating(learner.to(on)), torch.no_grad():
        for drawn, features in with_features(learner, episodes, on):
            logits = predict_rectangle(learner, episodes, drawn, features, "inductive", on).double().cpu().numpy()  # (B, Q, N)
            own.append(_own(logits, drawn.query_y))
            for name, values in familiarities(logits).items():
                measures[name].append(values)
            others = np.roll(np.arange(len(drawn)), 1)  # each task is asked the queries of another one
            swapped = replace(
                drawn,
                query_items=drawn.query_items[others],
                query_y=drawn.query_y[others],
                query_changes=None if drawn.query_changes is None else drawn.query_changes[others],
            )
            foreign = ~(np.take_along_axis(drawn.classes[others], swapped.query_y, 1)[:, :, None] == drawn.classes[:, None]).any(2)
            logits = predict_rectangle(learner, episodes, swapped, features, "inductive", on).double().cpu().numpy()
            for name, values in familiarities(logits).items():
                outside[name].append(values[foreign])
    scores = np.concatenate(own)  # (n, Q)
    tellers = {name: auroc(np.concatenate(measures[name]).ravel(), np.concatenate(outside[name])) for name in measures}
    best: Detector = "energy" if tellers["energy"] >= tellers["probability"] else "probability"
    way, shot = episodes.shape.way_range[1], episodes.shape.shot_range[1]
    familiar = thresholds(np.concatenate(measures[best]))
    return ShapeCertainty(way, shot, len(scores), float((scores == SURE).mean()), thresholds(scores), best, tellers[best], familiar)


def thresholds(scores: np.ndarray) -> tuple[float, ...]:
    """Return the threshold of each of `LEVELS`, from the scores of equally many queries of n tasks, (n, Q)."""
    n = len(scores)
    pooled = np.sort(scores.ravel())
    found = []
    for rate in LEVELS:
        below = (rate * (n + 1) - 1) / n  # the share of queries that may score below
        place = int(np.floor(below * pooled.size + 1e-9))
        found.append(float(pooled[min(place, pooled.size - 1)]) if below >= 0 else -np.inf)
    return tuple(found)


def familiarities(logits: np.ndarray) -> dict[Detector, np.ndarray]:
    """Return what tells unknown things, high for what is usual: logits (…, N) → (…) each."""
    most = logits.max(-1)
    energy = most + np.log(np.exp(logits - most[..., None]).sum(-1))
    return {"energy": energy, "probability": most - energy}


def auroc(known: np.ndarray, outside: np.ndarray) -> float:
    """Return the area under the ROC curve: the share of pairs in which the known thing scores higher, ties counting half; ½ if none is.

    There is no outside thing where every task has all classes.
    """
    if not len(outside):
        return 0.5
    order = np.sort(outside)
    below, upto = (np.searchsorted(order, known, side="left"), np.searchsorted(order, known, side="right"))
    return float((below + upto).mean() / (2 * len(outside)))


def _own(logits: np.ndarray, query_y: np.ndarray) -> np.ndarray:
    """Return the scores of the queries of B tasks, (B, Q, N) and (B, Q) → (B, Q)."""
    most = logits.max(-1)
    log_total = most + np.log(np.exp(logits - most[..., None]).sum(-1))
    right = np.take_along_axis(logits, query_y[..., None], -1)[..., 0]
    return np.where(logits.argmax(-1) == query_y, SURE, right - log_total)
