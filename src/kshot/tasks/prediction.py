"""The answer for one thing: its most probable class, how probable that is, the others, and how sure that is.

In: the probability of each class. Next: `kshot.tasks.answers`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from kshot.short_repr import short_repr, shown
from kshot.tasks.certainty.asked import Verdicts

_SHOWN = 3
"""Number of classes after the first one that a prediction shows."""


@dataclass(frozen=True)
class Prediction:
    """The answer for one thing.

    Attributes:
        label: Name of the most probable class.
        probability: Probability of that class among the known classes.
        probabilities: Probability of each class, by name.
        set: Names of the classes that hold the right one at the coverage that was asked for, the most probable first; None: none was asked.
        unknown: Whether the thing is probably of no known class, at the rate of false alarms that was asked for.
    """

    label: str
    probability: float
    probabilities: Mapping[str, float]
    set: tuple[str, ...] | None = None
    unknown: bool = False

    @property
    def second(self) -> str:
        """Name of the most probable class beside `label`."""
        others = (name for name in self.probabilities if name != self.label)
        return max(others, key=lambda name: self.probabilities[name])

    def __repr__(self) -> str:
        """Return the class, and the next most probable ones."""
        ranked = sorted(((value, name) for name, value in self.probabilities.items() if name != self.label), key=lambda one: -one[0])
        others = [f"{name!r} {value:.3g}" for value, name in ranked[:_SHOWN]]
        more = [f"and {len(ranked) - _SHOWN} more"] if len(ranked) > _SHOWN else []
        then = [f"then {', '.join([*others, *more])}"] if others else []
        told = [repr(self.label), f"probability={shown(self.probability)}", *(["unknown"] if self.unknown else [])]
        if self.set is not None:
            rest = f" and {len(self.set) - _SHOWN} more" if len(self.set) > _SHOWN else ""
            told.append(f"set of {len(self.set)}: {', '.join(map(repr, self.set[:_SHOWN]))}{rest}")
        return short_repr("Prediction", [*told, *then])


def predictions_of(classes: Sequence[str], log_probabilities: np.ndarray, verdicts: Verdicts) -> list[Prediction]:
    """Return the answers for M things.

    Args:
        classes: The names of the N classes.
        log_probabilities: (M, N).
        verdicts: What is said of each thing beside its probabilities.
    """
    rows: list[list[float]] = np.exp(log_probabilities).tolist()
    best: list[int] = log_probabilities.argmax(1).tolist()
    unknown: list[bool] = verdicts.unknown.tolist()
    sets: list[tuple[str, ...] | None] = [None] * len(rows)
    if verdicts.sets is not None:
        order = np.argsort(-log_probabilities, axis=1, kind="stable")
        held = np.take_along_axis(verdicts.sets, order, 1)
        sets = [tuple(classes[place] for place in one[inside].tolist()) for one, inside in zip(order, held, strict=True)]
    return [
        Prediction(classes[place], row[place], dict(zip(classes, row, strict=True)), some, odd)
        for row, place, some, odd in zip(rows, best, sets, unknown, strict=True)
    ]
