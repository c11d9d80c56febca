"""Transfer or meta-learning over the number of shots: the comparison tables of the page, drawn."""

from matplotlib.figure import Figure

from pictures.kit import Theme, new_plot, tidy
from pictures.numbers import compared

PAGE = "docs/concepts/meta-or-transfer.md"
NAMES = {
    "protonet": "ProtoNet, episodes",
    "ridge": "ridge head, episodes",
    "baseline-plus-plus": "Baseline++, plain training",
    "simple-shot": "SimpleShot, plain training",
}


def draw(theme: Theme) -> Figure:
    """Drawings on the left, colour photographs on the right; the same learners in both."""
    figure, panels = new_plot(2, height=3.9)
    for axes, (data, title) in zip(panels, (("omniglot", "drawings (Omniglot)"), ("grocery", "photographs (groceries)")), strict=True):
        rounds = compared(PAGE, data)
        shots = [shot for shot, _ in rounds]
        for (name, label), colour, mark in zip(NAMES.items(), theme.colours, "osD^", strict=False):
            values = [rows[f"{data}-{name}"] for _, rows in rounds]
            plain = "plain" in label
            axes.errorbar(
                range(len(shots)), [mean for mean, _ in values], [half for _, half in values], color=colour, marker=mark, markersize=5,
                linestyle="--" if plain else "-", linewidth=1.6, capsize=2, label=label,
            )  # fmt: skip
        axes.set_xticks(range(len(shots)), [str(shot) for shot in shots])
        axes.set_title(title, fontsize=10)
        tidy(axes, theme, "shots", "5-way accuracy, %" if axes is panels[0] else "")
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=2, fontsize=9)
    return figure
