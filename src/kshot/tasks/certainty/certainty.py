"""What a model has learnt of its sureness, and what it says of things beside their probabilities.

    left-out examples --learn--> Certainty --Judge, and what is asked--> Verdicts

A `Certainty` is two columns of numbers, which lie in the model. In: the left-out answers of a head, and vectors. Out: verdicts. Next:
`kshot.tasks.fit`, `kshot.tasks.answers`.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from kshot.errors import RecipeError
from kshot.tasks.certainty.asked import Asked, Verdicts
from kshot.tasks.certainty.ranks import least_rate, threshold
from kshot.tasks.certainty.sets import own_scores, sets_of
from kshot.tasks.certainty.unknown import Neighbours
from kshot.tasks.heads.head import LeftOut


@dataclass(frozen=True, eq=False)
class Certainty:
    """What left-out examples tell of new things.

    Attributes:
        own: Log-probability of the right class of each example that could be scored, ascending, float32 (m,).
        familiar: Familiarity of each example with the others, ascending, float32 (n,); empty for a single example.
    """

    own: np.ndarray
    familiar: np.ndarray

    def arrays(self) -> dict[str, np.ndarray]:
        """Return the numbers by name, as a file of arrays holds them."""
        return {"own": self.own, "familiar": self.familiar}


def certainty_from(arrays: Mapping[str, np.ndarray]) -> Certainty | None:
    """Return what `Certainty.arrays` wrote, each name after `certainty/`; None if nothing is there."""
    if "certainty/own" not in arrays:
        return None
    return Certainty(arrays["certainty/own"], arrays["certainty/familiar"])


def learn_certainty(left_out: LeftOut, y: np.ndarray, neighbours: Neighbours) -> Certainty:
    """Learn from left-out examples.

    Args:
        left_out: Their answers, n.
        y: Their classes, int64 (n,).
        neighbours: The examples that things are compared with.
    """
    familiar = np.sort(neighbours.to_each_other())
    return Certainty(own_scores(left_out.log_probabilities, y, left_out.scored), familiar)


class Judge:
    """Says of things what was asked.

    Args:
        certainty: What the model has learnt; None: a model of an older kshot, which has learnt nothing of it.
        neighbours: The examples that things are compared with.
        asked: What is asked.

    Attributes:
        notes: What the user should know, in sentences.

    Raises:
        RecipeError: The model cannot promise what is asked.
    """

    def __init__(self, certainty: Certainty | None, neighbours: Neighbours, asked: Asked) -> None:
        self.notes: tuple[str, ...] = ()
        self._neighbours = neighbours
        self._set_threshold: float | None = None
        self._unknown_below = -np.inf
        if certainty is None:
            told = "this model is of an older kshot, which learnt nothing of how sure it is"
            again = "Fit it again, or add an example to it."
            if asked.coverage is not None or asked.unknown is not None:
                raise RecipeError(f"{told}. {again}")
            self.notes = (f"{told}, so no thing is called unknown. {again}",)
            return
        if asked.coverage is not None:
            self._set_threshold = _threshold_of_sets(certainty, asked.coverage)
        self._unknown_below = threshold(certainty.familiar, asked.rate)
        if not np.isfinite(self._unknown_below):
            self.notes = (_too_few_for_alarms(len(certainty.familiar), asked),)

    def __call__(self, log_probabilities: np.ndarray, vectors: np.ndarray) -> Verdicts:
        """Judge M things.

        Args:
            log_probabilities: Their answers, (M, N).
            vectors: Their vectors, as the encoder gives them, (M, D).
        """
        sets = None if self._set_threshold is None else sets_of(log_probabilities, self._set_threshold)
        if not np.isfinite(self._unknown_below):
            return Verdicts(sets, np.zeros(len(vectors), dtype=bool))
        return Verdicts(sets, self._neighbours.familiarity(vectors) < self._unknown_below)


def _threshold_of_sets(certainty: Certainty, coverage: float) -> float:
    m = len(certainty.own)
    if not m:
        raise RecipeError(
            f"sets of coverage {coverage:g} are learnt from examples that are left out, and no class of this model has two. Give a second "
            "example per class, or leave --coverage out."
        )
    found = threshold(certainty.own, 1 - coverage)
    if not np.isfinite(found):
        raise RecipeError(
            f"a coverage of {coverage:g} needs {_needed(1 - coverage):,} examples that are left out; this model has {m:,}, which can "
            f"promise {1 - least_rate(m):.3g} at most. Ask for that or less, or add examples."
        )
    return found


def _too_few_for_alarms(n: int, asked: Asked) -> str:
    told = f"{n:,} example{'' if n == 1 else 's'} cannot tell a false-alarm rate of {asked.rate:g}, which needs {_needed(asked.rate):,}"
    if asked.unknown is not None:
        least = f"the least is {least_rate(n):.3g}" if n > 1 else "one example tells none"
        raise RecipeError(f"--unknown {asked.unknown:g}: {told}; {least}. Ask for more, or add examples.")
    return f"{told}, so no thing is called unknown."


def _needed(rate: float) -> int:
    """Return the fewest examples that can tell a rate: the smallest m with rate · (m + 1) ≥ 1."""
    return int(np.ceil(1 / rate - 1e-9)) - 1
