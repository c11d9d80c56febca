"""What a user asks of sureness: a coverage of sets, and a rate of false alarms; and the answer to both for some things.

In: two numbers. Out: `Asked`, checked; and `Verdicts`. Next: `kshot.tasks.certainty.certainty`, `kshot.tasks.answers`.
"""

from dataclasses import dataclass

import numpy as np

from kshot.errors import RecipeError

FALSE_ALARMS = 0.05
"""Share of known things that are called unknown, unless another one is asked for."""


@dataclass(frozen=True)
class Asked:
    """What is asked of sureness.

    Attributes:
        coverage: Share of things whose set is to hold the right class, above 0 and below 1; None: no sets.
        unknown: Share of things of known classes that may be called unknown, above 0 and below 1; None: `FALSE_ALARMS`.

    Raises:
        RecipeError: A number is out of its range.
    """

    coverage: float | None = None
    unknown: float | None = None

    def __post_init__(self) -> None:
        for name, value, example in (("coverage", self.coverage, 0.9), ("unknown", self.unknown, FALSE_ALARMS)):
            if value is not None and not 0 < value < 1:
                raise RecipeError(f"{name} must be a share above 0 and below 1, such as {example}; found {value:g}.")

    @property
    def rate(self) -> float:
        """The rate of false alarms."""
        return FALSE_ALARMS if self.unknown is None else self.unknown


@dataclass(frozen=True, eq=False)
class Verdicts:
    """What is said of M things beside their probabilities.

    Attributes:
        sets: Which classes are in the set of each, bool (M, N), at least one; None: no sets were asked for.
        unknown: Which are probably of no known class, bool (M,).
    """

    sets: np.ndarray | None
    unknown: np.ndarray
