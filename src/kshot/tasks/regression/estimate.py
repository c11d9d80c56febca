"""How far a regressor is from the truth, in the target's own units: answers for examples that it did not see.

In: targets, answers, and what always answering the mean would give. Out: an `ErrorEstimate`. Next: `kshot.tasks.regression.fit`, and the
report.

    MAE = mean |y - ŷ|    RMSE = √mean (y - ŷ)²    R² = 1 - mean (y - ŷ)² / mean (y - mean)²

Always answering the mean is judged as the regressor is: left out, the mean of the other examples; on labelled data, the mean of the model's
examples. So R² is 0 for a regressor that is no better than that. The intervals are Student's, of the mean of |y - ŷ| and of (y - ŷ)²; the
ends of the latter are square roots, at least 0. With few examples and a rare large error, they are too narrow, as all such intervals.
"""

import math
from dataclasses import asdict, dataclass
from functools import cache
from typing import Any, TypedDict

import numpy as np

from kshot.short_repr import repr_of_fields, shown


class ErrorRecord(TypedDict):
    """What `ErrorEstimate.as_dict` returns."""

    how: str
    examples: int
    rmse: float
    rmse_interval: tuple[float, float]
    mae: float
    mae_interval: tuple[float, float]
    r2: float | None
    rmse_of_mean: float
    mae_of_mean: float


@dataclass(frozen=True)
class ErrorEstimate:
    """The error of a regressor. All but R² is in the target's units.

    Attributes:
        how: How the answers came about: `leave-one-out` or `labelled data`.
        examples: How many answers are judged.
        rmse: Root of the mean squared error.
        rmse_interval: Its 95 % interval; 0 and infinity for one answer.
        mae: Mean absolute error.
        mae_interval: Its 95 % interval, likewise.
        r2: The share of the squared error of always answering the mean that the regressor avoids, at most 1; NaN if that has no error.
        rmse_of_mean: The RMSE of always answering the mean.
        mae_of_mean: Its MAE.
    """

    how: str
    examples: int
    rmse: float
    rmse_interval: tuple[float, float]
    mae: float
    mae_interval: tuple[float, float]
    r2: float
    rmse_of_mean: float
    mae_of_mean: float

    __repr__ = repr_of_fields

    def as_dict(self) -> dict[str, Any]:
        """Return the estimate as plain values."""
        return {**asdict(self), "rmse_interval": list(self.rmse_interval), "mae_interval": list(self.mae_interval)}

    def __str__(self) -> str:
        """Say in two sentences how large the error is."""
        r2 = f"; R² {self.r2:.3f}" if math.isfinite(self.r2) else ""
        return (
            f"RMSE {_with(self.rmse, self.rmse_interval)}, MAE {_with(self.mae, self.mae_interval)}{r2} ({self.how}, "
            f"{self.examples:,} {'row' if self.examples == 1 else 'rows'}; 95 % intervals). Always answering the mean: RMSE "
            f"{_short(self.rmse_of_mean)}, MAE {_short(self.mae_of_mean)}."
        )


def estimate_errors(how: str, y: np.ndarray, answers: np.ndarray, of_mean: np.ndarray) -> ErrorEstimate:
    """Judge answers.

    Args:
        how: How they came about.
        y: The targets, float64 (M,), M ≥ 1.
        answers: float64 (M,).
        of_mean: What always answering the mean gives, float64 (M,).
    """
    errors, blank = np.abs(y - answers), np.abs(y - of_mean)
    square, blank_square = np.square(errors), np.square(blank)
    low, high = _interval(square)
    none = not blank_square.mean() > 0
    return ErrorEstimate(
        how,
        len(y),
        math.sqrt(square.mean()),
        (math.sqrt(low), math.sqrt(high)),
        float(errors.mean()),
        _interval(errors),
        math.nan if none else float(1 - square.mean() / blank_square.mean()),
        math.sqrt(blank_square.mean()),
        float(blank.mean()),
    )


def error_estimate_from_dict(record: ErrorRecord) -> ErrorEstimate:
    """Return the estimate that `ErrorEstimate.as_dict` wrote; the record is of that form, with None for NaN."""
    plain: dict[str, Any] = {**record, "r2": math.nan if record["r2"] is None else record["r2"]}
    ends = {name: tuple(plain[name]) for name in ("rmse_interval", "mae_interval")}
    return ErrorEstimate(**{**plain, **ends})


def means_left_out(y: np.ndarray) -> np.ndarray:
    """Return the mean of the other targets, for each: float64 (n,), n ≥ 2."""
    others: np.ndarray = (y.sum() - y) / (len(y) - 1)
    return others


@cache
def student(degrees: int) -> float:
    """Return the 97.5 % point of Student's t.

    Under t = √ν tan θ, the density is cos(θ)^(ν - 1), which is summed here. ("The probable error of a mean", Biometrika 6, 1908.)

    Example:
        >>> round(student(1), 2), round(student(10), 3)
        (12.71, 2.228)
    """
    if degrees > 5_000:
        return 1.96
    angles = np.linspace(0, np.pi / 2, 200_001)
    density = np.cos(angles) ** (degrees - 1)
    below = np.concatenate([[0.0], np.cumsum((density[1:] + density[:-1]) / 2)])
    return math.sqrt(degrees) * math.tan(float(np.interp(0.95 * below[-1], below, angles)))


def _interval(scores: np.ndarray) -> tuple[float, float]:
    """Return the 95 % interval of a mean of numbers that are at least 0."""
    M = len(scores)
    if M < 2:
        return 0.0, math.inf
    half = student(M - 1) * float(scores.std(ddof=1)) / math.sqrt(M)
    return max(0.0, float(scores.mean()) - half), float(scores.mean()) + half


def _short(value: float) -> str:
    return f"{value:.4g}" if 1e-3 <= abs(value) < 1e4 else f"{value:,.0f}" if 1e4 <= abs(value) < 1e9 else shown(value)


def _with(value: float, ends: tuple[float, float]) -> str:
    return f"{_short(value)} ({_short(ends[0])} to {_short(ends[1])})"
