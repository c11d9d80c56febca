"""Tools for pictures: figures, colours, frames, text that the font can draw, PNG files.

matplotlib comes with the extra `plots`. It is imported inside the functions and used through its object interface, without windows or
global figures. This module is a leaf, so that every stage can draw what it defines. Next: the modules `plot_…` of `kshot.results`.
"""

import io
import os
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from kshot.atomic import write_bytes
from kshot.errors import SetupError, missing_extra

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
