"""Scores as a picture: how they spread over the episodes, and how their mean settles.

In: one score per episode. Out: a figure. Next: `kshot.results.score.result`, whose `plot` calls it.
"""

from typing import TYPE_CHECKING

import numpy as np

from kshot.figure import BLUE, ORANGE, frame, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MOST_BARS = 40
"""If scores have at most this many different values, each value gets its own bar."""
_SETTLED = 10
"""The running mean of fewer episodes than this varies too much to set the limits of its axis."""


def plot_scores(scores: np.ndarray, score_name: str) -> "Figure":
    """Draw how the scores spread over the episodes, and how their mean settles with its 95 % band.

    Args:
        scores: One score per episode, (E,), in the order of the episode numbers.
        score_name: Name of the score. `accuracy` is drawn in per cent.

    Raises:
        SetupError: matplotlib is not installed.
    """
    figure = new_figure(9.6, 3.6)
    percent = score_name == "accuracy"
    scores = scores * (100 if percent else 1)
    name = score_name + (" per episode, %" if percent else " per episode")
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
    frame(right, "episodes scored", "mean " + score_name + (", %" if percent else ""))
    right.legend(facecolor="white", edgecolor="none", framealpha=0.85)
    return figure


def running_mean(scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean of the first n scores and half the width of its 95 % interval, for every n: (E,) twice.

    The last entries are those of `mean_and_interval`. The first half width is 0, as in that function.
    """
    n = np.arange(1, len(scores) + 1)
    centre = scores - scores.mean()  # the squares of centred scores do not cancel
    mean, square = np.cumsum(centre) / n, np.cumsum(centre**2) / n
    variance = np.maximum(square - mean**2, 0) * n / np.maximum(n - 1, 1)
    return mean + scores.mean(), 1.96 * np.sqrt(variance / n)
