"""Frozen vectors and meta-trained ones: accuracy over the number of examples per class, as `scripts/measure_pretrained.py` recorded it."""

import json

from matplotlib.figure import Figure

from pictures.kit import ROOT, Theme, new_plot, tidy

NUMBERS = ROOT / "scripts" / "pretrained.json"
TITLES = {"grocery_lite0": "groceries", "clinc150_banking": "CLINC150", "banking77": "BANKING77"}
ROWS = {"last": "last layers meta-trained, too", "meta-trained": "a layer meta-trained", "frozen": "frozen"}


def draw(theme: Theme) -> Figure:
    """One panel per data set."""
    record = json.loads(NUMBERS.read_text(encoding="utf-8"))
    figure, panels = new_plot(len(TITLES), height=3.4)
    for axes, (data, title) in zip(panels, TITLES.items(), strict=True):
        shots = record[data]["shots"]
        names = {row: next((name for name in shots["1"] if name in (row, f"{row} blocks", f"{row} layers")), None) for row in ROWS}
        for (row, name), colour, mark in zip(names.items(), theme.colours, "s^o", strict=False):
            if name is None:
                continue
            own = [one[name] for one in shots.values()]
            axes.errorbar(
                range(len(own)), [one["accuracy"] for one in own], [one["interval"] for one in own], color=colour, marker=mark,
                markersize=5, linestyle="--" if row == "frozen" else "-", linewidth=1.6, capsize=2, label=ROWS[row],
            )  # fmt: skip
        axes.set_xticks(range(len(shots)), list(shots))
        axes.set_title(title, fontsize=10)
        tidy(axes, theme, "examples per class", "accuracy, %" if axes is panels[0] else "")
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, fontsize=9)
    return figure
