"""What a model has learnt of its sureness, and what it says of things beside their probabilities.

    left-out examples --learn--> Certainty --Judge, and what is asked--> Verdicts

A `Certainty` is a few columns of numbers, which lie in the model. In: the left-out answers of a head, and vectors. Out: verdicts. Next:
`kshot.tasks.fit`, `kshot.tasks.answers`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import numpy as np

from kshot.errors import RecipeError
from kshot.tasks.certainty.asked import Asked, Verdicts
from kshot.tasks.certainty.ranks import carried_on, carried_share, least_rate, needed, threshold
from kshot.tasks.certainty.sets import SURE, own_scores, sets_of
from kshot.tasks.certainty.thinned import thinned
from kshot.tasks.certainty.unknown import MEASURES, Surroundings, familiarity, scale_of
from kshot.tasks.heads.given import Given

if TYPE_CHECKING:
    from kshot.tasks.heads.choose import Choice

_PREFIX = "certainty/"
_OLD = "this model is of an older kshot, which learnt nothing of how sure it is"
_AGAIN = "Fit it again, or add an example to it."


@dataclass(frozen=True, eq=False)
class Certainty:
    """What left-out examples tell of new things.

    Attributes:
        own: The scores of `kshot.tasks.certainty.sets` of the examples that could be scored, ascending, float32 (m,).
        fewer: The same from heads that saw one example less of each class, ascending, float32 (m',); empty where that says nothing.
        shot: Examples per class, float32 (1,).
        familiar: Familiarity of the examples that could be scored, each without itself, ascending, float32 (m,).
        scale: Mean and spread of what familiarity is made of, float32 (2, 3).
    """

    own: np.ndarray
    fewer: np.ndarray
    shot: np.ndarray
    familiar: np.ndarray
    scale: np.ndarray

    def arrays(self) -> dict[str, np.ndarray]:
        """Return the numbers by name, as a file of arrays holds them."""
        return {f"{_PREFIX}{one.name}": getattr(self, one.name) for one in fields(self)}


def certainty_from(arrays: Mapping[str, np.ndarray]) -> Certainty | None:
    """Return what `Certainty.arrays` wrote; None if nothing is there.

    Raises:
        ValueError: The arrays are no such ones.
    """
    found = {one.name: arrays.get(_PREFIX + one.name) for one in fields(Certainty)}
    if all(one is None for one in found.values()):
        return None
    for name, one in found.items():
        shape = {"shot": (1,), "scale": (2, MEASURES)}.get(name)
        if one is None or one.dtype != np.float32 or not (one.ndim == 1 if shape is None else one.shape == shape):
            what = "nothing" if one is None else f"{one.dtype} {one.shape}"
            raise ValueError(f"{_PREFIX}{name} must be float32 {'(m,)' if shape is None else shape}; found {what}")
        if shape is not None and not np.isfinite(one).all():
            raise ValueError(f"{_PREFIX}{name} must hold finite numbers")
        if np.isnan(one).any() or (shape is None and (one[1:] < one[:-1]).any()):
            raise ValueError(f"{_PREFIX}{name} must hold numbers{' that ascend' if shape is None else ''}")
    whole = Certainty(**found)  # type: ignore[arg-type]  # the loop has checked it
    if not (whole.scale[1] > 0).all() or (len(whole.fewer) and not whole.shot[0] > 2):
        raise ValueError(f"{_PREFIX}scale and {_PREFIX}shot must be above 0, and above 2 where {_PREFIX}fewer holds numbers")
    return whole


def learn_certainty(choice: "Choice", given: Given, nearness: np.ndarray | None = None) -> Certainty:
    """Learn from left-out examples.

    Args:
        choice: The chosen head, with its left-out answers.
        given: The examples.
        nearness: What `Surroundings.nearness_left_out` would give, (m, 2), where the encoder has learned from the examples; else None.
    """
    answers, y = choice.left_out.log_probabilities, given.sample_y
    fewer = thinned(choice, given)
    near = Surroundings(given.x, given.y, given.way).nearness_left_out() if nearness is None else nearness
    scored = choice.left_out.scored & ~np.isnan(near).any(1)
    measures = np.column_stack([near, answers.max(1, initial=-np.inf)])[scored]
    scale = scale_of(measures) if len(measures) else np.ones((2, MEASURES), np.float32)
    return Certainty(
        own_scores(np.where(choice.left_out.scored[:, None], answers, np.nan), y),
        fewer.scores,
        np.array([fewer.shot], np.float32),
        np.sort(familiarity(measures, scale)),
        scale,
    )


class Judge:
    """Says of things what was asked.

    Args:
        certainty: What the model has learnt; None: a model of an older kshot, which has learnt nothing of it.
        surroundings: The examples that things are compared with.
        asked: What is asked.

    Attributes:
        notes: What the user should know, in sentences.

    Raises:
        RecipeError: The model cannot promise what is asked.
    """

    def __init__(self, certainty: Certainty | None, surroundings: Surroundings, asked: Asked) -> None:
        self._certainty, self._surroundings = certainty, surroundings
        self._set_threshold: float | None = None
        self._unknown_below = -np.inf
        if certainty is None:
            if asked.coverage is not None or asked.unknown is not None:
                raise RecipeError(f"{_OLD}. {_AGAIN}")
            self.notes: tuple[str, ...] = (f"{_OLD}, so no thing is called unknown. {_AGAIN}",)
            return
        notes = []
        if asked.coverage is not None:
            self._set_threshold = _threshold_of_sets(certainty, asked.coverage)
            if self._set_threshold >= SURE:
                notes.append(_one_label(certainty, asked.coverage))
        self._unknown_below = threshold(certainty.familiar, asked.rate)
        if not np.isfinite(self._unknown_below):
            notes.append(_too_few_for_alarms(len(certainty.familiar), asked))
        self.notes = tuple(notes)

    def __call__(self, log_probabilities: np.ndarray, vectors: np.ndarray) -> Verdicts:
        """Judge M things.

        Args:
            log_probabilities: Their answers, (M, N).
            vectors: Their vectors, as the encoder gives them, (M, D).
        """
        sets = self.sets(log_probabilities)
        if self._certainty is None or not np.isfinite(self._unknown_below):
            return Verdicts(sets, np.zeros(len(vectors), dtype=bool))
        measures = np.column_stack([self._surroundings.nearness(vectors), log_probabilities.max(1)])
        return Verdicts(sets, familiarity(measures, self._certainty.scale) < self._unknown_below)

    def sets(self, log_probabilities: np.ndarray) -> np.ndarray | None:
        """Return the sets of M things, bool (M, N); None if no coverage was asked for."""
        return None if self._set_threshold is None else sets_of(log_probabilities, self._set_threshold)


def one_label_covers(certainty: Certainty) -> float:
    """Return how often the most probable class alone is the right one, from left-out examples; the same estimate that sets are made by."""
    wrong = carried_share(certainty.own, certainty.fewer, float(certainty.shot[0]), np.array([SURE]))
    return 1 - float(np.clip(wrong[0], 0, 1))


def _threshold_of_sets(certainty: Certainty, coverage: float) -> float:
    m, rate = len(certainty.own), 1 - coverage
    if not m:
        raise RecipeError(
            f"sets of coverage {coverage:g} are learnt from examples that are left out, and no class of this model has two. Give a second "
            "example per class, or leave --coverage out."
        )
    found = carried_on(certainty.own, certainty.fewer, float(certainty.shot[0]), rate)
    if not np.isfinite(found):
        raise RecipeError(
            f"a coverage of {coverage:g} needs {needed(rate):,} examples that are left out; this model has {m:,}, which can promise "
            f"{1 - least_rate(m):.3g} at most. Ask for that or less, or add examples."
        )
    return found


def _one_label(certainty: Certainty, coverage: float) -> str:
    return (
        f"every set is one label: the label alone is right for about {one_label_covers(certainty):.3f} of things, and a coverage of "
        f"{coverage:g} is asked for."
    )


def _too_few_for_alarms(n: int, asked: Asked) -> str:
    plural = "" if n == 1 else "s"
    told = f"{n:,} example{plural} of classes with two cannot tell a false-alarm rate of {asked.rate:g}, which needs {needed(asked.rate):,}"
    if asked.unknown is not None:
        least = f"the least is {least_rate(n):.3g}" if n else "give a second example per class"
        raise RecipeError(f"--unknown {asked.unknown:g}: {told}; {least}. Ask for more, or add examples.")
    return f"{told}, so no thing is called unknown."
