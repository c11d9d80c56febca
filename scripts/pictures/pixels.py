"""How much more examples help: class means of plain pixels beside the shipped learner, measured."""

from matplotlib.figure import Figure

from pictures.kit import Theme, curves, new_plot, tidy
from pictures.numbers import measured, percent


def draw(theme: Theme) -> Figure:
    """One curve of each over the number of shots, and the line of guessing."""
    numbers = measured("training")
    figure, (axes,) = new_plot(height=3.2)
    shots = list(range(len(numbers["shots"])))
    names = (("omniglot-protonet", "omniglot-protonet, meta-trained"), ("pixels", "class means of pixels, no network"))
    curves(axes, shots, [(label, *percent(numbers["by_shot"][name])) for name, label in names], theme.colours)
    axes.axhline(20, color=theme.muted, linewidth=1, linestyle=":")
    axes.annotate("guessing", (shots[-1], 20), (0, 4), textcoords="offset points", ha="right", color=theme.muted, fontsize=9)
    axes.set_xticks(shots, [str(shot) for shot in numbers["shots"]])
    axes.set_ylim(0, 105)
    tidy(axes, theme, "shots", "5-way accuracy, %")
    axes.legend(loc="lower center", fontsize=9, bbox_to_anchor=(0.55, 0.28))
    return figure
