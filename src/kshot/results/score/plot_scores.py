"""Scores as a picture: how they spread over the episodes, and how their mean settles.

In: one score per episode. Out: a figure. Next: `kshot.results.score.result`, whose `plot` calls it.
"""

from typing import TYPE_CHECKING

import numpy as np

from kshot.figure import BLUE, ORANGE, band, chance_line, count_axis, frame, key, new_figure, percent_axis

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MOST_BARS = 40
"""If scores have at most this many different values, each value gets its own bar."""
_SETTLED = 10
"""The running mean of fewer episodes than this varies too much to set the limits of its axis."""


def plot_scores(scores: np.ndarray, score_name: str, chance: float | None = None) -> "Figure":
    """Draw how the scores spread over the episodes, and how their mean settles with its 95 % band.

    Args:
        scores: One score per episode, (E,), in the order of the episode numbers.
        score_name: Name of the score. `accuracy` is drawn in per cent.
        chance: Accuracy of guessing, a fraction; None if there is none.

    Raises:
        SetupError: matplotlib is not installed.
    """
    figure = new_figure(9.6, 3.6)
    percent = score_name == "accuracy"
    scores = scores * (100 if percent else 1)
    left, right = figure.subplots(1, 2)
    _spread(left, scores, percent)
    frame(left, score_name + (" per episode, %" if percent else " per episode"), "episodes")
    count_axis(left, "y")
    _settling(right, scores, percent)
    frame(right, "episodes scored", "mean " + score_name + (", %" if percent else ""))
    count_axis(right, "x")
    if percent:
        chance_line(left, "x", chance)
        chance_line(right, "y", chance)
    key(left)
    key(right)
    return figure


def _spread(axes: "Axes", scores: np.ndarray, percent: bool) -> None:
    values, counts = np.unique(scores.round(9), return_counts=True)
    width = 0.85 * float(np.diff(values).min()) if len(values) > 1 else 1.0
    if len(values) <= _MOST_BARS:
        axes.bar(values, counts, width=width, color=BLUE)
    else:
        axes.hist(scores, bins=_MOST_BARS, color=BLUE)
    axes.axvline(float(scores.mean()), color=ORANGE, linewidth=1.8, label=f"mean {scores.mean():.4g}")
    if len(values) == 1:  # one bar is as narrow as the others would be
        axes.set_xlim(values[0] - 10, values[0] + 10)
    if percent:
        percent_axis(axes, "x", room=0.6 * width if len(values) <= _MOST_BARS else 0.0)


def _settling(axes: "Axes", scores: np.ndarray, percent: bool) -> None:
    count = np.arange(1, len(scores) + 1)
    mean, half = running_mean(scores)
    low, high = mean - half, mean + half
    if percent:
        low, high = low.clip(0, 100), high.clip(0, 100)
    band(axes, count[1:].tolist(), low[1:].tolist(), high[1:].tolist(), colour=BLUE, label="95 % interval")
    axes.plot(count, mean, color=BLUE, linewidth=1.6, label="mean so far", marker="o" if len(scores) == 1 else "")
    settled = slice(min(_SETTLED, len(scores)) - 1, None)
    bottom, top = float(low[settled].min()), float(high[settled].max())
    margin = 0.08 * (top - bottom) or 0.5
    axes.set_ylim(bottom - margin, top + margin)
    axes.set_xlim(*((1, len(scores)) if len(scores) > 1 else (0, 2)))
    if percent:
        percent_axis(axes, "y")


def running_mean(scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean of the first n scores and half the width of its 95 % interval, for every n: (E,) twice.

    The last entries are those of `mean_and_interval`. The first half width is 0, as in that function.
    """
    n = np.arange(1, len(scores) + 1)
    centre = scores - scores.mean()  # the squares of centred scores do not cancel
    mean, square = np.cumsum(centre) / n, np.cumsum(centre**2) / n
    variance = np.maximum(square - mean**2, 0) * n / np.maximum(n - 1, 1)
    return mean + scores.mean(), 1.96 * np.sqrt(variance / n)
