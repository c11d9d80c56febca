"""A picture of a learner's tasks: accuracy by class, confused pairs, difficulty of episodes, distances from the training classes.

In: a `TaskReport` and its episodes. Out: one PNG file. A confusion matrix is shown as well if there are few classes.
Next: `kshot.score_commands`.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from kshot.figure import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    RED,
    chance_line,
    count_axis,
    drawable,
    frame,
    key,
    new_figure,
    percent_axis,
    write_png,
)
from kshot.results.inspect.confusion import ConfusedPair, Confusion
from kshot.results.inspect.shift import Shift
from kshot.results.inspect.task_report import TaskReport
from kshot.results.score.episode_set import EpisodeSet
from kshot.results.show.plot_episodes import shown_pictures

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_PAIRS, _BARS = 8, 20
_FEW, _NUMBERED = 30, 12
"""At most this many classes are named and have a matrix; with at most this many, its cells have numbers."""
_TALL = 40
"""A bar of more episodes than this, and of more than half of them, gets a logarithmic axis, so that the others are seen."""
_SEEN = 0.005
"""A pair of classes is drawn if more than this share of its queries are mistakes: what rounds to 0 % has no row."""
_PART_COLOURS = (GREY, GREEN, BLUE)


def plot_tasks(report: TaskReport, episodes: EpisodeSet, path: Path) -> Path:
    """Draw the four panels.

    Args:
        report: The findings.
        episodes: The episodes of the report. If their data has pictures, the confused classes are shown with them.
        path: The PNG file to write.

    Returns:
        `path`.

    Raises:
        SetupError: matplotlib is not installed.
        SavedError: The file cannot be written.
    """
    found, queries = report.confusion, min(drawn.query_y.shape[1] for drawn in episodes.drawn)
    few = len(found.by_accuracy()) <= _FEW
    figure = new_figure(11, 12.4 if few else 12)
    grid = figure.add_gridspec(3, 2)
    places = [figure.add_subplot(grid[row, column]) for row in range(2) for column in range(2)]
    if few:
        _named_classes(places[0], found, report.results.chance)
        _matrix(places[1], found)
        places = [*places[2:], *(figure.add_subplot(grid[2, column]) for column in range(2))]
    else:
        _ranked_classes(places[0], found, report.results.chance)
        places = [*places[1:], figure.add_subplot(grid[2, :])]
    pairs, wrong, unsure, distances = places
    _pairs(pairs, [pair for pair in found.most_confused(_PAIRS) if pair.rate > _SEEN], episodes)
    hard = report.difficulty
    _episodes(wrong, 100 * (1 - hard.accuracy), 100 / queries, RED, "wrong queries of an episode, %")
    wrong.set_title("How often the episodes are answered wrongly", fontsize=11)
    words = "uncertainty of an episode, %\n(0: sure of every answer; 100: all classes equally likely)"
    _episodes(unsure, 100 * hard.uncertainty, 0.0, BLUE, words)
    unsure.set_title("How unsure the answers are", fontsize=11)
    _distances(distances, report.shifts[0] if report.shifts else None, report)
    score = report.results
    count = "1 episode" if len(score.scores) == 1 else f"{len(score.scores):,} episodes"
    figure.suptitle(drawable(f"{score.data} {score.split}: {score.shown} in {count}, seed {score.seed}", 120), weight="bold")
    return write_png(figure, path)


def _named_classes(axes: "Axes", found: Confusion, chance: float | None) -> None:
    """Draw one row per class, the worst on top, in the order of the matrix."""
    order = found.by_accuracy()
    _intervals(axes, found, order, np.arange(len(order)), across=False)
    axes.set_yticks(range(len(order)), _numbered(found, order), fontsize=7.5 if len(order) <= 20 else 6, parse_math=False)
    axes.set_ylim(len(order) - 0.5, -0.5)
    frame(axes, "accuracy, %", "", grid="x")
    percent_axis(axes, "x")
    chance_line(axes, "x", chance)
    key(axes, "Which classes are hard", columns=2)


def _ranked_classes(axes: "Axes", found: Confusion, chance: float | None) -> None:
    order = found.by_accuracy()
    _intervals(axes, found, order, np.arange(1, len(order) + 1), across=True)
    axes.set_xlim(0.5, len(order) + 0.5)
    frame(axes, f"classes, the worst first ({len(order):,})", "accuracy, %")
    count_axis(axes, "x")
    percent_axis(axes, "y")
    chance_line(axes, "y", chance)
    key(axes, "Which classes are hard", columns=2)


def _intervals(axes: "Axes", found: Confusion, order: np.ndarray, places: np.ndarray, *, across: bool) -> None:
    """Draw a mark with its interval for each class. Classes have no order, so that no line joins them."""
    accuracy, ends = 100 * found.accuracy[order], 100 * found.interval[order]
    sides = np.abs(ends - accuracy[:, None]).T
    many = len(order) > 60
    whole = 100 * found.right.sum() / max(1, found.asked.sum())
    axes.errorbar(
        places if across else accuracy,
        accuracy if across else places,
        yerr=sides if across else None,
        xerr=None if across else sides,
        fmt="o",
        color=BLUE,
        ecolor="#a9c3de",
        markersize=2 if many else 4.5,
        elinewidth=0.8 if many else 1.8,
        label="a class, 95 % interval",
    )
    (axes.axhline if across else axes.axvline)(whole, color=ORANGE, linewidth=1.4, label=f"all queries: {whole:.1f} %")


def _numbered(found: Confusion, order: np.ndarray) -> list[str]:
    return [f"{_short(found.names[place], 22)}  {number}" for number, place in enumerate(order, 1)]


def _matrix(axes: "Axes", found: Confusion) -> None:
    """Draw which share of the queries of each class was given each class. Both are in the order of the classes."""
    order = found.by_accuracy()
    shares = 100 * found.matrix()[np.ix_(order, order)] / found.asked[order, None]
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=100, aspect="auto")
    numbers, size = range(len(order)), 8 if len(order) <= 20 else 6
    axes.set_xticks(numbers, [str(number + 1) for number in numbers], fontsize=size)
    axes.set_yticks(numbers, [str(number + 1) for number in numbers], fontsize=size)
    axes.set_xlabel("answer: number of the class")
    axes.set_ylabel("class of the query")
    axes.tick_params(length=0)
    axes.set_title("Which answers the queries of a class get, %", fontsize=11)
    if len(order) <= _NUMBERED:
        for row, column in zip(*np.nonzero(shares > 100 * _SEEN), strict=True):
            share = shares[row, column]
            axes.text(column, row, f"{share:.0f}", ha="center", va="center", fontsize=8, color="white" if share > 55 else "#1b2430")


def _pairs(axes: "Axes", pairs: Sequence[ConfusedPair], episodes: EpisodeSet) -> None:
    axes.set_title("Which classes are taken for each other", fontsize=11)
    axes.set_axis_off()
    if not pairs:
        none = f"no two classes are taken for each other\nin more than {100 * _SEEN:.1f} % of their queries"
        axes.text(0.5, 0.5, none, ha="center", color=GREY, transform=axes.transAxes)
        return
    firsts = np.array([[episodes.index.items_of_position(position)[0] for position in pair.classes] for pair in pairs])
    pictures = shown_pictures(episodes, firsts.reshape(-1), None)
    names, bar = (0.1 if pictures is None else 2.25), 8.1
    for row, pair in enumerate(pairs):
        if pictures is not None:
            for column in range(2):
                _picture(axes, pictures[2 * row + column], 1.05 * column, row)
        for column, name in enumerate(pair.names):
            axes.text(names, row + 0.3 + 0.38 * column, _short(name), fontsize=7.5, va="center", parse_math=False)
        length = 1.6 * pair.rate / max(one.rate for one in pairs)
        axes.barh(row + 0.5, length, left=bar, height=0.34, color=RED)
        axes.text(bar + length + 0.1, row + 0.5, f"{100 * pair.rate:.0f} % of {pair.queries:,}", fontsize=7.5, va="center")
    axes.text(0, len(pairs) + 0.35, "mistakes between the two, of their queries in episodes with both", fontsize=8, color=GREY, va="center")
    axes.set(xlim=(0, 11.6), ylim=(_PAIRS + 0.6, 0))
    axes.set_aspect("equal", anchor="W")  # pictures are square


def _short(name: str, most: int = 34) -> str:
    """Return the end of a name, in which classes of one group differ."""
    return drawable(name if len(name) <= most else "…" + name[1 - most :], most)


def _picture(axes: "Axes", pixels: np.ndarray, x: float, row: int) -> None:
    from matplotlib.patches import Rectangle

    axes.imshow(pixels, extent=(x + 0.05, x + 0.95, row + 0.95, row + 0.05), aspect="auto", interpolation="antialiased")
    axes.add_patch(Rectangle((x + 0.05, row + 0.05), 0.9, 0.9, fill=False, edgecolor="#9aa5b1", linewidth=0.8))


def _episodes(axes: "Axes", values: np.ndarray, step: float, colour: str, words: str) -> None:
    """Draw how a value in per cent spreads over the episodes.

    Args:
        axes: The axes.
        values: One value per episode, (E,).
        step: Distance of neighbouring values: each bar then spans whole steps, or some bars would stay empty. 0: any value occurs.
        colour: The colour of the bars.
        words: What the value is.
    """
    most = max(5.0, 5 * step, float(values.max()))  # a few bars at least, so that one alone is not as wide as the picture
    width = step * max(1, round(most / _BARS / step)) if step else most / _BARS
    bins = (np.arange(round(most / width + 0.5) + 2) - 0.5) * width if step else np.linspace(0, most, _BARS + 1)
    counts = axes.hist(values, bins=bins.tolist(), color=colour, rwidth=0.85)[0]
    frame(axes, words, "episodes")
    percent_axis(axes, "x", room=width if step else 0.0)
    if len(values) >= _BARS and float(np.max(counts)) > max(_TALL, 0.5 * len(values)):
        axes.set_yscale("symlog", linthresh=10)
        axes.set_ylabel("episodes (logarithmic above 10)")
        ticks = [tick for power in range(7) for tick in (3 * 10**power, 10 ** (power + 1)) if tick <= 1.2 * float(np.max(counts))]
        axes.set_yticks([0, *ticks], [f"{tick:,}" for tick in (0, *ticks)])
        axes.set_yticks([], minor=True)
        axes.set_ylim(0)
    else:
        count_axis(axes, "y")


def _distances(axes: "Axes", shift: Shift | None, report: TaskReport) -> None:
    title = "How far the classes lie from those of training"
    if shift is None:
        axes.set_title(title, fontsize=11)
        axes.set_axis_off()
        axes.text(0.5, 0.5, "could not be measured", ha="center", color=GREY, transform=axes.transAxes)
        return
    most = float(np.quantile(np.concatenate(list(shift.nearest.values())), 0.995))
    bins = np.linspace(0, most, 31)
    for (part, values), colour in zip(shift.nearest.items(), _PART_COLOURS, strict=False):
        share = np.histogram(values.clip(max=most), bins)[0] / len(values)
        label = f"{part} ({len(values):,}): median {np.median(values):.2f}"
        axes.stairs(
            100 * share, bins, color=colour, fill=part == "train", alpha=0.35 if part == "train" else 1.0, linewidth=1.8, label=label
        )
        axes.axvline(float(np.median(values)), color=colour, linewidth=1.2, linestyle="--")
    where = "the learner's features" if shift.space == "features" else "the numbers of the items"
    frame(axes, f"distance to the nearest training class in {where};\nthe median of training classes is 1", "classes of the part, %")
    percent_axis(axes, "y")
    key(axes, title)
