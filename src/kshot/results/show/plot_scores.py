"""PNG pictures of numbers: scores over the episodes, and the course of training.

In: scores, or a history of validations. Out: a file. `plot_episodes` and `plot_embedding` draw tasks. Next: `kshot.results.show.report`.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from kshot.results.score.result import Results
from kshot.results.show.figure import BLUE, GREY, ORANGE, frame, new_figure, write_png

_MOST_BARS = 40
"""If scores have at most this many different values, each value gets its own bar."""
_SETTLED = 10
"""The running mean of fewer episodes than this varies too much to set the limits of its axis."""


def plot_scores(results: Results, path: Path) -> Path:
    """Draw how the scores spread over the episodes, and how their mean settles with its 95 % band.

    Args:
        results: Results of an evaluation.
        path: The PNG file to write.

    Returns:
        `path`.

    Raises:
        SetupError: matplotlib is not installed.
        SavedError: The file cannot be written.
    """
    figure = new_figure(9.6, 3.6)
    percent = results.score_name == "accuracy"
    scores = results.scores * (100 if percent else 1)
    name = results.score_name + (" of an episode, %" if percent else " of an episode")
    left, right = figure.subplots(1, 2)

    values, counts = np.unique(scores.round(9), return_counts=True)
    if len(values) <= _MOST_BARS:
        left.bar(values, counts, width=0.85 * float(np.diff(values).min()) if len(values) > 1 else 1.0, color=BLUE)
    else:
        left.hist(scores, bins=_MOST_BARS, color=BLUE)
    left.axvline(float(scores.mean()), color=ORANGE, linewidth=1.8, label=f"mean {scores.mean():.4g}")
    frame(left, name, "episodes")
    left.legend(facecolor="white", edgecolor="none", framealpha=0.85)

    count = np.arange(1, len(scores) + 1)
    mean, half = running_mean(scores)
    right.fill_between(count[1:], (mean - half)[1:], (mean + half)[1:], color=BLUE, alpha=0.2, linewidth=0, label="95 % interval")
    right.plot(count, mean, color=BLUE, linewidth=1.6, label="mean so far", marker="o" if len(scores) == 1 else "")
    settled = slice(min(_SETTLED, len(scores)) - 1, None)
    low, high = float((mean - half)[settled].min()), float((mean + half)[settled].max())
    margin = 0.08 * (high - low) or 0.5
    right.set_ylim(low - margin, high + margin)
    right.set_xlim(1, max(2, len(scores)))
    frame(right, "episodes scored", "mean " + results.score_name + (", %" if percent else ""))
    right.legend(facecolor="white", edgecolor="none", framealpha=0.85)
    return write_png(figure, path)


def running_mean(scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean of the first n scores and half the width of its 95 % interval, for every n: (E,) twice.

    The last entries are those of `mean_and_interval`. The first half width is 0, as in that function.
    """
    n = np.arange(1, len(scores) + 1)
    centre = scores - scores.mean()  # the squares of centred scores do not cancel
    mean, square = np.cumsum(centre) / n, np.cumsum(centre**2) / n
    variance = np.maximum(square - mean**2, 0) * n / np.maximum(n - 1, 1)
    return mean + scores.mean(), 1.96 * np.sqrt(variance / n)


def plot_learning(
    history: Sequence[Mapping[str, float]], path: Path, *, score_name: str = "accuracy", higher_is_better: bool = True
) -> Path:
    """Draw the validation score with its interval over training, with the best validation marked and the training loss below.

    Args:
        history: One entry per validation: update, mean, interval, loss. There must be at least one.
        path: The PNG file to write.
        score_name: Name of the score in `mean`.
        higher_is_better: Whether the highest validation is the best.

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

    upper.fill_between(update, mean - half, mean + half, color=BLUE, alpha=0.2, linewidth=0, label="95 % interval")
    upper.plot(update, mean, color=BLUE, linewidth=1.6, marker="o", markersize=3, label=f"validation {score_name}")
    kept = f"best: {mean[best]:.4g}{' %' if percent else ''} at update {update[best]:,.0f}"
    upper.plot(update[best], mean[best], "*", color=ORANGE, markersize=15, markeredgecolor="white", label=kept, linestyle="none")
    frame(upper, "", score_name + (", %" if percent else ""))
    upper.legend(facecolor="white", edgecolor="none", framealpha=0.85, loc="lower right" if higher_is_better else "upper right")

    lower.plot(update, loss, color=GREY, linewidth=1.6, marker="o", markersize=3)
    if (loss > 0).all() and loss.max() > 20 * loss.min():
        lower.set_yscale("log")
    frame(lower, "update", "training loss")
    return write_png(figure, path)
