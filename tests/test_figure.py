"""The kit for pictures: text that the font can draw, axes of counts and of per cent, bands, the line of chance, keys."""

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest
from matplotlib.axes import Axes

from kshot.figure import band, chance_line, count_axis, drawable, key, name_lines, new_figure, percent_axis


def axes_with(x: list[float], y: list[float]) -> Axes:
    axes: Axes = new_figure(4, 3).subplots()
    axes.plot(x, y, label="a line")
    return axes


def test_text_that_cannot_be_drawn_is_replaced() -> None:
    assert drawable("naïve $x_{") == "naïve $x_{"
    assert drawable("狐\n\udc80") == "???"
    assert drawable("x" * 100, 10) == "x" * 9 + "…"
    assert name_lines("Greek/character01/rot090") == "Greek\ncharacter01/rot090"
    assert name_lines("fox") == "fox"


@pytest.mark.slow
def test_settings_with_which_matplotlib_does_not_start_are_named() -> None:
    program = "from kshot.errors import SetupError\nfrom kshot.figure import require_matplotlib\ntry:\n    require_matplotlib()\n"
    program += "except SetupError as error:\n    print(error)"
    environment = {**os.environ, "MPLBACKEND": "nope", "PYTHONPATH": str(Path(__file__).parents[1] / "src")}
    found = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    assert "MPLBACKEND is 'nope'" in found.stdout
    assert "unset MPLBACKEND, or set it to agg" in found.stdout


@pytest.mark.slow
@pytest.mark.parametrize("counts", [[19, 21], [1, 3], [0, 1], [1, 12_000], [20, 20]])
def test_counts_have_whole_ticks(counts: list[float]) -> None:
    axes = axes_with(counts, [0, 1])
    count_axis(axes, "x")
    low, high = axes.get_xlim()
    shown = [tick for tick in axes.get_xticks() if low <= tick <= high]
    assert shown
    assert all(tick == round(tick) for tick in shown)
    axes.figure.draw_without_rendering()
    labels = {label.get_text() for label in axes.get_xticklabels()}
    assert {f"{tick:,.0f}" for tick in shown} <= labels


@pytest.mark.slow
@pytest.mark.parametrize(("values", "room"), [([100, 100], 0.5), ([0, 100], 4), ([99, 100], 0), ([0, 0], 0.5), ([40, 60], 1)])
@pytest.mark.parametrize("axis", ["x", "y"])
def test_an_axis_of_per_cent_ends_at_0_and_100(values: list[float], room: float, axis: str) -> None:
    axes = axes_with(values, values)
    percent_axis(axes, axis, room=room)  # type: ignore[arg-type]
    ticks, limits, side = (axes.get_xticks(), axes.get_xlim(), "bottom") if axis == "x" else (axes.get_yticks(), axes.get_ylim(), "left")
    assert len(ticks) >= 2
    assert min(ticks) >= 0
    assert max(ticks) <= 100
    low, high = axes.spines[side].get_bounds()
    assert 0 <= low < high <= 100
    assert limits[0] <= min(values) <= max(values) <= limits[1]  # everything is in the picture
    assert limits[1] <= 100 + max(room, 4)


def test_a_band_of_one_place_is_a_bar_and_one_without_width_is_nothing() -> None:
    for x, half, lines, areas in (([1, 2], 0.1, 1, 1), ([1], 0.1, 2, 0), ([1, 2], 0.0, 1, 0), ([1], 0.0, 1, 0), ([], 0.0, 1, 0)):
        axes = axes_with([1, 2], [1, 1])
        band(axes, x, [1 - half] * len(x), [1 + half] * len(x), colour="red", label="interval")
        assert (len(axes.lines), len(axes.collections)) == (lines, areas)
        assert ("interval" in axes.get_legend_handles_labels()[1]) == (half > 0)  # the key never names what is not drawn


def test_chance_is_a_line_that_leaves_the_limits_as_they_are() -> None:
    axes = axes_with([0, 1], [10, 90])
    limits = axes.get_ylim()
    chance_line(axes, "y", 0.2)
    assert axes.lines[-1].get_ydata()[0] == 20
    assert axes.lines[-1].get_linestyle() == "--"
    assert axes.lines[-1].get_label() == "chance 20 %"
    chance_line(axes, "y", 0.01)
    assert axes.lines[-1].get_label() == "chance 1 %, outside the picture"
    assert axes.get_ylim() == limits
    drawn = len(axes.lines)
    chance_line(axes, "y", None)
    assert len(axes.lines) == drawn


@pytest.mark.slow
@pytest.mark.parametrize(("entries", "columns", "title"), [(1, 3, ""), (5, 2, "a title"), (0, 3, "alone")])
def test_a_key_covers_neither_data_nor_title(entries: int, columns: int, title: str) -> None:
    figure = new_figure(5, 4)
    axes = figure.subplots()
    for number in range(entries):
        axes.plot([0, 1], [number, number], label=f"line {number}")
    key(axes, title, columns=columns)
    figure.savefig(io.BytesIO(), format="png")
    inside, legend = axes.get_window_extent(), axes.get_legend()
    assert (legend is None) == (entries == 0)
    if legend is not None:
        box = legend.get_window_extent()
        assert not box.overlaps(inside)
        assert not title or not box.overlaps(axes.title.get_window_extent())
        assert box.y1 <= figure.bbox.y1  # all of it is in the picture
