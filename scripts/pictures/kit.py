"""The kit for the pictures of the pages: two themes, boxes, arrows, drawings, SVG files that are the same bytes on every run.

In: what a picture's module wants drawn. Out: `docs/images/concepts/NAME-light.svg` and `NAME-dark.svg`, on a transparent ground.

Coordinates of the diagrams are hundredths of an inch, from the top left corner. Pages are 6.4 inches wide on a desktop and about half of
that on a phone, so letters are no smaller than 9 points.
"""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "docs" / "images" / "concepts"
WIDTH = 6.4


@dataclass(frozen=True)
class Theme:
    """Colours of one variant: of lines and letters, of what stands back, and of things that are told apart."""

    name: str
    ink: str
    muted: str
    faint: str
    panel: str
    blue: str
    orange: str
    green: str
    red: str
    violet: str

    @property
    def colours(self) -> tuple[str, ...]:
        """Of things side by side, such as the classes of a task."""
        return (self.blue, self.orange, self.green, self.violet, self.red)


LIGHT = Theme("light", "#1f2430", "#5f6b7a", "#d5dae1", "#f3f5f8", "#2563a8", "#c2570c", "#1f8a4c", "#c62828", "#7b4fb5")
DARK = Theme("dark", "#e4e8ef", "#9aa6b5", "#474d5c", "#262b38", "#74b0f0", "#f4a261", "#63d297", "#ff8a80", "#c3a1f2")
THEMES = (LIGHT, DARK)


def settings(theme: Theme) -> Any:
    """What matplotlib must be told: letters as outlines, so that they look alike everywhere, and names that do not depend on chance."""
    return {
        "svg.hashsalt": "kshot",
        "svg.fonttype": "path",
        "font.family": "DejaVu Sans",
        "font.size": 10,
        "text.color": theme.ink,
        "axes.edgecolor": theme.muted,
        "axes.labelcolor": theme.ink,
        "axes.facecolor": "none",
        "figure.facecolor": "none",
        "savefig.facecolor": "none",
        "xtick.color": theme.muted,
        "ytick.color": theme.muted,
        "xtick.labelcolor": theme.ink,
        "ytick.labelcolor": theme.ink,
        "legend.frameon": False,
        "image.composite_image": False,
    }


def svg(figure: Figure) -> bytes:
    """A figure as SVG without a date, a version or a name that chance gave."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": "kshot: make pictures"})
    text = buffer.getvalue().decode()
    return "\n".join(line.rstrip() for line in text.splitlines()).encode() + b"\n"


def new_plot(columns: int = 1, *, height: float = 3.0, **grid: Any) -> tuple[Figure, list[Axes]]:
    """A figure of the pages' width with axes side by side."""
    figure = Figure((WIDTH, height), layout="constrained")
    axes = np.atleast_1d(figure.subplots(1, columns, **grid))
    return figure, list(axes.flat)


def tidy(axes: Axes, theme: Theme, x: str, y: str) -> None:
    """Name the axes, and leave of their frame what helps reading."""
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(color=theme.faint, linewidth=0.7)
    axes.set_axisbelow(True)


@dataclass(frozen=True)
class Sheet:
    """A diagram: one axes over the whole figure, in hundredths of an inch from the top left."""

    figure: Figure
    axes: Axes
    theme: Theme

    @classmethod
    def new(cls, theme: Theme, height: float) -> "Sheet":
        """An empty sheet of the pages' width; the height is in inches."""
        figure = Figure((WIDTH, height))
        axes = figure.add_axes((0, 0, 1, 1))
        axes.set_axis_off()
        axes.set(xlim=(0, 100 * WIDTH), ylim=(100 * height, 0))
        return cls(figure, axes, theme)

    def text(
        self, x: float, y: float, words: str, *, colour: str = "", size: float = 10, bold: bool = False, align: str = "center"
    ) -> None:
        """Words whose middle (or left or right end) is at a point."""
        self.axes.text(
            x,
            y,
            words,
            color=colour or self.theme.ink,
            size=size,
            weight="bold" if bold else "normal",
            ha=align,
            va="center",
            linespacing=1.35,
        )

    def box(
        self, x: float, y: float, width: float, height: float, words: str = "", *, colour: str = "", size: float = 10, dashed: bool = False
    ) -> None:
        """A rounded box from its left upper corner, with words in its middle."""
        edge = colour or self.theme.muted
        self.axes.add_patch(
            FancyBboxPatch(
                (x, y), width, height, boxstyle="round,pad=0,rounding_size=7",
                facecolor="none" if dashed else self.theme.panel, edgecolor=edge, linewidth=1.3, linestyle=(0, (4, 3)) if dashed else "-",
            )
        )  # fmt: skip
        if words:
            self.text(x + width / 2, y + height / 2, words, size=size)

    def arrow(
        self, start: tuple[float, float], end: tuple[float, float], *, colour: str = "", bend: float = 0.0, dashed: bool = False
    ) -> None:
        """An arrow between two points; `bend` curves it."""
        self.axes.add_patch(
            FancyArrowPatch(
                start, end, arrowstyle="-|>", mutation_scale=11, shrinkA=2, shrinkB=2, connectionstyle=f"arc3,rad={bend}",
                color=colour or self.theme.muted, linewidth=1.5, linestyle=(0, (4, 3)) if dashed else "-",
            )
        )  # fmt: skip

    def drawing(self, ink: np.ndarray, x: float, y: float, side: float, *, colour: str = "", frame: str = "") -> None:
        """A drawing (h, w) of ink between 0 and 1 in a frame, as squares of the sheet's own colour: sharp at any size."""
        self.axes.add_patch(
            FancyBboxPatch(
                (x, y), side, side, boxstyle="round,pad=0,rounding_size=4",
                facecolor=self.theme.panel, edgecolor=frame or self.theme.faint, linewidth=1.5 if frame else 1.0,
            )
        )  # fmt: skip
        self.axes.imshow(
            tinted(ink, colour or self.theme.ink), extent=(x + 3, x + side - 3, y + side - 3, y + 3), interpolation="none", zorder=3
        )
        self.axes.set(xlim=(0, 100 * WIDTH), ylim=(100 * self.figure.get_figheight(), 0), aspect="auto")


def tinted(ink: np.ndarray, colour: str) -> np.ndarray:
    """A drawing (h, w) between 0 and 1 as (h, w, 4) of one colour, transparent where there is no ink."""
    pixels = np.empty((*ink.shape, 4))
    pixels[..., :3] = to_rgba(colour)[:3]
    pixels[..., 3] = np.clip(ink, 0, 1)
    return pixels


def curves(axes: Axes, x: Sequence[float], rows: Sequence[tuple[str, Sequence[float], Sequence[float]]], colours: Sequence[str]) -> None:
    """One line per row (name, values, intervals), with a band of its interval."""
    for (name, values, intervals), colour, mark in zip(rows, colours, "osD^v", strict=False):
        middle, wide = np.asarray(values), np.asarray(intervals)
        axes.fill_between(x, middle - wide, middle + wide, color=colour, alpha=0.18, linewidth=0)
        axes.plot(x, middle, color=colour, marker=mark, markersize=5, linewidth=1.6, label=name)


def themed(theme: Theme) -> Any:
    """The context in which a picture of a theme is made."""
    return matplotlib.rc_context(settings(theme))
