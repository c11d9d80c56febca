"""The answer for one thing: its most probable class, how probable that is, and the others.

In: the probability of each class. Next: `kshot.tasks.answers`.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from kshot.short_repr import short_repr, shown

_SHOWN = 3
"""Number of classes after the first one that a prediction shows."""


@dataclass(frozen=True)
class Prediction:
    """The answer for one picture.

    Attributes:
        label: Name of the most probable class.
        probability: Probability of that class among the classes of the support set. It is not calibrated.
        probabilities: Probability of each class, by name.
    """

    label: str
    probability: float
    probabilities: Mapping[str, float]

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
        return short_repr("Prediction", [repr(self.label), f"probability={shown(self.probability)}", *then])
