"""Difficulty of tasks, measured: how many classes a test task has, and how near they lie to each other."""

from matplotlib.figure import Figure

from pictures.kit import Theme, curves, new_plot, tidy
from pictures.numbers import measured, percent


def draw(theme: Theme) -> Figure:
    """Accuracy of one learner over the way of the test, by nearness of the classes."""
    numbers = measured("training")
    figure, (axes,) = new_plot(1, height=3.4)
    ways = list(range(len(numbers["ways"])))
    rows = [(f"{name} classes", *percent(numbers["by_nearness"][name])) for name in ("far", "any", "near")]
    curves(axes, ways, rows, (theme.green, theme.blue, theme.orange))
    axes.set_xticks(ways, [str(way) for way in numbers["ways"]])
    tidy(axes, theme, "way of the test", "1-shot accuracy, %")
    axes.legend(loc="lower left", fontsize=9)
    return figure
