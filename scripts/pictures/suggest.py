"""Labels that are suggested or random: the accuracy over the number of labels, as `scripts/measure_suggest.py` recorded it."""

import json

from matplotlib.figure import Figure

from pictures.kit import ROOT, Theme, new_plot, tidy

NUMBERS = ROOT / "scripts" / "suggest.json"
TITLES = {"banking77": "messages (BANKING77)", "grocery_store": "photographs (groceries)"}
WAYS = {"suggest": "suggested", "random": "random"}


def draw(theme: Theme) -> Figure:
    """Messages on the left, photographs on the right."""
    curves = json.loads(NUMBERS.read_text(encoding="utf-8"))["curves"]
    figure, panels = new_plot(2, height=3.4)
    for axes, (data, title) in zip(panels, TITLES.items(), strict=True):
        for (way, label), colour, mark in zip(WAYS.items(), theme.colours, "os", strict=False):
            (points,) = (one["points"] for one in curves if (one["data"], one["way"]) == (data, way))
            axes.errorbar(
                [one["labels"] for one in points], [one["accuracy"] for one in points], [one["interval"] for one in points], color=colour,
                marker=mark, markersize=5, linestyle="-" if way == "suggest" else "--", linewidth=1.6, capsize=2, label=label,
            )  # fmt: skip
        axes.set_title(title, fontsize=10)
        tidy(axes, theme, "labels per class, on average", "accuracy, %" if axes is panels[0] else "")
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=2, fontsize=9)
    return figure
