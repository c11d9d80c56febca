"""A picture of a learner's tasks: accuracy by class, confused pairs, difficulty of episodes, distances from the training classes.

In: a `TaskReport` and its episodes. Out: one PNG file with four panels. Next: `kshot.cli`.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from kshot.figure import BLUE, GREEN, GREY, ORANGE, RED, drawable, frame, new_figure, write_png
from kshot.results.inspect.confusion import ConfusedPair, Confusion
from kshot.results.inspect.difficulty import Difficulty
from kshot.results.inspect.shift import Shift
from kshot.results.inspect.task_report import TaskReport
from kshot.results.score.episode_set import EpisodeSet
from kshot.results.show.plot_episodes import shown_pictures

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_PAIRS, _BARS = 8, 20
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
    figure = new_figure(11, 8.4)
    (classes, pairs), (difficulty, distances) = figure.subplots(2, 2)
    _classes(classes, report.confusion)
    _pairs(pairs, report.confusion.most_confused(_PAIRS), episodes)
    _difficulty(difficulty, report.difficulty, min(drawn.query_y.shape[1] for drawn in episodes.drawn))
    _distances(distances, report.shifts[0] if report.shifts else None, report)
    score = report.results
    figure.suptitle(
        drawable(f"{score.data} {score.split}: {score.shown} in {len(score.scores):,} episodes, seed {score.seed}", 120), weight="bold"
    )
    return write_png(figure, path)


def _classes(axes: "Axes", confusion: Confusion) -> None:
    order = confusion.by_accuracy()
    accuracy, ends = 100 * confusion.accuracy[order], 100 * confusion.interval[order]
    place = np.arange(1, len(order) + 1)
    axes.fill_between(place, ends[:, 0], ends[:, 1], color=BLUE, alpha=0.2, linewidth=0, label="95 % interval of a class")
    axes.plot(
        place, accuracy, color=BLUE, linewidth=1.8, marker="o" if len(order) <= 60 else "", markersize=3.5, label="accuracy of a class"
    )
    whole = 100 * confusion.right.sum() / max(1, confusion.asked.sum())
    axes.axhline(whole, color=ORANGE, linewidth=1.4, label=f"all queries: {whole:.1f} %")
    axes.set_xlim(0.5, len(order) + 0.5)
    axes.set_ylim(min(95.0, max(0.0, float(ends[:, 0].min()) - 3)), 101)
    frame(axes, f"classes, the worst first ({len(order):,})", "accuracy, %")
    axes.set_title("Which classes are hard")
    axes.legend(facecolor="white", edgecolor="none", framealpha=0.85, loc="lower right")


def _pairs(axes: "Axes", pairs: Sequence[ConfusedPair], episodes: EpisodeSet) -> None:
    axes.set_title("Which classes are taken for each other")
    axes.set_axis_off()
    if not pairs:
        axes.text(0.5, 0.5, "no class was taken for another", ha="center", color=GREY, transform=axes.transAxes)
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
        axes.text(bar + length + 0.1, row + 0.5, f"{100 * pair.rate:.0f} % of {pair.queries}", fontsize=7.5, va="center")
    axes.text(0, _PAIRS + 0.35, "mistakes between the two, of their queries in episodes with both", fontsize=8, color=GREY, va="center")
    axes.set(xlim=(0, 11.6), ylim=(_PAIRS + 0.6, 0))
    axes.set_aspect("equal", anchor="W")  # pictures are square


def _short(name: str, most: int = 40) -> str:
    """Return the end of a name, in which classes of one group differ."""
    return drawable(name if len(name) <= most else "…" + name[1 - most :], most)


def _picture(axes: "Axes", pixels: np.ndarray, x: float, row: int) -> None:
    from matplotlib.patches import Rectangle

    axes.imshow(pixels, extent=(x + 0.05, x + 0.95, row + 0.95, row + 0.05), aspect="auto", interpolation="antialiased")
    axes.add_patch(Rectangle((x + 0.05, row + 0.05), 0.9, 0.9, fill=False, edgecolor="#9aa5b1", linewidth=0.8))


def _difficulty(axes: "Axes", difficulty: Difficulty, queries: int) -> None:
    wrong, unsure = 100 * (1 - difficulty.accuracy), 100 * difficulty.uncertainty
    most = max(5.0, float(max(wrong.max(), unsure.max())))
    step = 100 / queries  # the share of one query: each bar spans whole steps, or some bars would stay empty
    width = step * max(1, round(most / _BARS / step))
    bins = (np.arange(int(most / width) + 3) - 0.5) * width
    axes.hist([wrong, unsure], bins=bins.tolist(), color=[RED, BLUE], label=["wrong queries, %", "uncertainty, % of the largest possible"])
    if float(np.histogram(wrong, bins)[0].max()) > 0.5 * len(wrong):
        axes.set_yscale("symlog", linthresh=10)
        axes.set_ylim(0)
    frame(axes, "per episode", "episodes")
    axes.set_title("How hard the episodes are")
    axes.legend(facecolor="white", edgecolor="none", framealpha=0.85, loc="upper right")


def _distances(axes: "Axes", shift: Shift | None, report: TaskReport) -> None:
    axes.set_title("How far the classes lie from those of training")
    if shift is None:
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
    where = "the learner's features" if shift.space == "features" else "the pixels"
    frame(axes, f"distance to the nearest training class in {where};\nthe median of training classes is 1", "classes of the part, %")
    axes.set_ylim(top=1.1 * axes.get_ylim()[1])
    axes.legend(facecolor="white", edgecolor="none", framealpha=0.85, loc="upper left")
