"""The course of training as a PNG picture: validations with their intervals, and the loss.

In: a history of validations. Out: a file. Next: `kshot.results.show.report`.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from kshot.figure import BLUE, GREY, ORANGE, band, chance_line, count_axis, drawable, frame, key, new_figure, percent_axis, write_png
from kshot.value_types import LARGEST_FLOAT, fits

_NUMBERS = ("update", "mean", "interval", "loss")


def whole_validations(history: object) -> list[Mapping[str, float]]:
    """Return the validations of a record that hold their four numbers.

    A record is a user's own file, and a validation that was not a number is null in it.
    """
    entries = history if isinstance(history, (list, tuple)) else ()
    return [entry for entry in entries if isinstance(entry, Mapping) and all(map(_is_number, map(entry.get, _NUMBERS)))]


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and fits(float, value) and abs(value) <= LARGEST_FLOAT


def plot_learning(
    history: Sequence[Mapping[str, float]],
    path: Path,
    *,
    score_name: str = "accuracy",
    higher_is_better: bool = True,
    chance: float | None = None,
    trained_on: str = "",
) -> Path:
    """Draw the validation score with its interval over training, with the best validation marked and the training loss below.

    Args:
        history: One entry per validation: update, mean, interval, loss. There must be at least one.
        path: The PNG file to write.
        score_name: Name of the score in `mean`.
        higher_is_better: Whether the highest validation is the best.
        chance: Accuracy of guessing in a validation episode, a fraction; None if it is not known.
        trained_on: The data and split of the training, in words, for the title.

    Returns:
        `path`.

    Raises:
        SetupError: matplotlib is not installed.
        SavedError: The file cannot be written.
    """
    figure = new_figure(9.6, 4.8)
    percent = score_name == "accuracy"
    update, mean, half, loss = (np.array([entry[key] for entry in history]) for key in ("update", "mean", "interval", "loss"))
    mean, half = (mean * 100, half * 100) if percent else (mean, half)
    best = int(mean.argmax() if higher_is_better else mean.argmin())  # the first of equal ones, which training keeps
    upper, lower = figure.subplots(2, 1, sharex=True)

    low, high = (mean - half, mean + half) if not percent else ((mean - half).clip(0), (mean + half).clip(max=100))
    band(upper, update.tolist(), low.tolist(), high.tolist(), colour=BLUE, label="95 % interval")
    upper.plot(update, mean, color=BLUE, linewidth=1.6, marker="o", markersize=3, label=f"validation {score_name}")
    kept = f"best: {mean[best]:.4g}{' %' if percent else ''} at update {update[best]:,.0f}"
    upper.plot(update[best], mean[best], "*", color=ORANGE, markersize=15, markeredgecolor="white", label=kept, linestyle="none")
    frame(upper, "", score_name + (", %" if percent else ""))
    if percent:
        percent_axis(upper, "y")
        chance_line(upper, "y", chance)
    key(upper, drawable(f"training on {trained_on}", 90) if trained_on else "", columns=4)

    lower.stairs(loss, np.concatenate([[0], update]), baseline=None, color=GREY, linewidth=1.6)
    if (loss > 0).all() and loss.max() > 20 * loss.min():
        lower.set_yscale("log")
    lower.set_xlim(0, 1.02 * update[-1])
    frame(lower, "update", "training loss, mean\nbetween validations")
    count_axis(lower, "x")
    return write_png(figure, path)
