"""Diversity of tasks, measured: how many classes the training tasks are drawn from, and how hard the test tasks are."""

import numpy as np
from matplotlib.figure import Figure

from pictures.kit import Theme, curves, new_plot, tidy
from pictures.numbers import measured, percent


def draw(theme: Theme) -> Figure:
    """Left: test accuracy over the number of training classes. Right: accuracy over the way, by nearness of the classes."""
    numbers = measured("training")
    figure, (left, right) = new_plot(2, height=3.4)
    by_classes = {int(count): 100 * np.array(values) for count, values in numbers["by_classes"].items()}
    for place, values in enumerate(by_classes.values()):
        left.scatter([place] * len(values), values, s=14, color=theme.blue, alpha=0.55)
    left.plot(range(len(by_classes)), [values.mean() for values in by_classes.values()], color=theme.blue, linewidth=1.6)
    left.set_xticks(range(len(by_classes)), [str(count) for count in by_classes])
    left.set_title("equally many updates", fontsize=10)
    tidy(left, theme, "training classes", "5-way 1-shot accuracy, %")
    ways = list(range(len(numbers["ways"])))
    rows = [(f"{name} classes", *percent(numbers["by_nearness"][name])) for name in ("far", "any", "near")]
    curves(right, ways, rows, (theme.green, theme.blue, theme.orange))
    right.set_xticks(ways, [str(way) for way in numbers["ways"]])
    right.set_title("one learner, harder tests", fontsize=10)
    tidy(right, theme, "way of the test", "1-shot accuracy, %")
    right.legend(loc="center left", bbox_to_anchor=(0.02, 0.52), fontsize=9)
    return figure
