"""What an external memory adds: the accuracy at each presentation of a class, with and without it, measured by `--protocol mann`."""

from matplotlib.figure import Figure

from pictures.kit import Theme, curves, new_plot, tidy
from pictures.numbers import measured, percent


def draw(theme: Theme) -> Figure:
    """One line with the memory and one for the LSTM alone; the first presentation can only be guessed."""
    found = measured("presentations")
    figure, (axes,) = new_plot(height=3.2)
    rows = []
    for name, words in (("omniglot-mann", "LSTM with an external memory"), ("omniglot-lstm-control", "LSTM alone")):
        one = found[name]
        rows.append((words, *percent(list(zip(one["accuracies"], one["intervals"], strict=True)))))
    count = len(rows[0][1])
    curves(axes, range(1, count + 1), rows, (theme.blue, theme.orange))
    axes.axhline(20, color=theme.muted, linestyle=":", linewidth=1.2)
    axes.annotate("a guess", (count, 20), (0, 4), textcoords="offset points", ha="right", fontsize=9, color=theme.muted)
    axes.set_ylim(0, 103)
    axes.set_xticks(range(1, count + 1))
    tidy(axes, theme, "presentation of the class", "accuracy, %")
    axes.legend(loc="lower right", fontsize=9)
    return figure
