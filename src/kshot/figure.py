"""Tools for pictures: figures, colours, frames, axes of counts and of per cent, keys, text that the font can draw, PNG files.

matplotlib comes with the extra `plots`. It is imported inside the functions and used through its object interface, without windows or
global figures. This module is a leaf, so that every stage can draw what it defines. Next: the modules `plot_…` of `kshot.results`.
"""

import io
import os
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from kshot.atomic import write_bytes
from kshot.errors import SetupError, missing_extra
from kshot.short_repr import per_cent

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BLUE, ORANGE, GREEN, RED, GREY = "#2563a8", "#c2570c", "#1f8a4c", "#c62828", "#5f6b7a"
COLOURS = (BLUE, "#e07b00", GREEN, RED, "#7b4fb5", "#7a4a33", "#d6569f", GREY, "#9a9a00", "#0fa3b1")
MARKS = (("o", 36), ("s", 34), ("D", 32), ("^", 42), ("v", 42), ("P", 58), ("X", 50), ("<", 42), (">", 42), ("*", 90))
"""A colour and a mark for each of several things side by side. Each mark has its own size, so that all look equally large."""


def require_matplotlib() -> None:
    """Raise an error unless pictures can be drawn.

    Raises:
        SetupError: matplotlib is not installed, or its settings are unusable.
    """
    try:
        import matplotlib.backends.backend_agg
        import matplotlib.figure  # noqa: F401
    except ImportError as error:
        raise missing_extra("matplotlib", "plots", "Drawing pictures") from error
    except ValueError as error:  # matplotlib reads its settings when it is imported
        raise SetupError(
            f"matplotlib does not start: {str(error).partition(';')[0].rstrip('.')} (MPLBACKEND is {os.environ.get('MPLBACKEND')!r}). "
            "kshot draws without a backend: unset MPLBACKEND, or set it to agg."
        ) from error


def new_figure(width: float, height: float) -> "Figure":
    """Return an empty white figure of the given size in inches.

    Raises:
        SetupError: matplotlib is not installed.
    """
    require_matplotlib()
    return _shown_figure()((width, height), dpi=110, facecolor="white", layout="constrained")


def write_png(figure: "Figure", path: Path) -> Path:
    """Draw a figure into a PNG file, and return its path.

    Raises:
        SavedError: The file cannot be written.
    """
    write_bytes(path, _png_of(figure))
    return path


def drawable(text: str, most: int = 60) -> str:
    """Make text drawable with matplotlib's own font: replace other characters by `?`, and cut text that is too long."""
    known = _characters()
    cut = text if len(text) <= most else text[: most - 1] + "…"
    return "".join(character if ord(character) in known and character.isprintable() else "?" for character in cut)


def frame(axes: "Axes", x: str, y: str, grid: Literal["x", "y"] = "y") -> None:
    """Label the axes, and reduce their frame to two sides and a light grid."""
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis=grid, color="#e3e7ec", linewidth=0.8)
    axes.set_axisbelow(True)


def count_axis(axes: "Axes", axis: Literal["x", "y"]) -> None:
    """Give an axis of counts ticks at whole numbers alone, with commas between thousands."""
    from matplotlib.ticker import MaxNLocator, StrMethodFormatter

    shown = axes.xaxis if axis == "x" else axes.yaxis
    shown.set_major_locator(MaxNLocator(nbins=7, steps=[1, 2, 5, 10], integer=True, min_n_ticks=1))
    shown.set_major_formatter(StrMethodFormatter("{x:,.0f}"))


def percent_axis(axes: "Axes", axis: Literal["x", "y"], *, room: float = 0.0) -> None:
    """End an axis of per cent at 0 and 100: no tick and no line lies beyond. Call it when everything is drawn.

    Args:
        axes: The axes.
        axis: Which of the two.
        room: Half the width of a bar, which is drawn whole although its middle is at 0 or 100.
    """
    low, high = sorted(axes.get_xlim() if axis == "x" else axes.get_ylim())
    beyond = max(room, 0.04 * (min(high, 100.0) - max(low, 0.0)))  # a mark at 100 is drawn whole, too
    low, high = max(low, -beyond), min(high, 100.0 + beyond)
    locator = (axes.xaxis if axis == "x" else axes.yaxis).get_major_locator()
    ticks = [tick for tick in locator.tick_values(max(low, 0.0), min(high, 100.0)) if max(low, 0.0) <= tick <= min(high, 100.0)]
    if axis == "x":
        axes.set_xticks(ticks)
        axes.set_xlim(low, high)
    else:
        axes.set_yticks(ticks)
        axes.set_ylim(low, high)
    axes.spines["bottom" if axis == "x" else "left"].set_bounds(max(low, 0.0), min(high, 100.0))


def chance_line(axes: "Axes", axis: Literal["x", "y"], chance: float | None) -> None:
    """Draw the accuracy of guessing as a thin dashed line on an axis in per cent. Call it when the limits are set: they do not change.

    Args:
        axes: The axes.
        axis: The axis of the accuracy.
        chance: The accuracy of guessing, a fraction; None draws nothing.
    """
    if chance is None:
        return
    low, high = sorted(axes.get_xlim() if axis == "x" else axes.get_ylim())
    inside = low <= 100 * chance <= high
    label = f"chance {per_cent(chance)} %{'' if inside else ', outside the picture'}"
    if not inside:
        axes.plot([], [], color=GREY, linewidth=1, linestyle="--", label=label)
    elif axis == "x":
        axes.axvline(100 * chance, color=GREY, linewidth=1, linestyle="--", label=label)
    else:
        axes.axhline(100 * chance, color=GREY, linewidth=1, linestyle="--", label=label)


def band(axes: "Axes", x: Sequence[float], low: Sequence[float], high: Sequence[float], *, colour: str, label: str | None = None) -> None:
    """Draw an interval at each place as a band, or as a bar if there is one place. Where all intervals have no width, draw nothing.

    Args:
        axes: The axes.
        x: Places.
        low: Lower end of the interval at each place.
        high: Upper ends.
        colour: The colour of what the intervals belong to.
        label: What the key says about the intervals.
    """
    if not any(above > below for below, above in zip(low, high, strict=True)):
        return
    if len(x) == 1:
        axes.plot([x[0], x[0]], [low[0], high[0]], color=colour, linewidth=6, alpha=0.3, solid_capstyle="butt", label=label)
    else:
        axes.fill_between(x, low, high, color=colour, alpha=0.2, linewidth=0, label=label)


def key(axes: "Axes", title: str = "", *, columns: int = 3) -> None:
    """Write the title and the key above the axes, where they cover nothing. Only what is drawn and has a label is in the key.

    Args:
        axes: The axes.
        title: The title.
        columns: Largest number of entries side by side.
    """
    handles, labels = axes.get_legend_handles_labels()
    rows = -(-len(labels) // columns)
    if labels:
        axes.legend(
            handles,
            labels,
            loc="lower center",
            bbox_to_anchor=(0.5, 1.0),
            ncols=min(columns, len(labels)),
            frameon=False,
            fontsize=8.5,
            borderaxespad=0.2,
            columnspacing=1.4,
        )
    if title:
        axes.set_title(title, fontsize=11, pad=6 + 15 * rows)


def name_lines(name: str) -> str:
    """Return the name of a class as one or two short lines: the parts before and after its first `/`."""
    return "\n".join(drawable(part, 30) for part in name.split("/", 1) if part)


def _png_of(figure: "Figure") -> bytes:
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    buffer = io.BytesIO()
    FigureCanvasAgg(figure)
    figure.savefig(buffer, format="png")
    return buffer.getvalue()


@cache
def _shown_figure() -> "type[Figure]":
    """Return a class of figures that notebooks show. By themselves, they show only figures of pyplot, which keeps all figures."""
    from matplotlib.figure import Figure

    class ShownFigure(Figure):
        def _repr_png_(self) -> bytes:
            return _png_of(self)

    return ShownFigure


@cache
def _characters() -> frozenset[int]:
    from matplotlib.font_manager import FontProperties, findfont, get_font

    return frozenset(get_font(findfont(FontProperties())).get_charmap())
