"""How good a model of several labels per thing is: F1, and how often all labels of a thing are right.

In: which labels things have, and which they were given. Out: a `LabelsEstimate`. Next: `kshot fit --multi-label`, `kshot estimate`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypedDict

import numpy as np

from kshot.results.score.counts import wilson


class LabelsRecord(TypedDict):
    """A `LabelsEstimate` as plain JSON values."""

    how: str
    examples: int
    exact: float
    interval: tuple[float, float]
    f1: float
    macro_f1: float
    precision: float | None
    recall: float | None
    labels_given: float
    labels_there: float


@dataclass(frozen=True)
class LabelsEstimate:
    """How good a model is.

    Attributes:
        how: How the answers came about, in words.
        examples: How many things were answered.
        exact: Share of the things that were given exactly their labels.
        interval: Its 95 % interval (Wilson 1927).
        f1: F1 over all labels of all things; 0 … 1.
        macro_f1: The mean over the classes that occur of the F1 of each.
        precision: Share of the labels given that are right; NaN where none was given.
        recall: Share of the labels there are that were given; NaN where there are none.
        labels_given: Labels given per thing.
        labels_there: Labels per thing.
    """

    how: str
    examples: int
    exact: float
    interval: tuple[float, float]
    f1: float
    macro_f1: float
    precision: float
    recall: float
    labels_given: float
    labels_there: float

    def as_dict(self) -> dict[str, Any]:
        """Return plain values; NaN is for `kshot.atomic.finite_or_none` to replace."""
        return {**self.__dict__, "interval": list(self.interval)}

    def __str__(self) -> str:
        """Say in two sentences what is known."""
        low, high = (100 * end for end in self.interval)
        return (
            f"F1 {100 * self.f1:.1f} % over all labels of {self.examples:,} things ({self.how}), {100 * self.macro_f1:.1f} % as the mean "
            f"of the classes. All labels right for {100 * self.exact:.1f} % of the things (95 % interval {low:.1f} to {high:.1f} %)."
        )


def estimate_labels(given: np.ndarray, there: np.ndarray, how: str, known: np.ndarray | None = None) -> LabelsEstimate:
    """Compare labels.

    Args:
        given: Which labels each thing was given, bool (m, N); m ≥ 1.
        there: Which it has, bool (m, N).
        how: How the answers came about, in words.
        known: Which answers count, bool (m, N); None: all.
    """
    known = np.ones(there.shape, dtype=bool) if known is None else known
    given, there = given & known, there & known
    right = given & there
    exact = (given == there).all(1)
    occurs = there.any(0) | given.any(0)
    low, high = wilson(np.array([exact.sum()]), np.array([len(exact)]))[0]
    return LabelsEstimate(
        how,
        len(there),
        float(exact.mean()),
        (float(low), float(high)),
        _f1(right.sum(), given.sum(), there.sum()),
        float(np.mean([_f1(right[:, k].sum(), given[:, k].sum(), there[:, k].sum()) for k in np.flatnonzero(occurs)] or [0.0])),
        float(right.sum() / given.sum()) if given.any() else float("nan"),
        float(right.sum() / there.sum()) if there.any() else float("nan"),
        float(given.sum(1).mean()),
        float(there.sum(1).mean()),
    )


def labels_estimate_from(record: Mapping[str, Any]) -> LabelsEstimate:
    """Return the estimate that a record holds."""
    values: dict[str, Any] = {name: float("nan") if value is None else value for name, value in record.items()}
    return LabelsEstimate(**{**values, "interval": tuple(record["interval"])})


def _f1(right: int, given: int, there: int) -> float:
    return float(2 * right / (given + there)) if given + there else 0.0
