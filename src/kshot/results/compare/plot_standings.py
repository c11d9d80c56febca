"""A comparison as a picture: means with their intervals, and beside them the paired differences to the best learner.

In: the standings at each number of shots. Out: a figure. With one number of shots, each learner is a row. With several, each is a line over
the shots with a band. Next: `kshot.results.compare.comparison`, whose `plot` calls it.
"""

from collections.abc import Sequence
from textwrap import fill
from typing import TYPE_CHECKING

from kshot.figure import COLOURS, GREY, MARKS, band, chance_line, drawable, frame, key, new_figure, percent_axis
from kshot.results.compare.paired import Standing
from kshot.results.compare.sentence import Standings

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_LINE_MARKS = 6
"""Size of a mark on a line, in points."""
_FAR = 10.0
"""A learner this many points behind the best, or more, may be left out of the picture of the differences."""


def plot_standings(standings: Standings, places: Sequence[float], *, score_name: str, title: str, chance: float | None = None) -> "Figure":
    """Draw the standings of several learners.

    Args:
        standings: Standings of the same learners at one number of shots or several.
        places: Position of each number of shots on the axis of shots.
        score_name: Name of the score. `accuracy` is drawn in per cent, its differences in percentage points.
        title: The test of the learners, in words.
        chance: Accuracy of guessing, a fraction; None if there is none.

    Raises:
        SetupError: matplotlib is not installed.
    """
    first = next(iter(standings.values()))
    curve = len(standings) > 1
    figure = new_figure(10.5, 4.6 + 0.12 * len(first) if curve else 1.7 + 0.42 * len(first))
    left, right = figure.subplots(1, 2, sharey=not curve)
    percent = score_name == "accuracy"
    scale, unit = (100, ", %") if percent else (1, "")
    names = [score_name + unit, "paired difference to the best" + (", points" if percent else "")]
    figure.suptitle(fill(drawable(f"{title}; 95 % intervals over episodes", 250), 125), fontsize=10, color=GREY)
    if curve:
        _curves(left, standings, places, scale, of_difference=False)
        _curves(right, standings, places, scale, of_difference=True)
        for axes, name in zip((left, right), names, strict=True):
            frame(axes, "support items per class (shots)", name)
        if percent:
            _look_closer(right, standings)
            percent_axis(left, "y")
            chance_line(left, "y", chance)
        figure.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=min(5, len(first) + 1), frameon=False)
    else:
        _rows(left, first, scale, of_difference=False)
        _rows(right, first, scale, of_difference=True)
        for axes, name in zip((left, right), names, strict=True):
            frame(axes, name, "", grid="x")
        if percent:
            percent_axis(left, "x")
            chance_line(left, "x", chance)
            key(left)
    return figure


def _rows(axes: "Axes", standings: Sequence[Standing], scale: float, *, of_difference: bool) -> None:
    """Draw one row per learner, the best on top. Each learner has the same colour in both pictures."""
    names = [standing.name for standing in standings]
    for row, standing in enumerate(standings):
        mean, half = _value(standing, of_difference)
        colour, (mark, _) = COLOURS[row % len(COLOURS)], MARKS[row % len(MARKS)]
        axes.errorbar(scale * mean, row, xerr=scale * half, fmt=mark, color=colour, markersize=7, capsize=4, linewidth=1.8)
    axes.set_yticks(range(len(names)), [drawable(name, 40) for name in names])
    axes.set_ylim(len(names) - 0.4, -0.6)
    if of_difference:
        axes.axvline(0, color=GREY, linewidth=1, linestyle="--")
        if not any(standing.difference.mean or standing.difference.interval for standing in standings):
            axes.set_xlim(-1, 1)


def _curves(axes: "Axes", standings: Standings, places: Sequence[float], scale: float, *, of_difference: bool) -> None:
    """Draw one line per learner over the shots, with a band, in the order of the names: colours do not depend on which is best."""
    names = sorted(one.name for one in next(iter(standings.values())))
    for number, name in enumerate(names):
        values = [_value(next(one for one in row if one.name == name), of_difference) for row in standings.values()]
        low, high = ([scale * (mean + sign * half) for mean, half in values] for sign in (-1, 1))
        colour, (mark, _) = COLOURS[number % len(COLOURS)], MARKS[number % len(MARKS)]
        band(axes, places, low, high, colour=colour)
        means = [scale * mean for mean, _ in values]
        axes.plot(places, means, color=colour, marker=mark, markersize=_LINE_MARKS, linewidth=1.8, label=drawable(name, 40))
    axes.set_xscale("log")
    axes.set_xticks(places, list(standings), minor=False)
    axes.set_xticks([], minor=True)
    if of_difference:
        axes.axhline(0, color=GREY, linewidth=1, linestyle="--")


def _look_closer(axes: "Axes", standings: Standings) -> None:
    """Limit the axis so that learners far behind at every number of shots do not squeeze the others together. Name those left out."""
    best: dict[str, float] = {}  # a learner's smallest difference, in points
    lowest: dict[str, float] = {}
    for row in standings.values():
        for one in row:
            best[one.name] = max(best.get(one.name, -100.0), 100 * one.difference.mean)
            lowest[one.name] = min(lowest.get(one.name, 0.0), 100 * (one.difference.mean - one.difference.interval))
    far = sorted(name for name, points in best.items() if points < -_FAR)
    if not far or len(best) - len(far) < 2:
        return
    bottom = min(points for name, points in lowest.items() if name not in far)
    axes.set_ylim(1.1 * min(bottom, -0.1), -0.06 * min(bottom, -0.1))
    axes.set_title(drawable("below the picture: " + ", ".join(far), 60), fontsize=9, color=GREY, loc="left")


def _value(standing: Standing, of_difference: bool) -> tuple[float, float]:
    if of_difference:
        return standing.difference.mean, standing.difference.interval
    return standing.mean, standing.interval
