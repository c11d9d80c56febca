"""Overfitting to the training classes, and the state that validation keeps: a measured run on a few classes."""

from matplotlib.figure import Figure

from pictures.kit import Theme, new_plot, tidy
from pictures.numbers import measured


def draw(theme: Theme) -> Figure:
    """The training loss falls to the end; the validation score does not rise with it; the kept state is marked."""
    updates, losses, scores = zip(*measured("training")["regularisation"]["nothing"][0], strict=True)
    figure, (axes,) = new_plot(height=3.4)
    accuracy = [100 * score for score in scores]
    axes.plot(updates, accuracy, color=theme.blue, marker="o", markersize=4, linewidth=1.6, label="validation accuracy, new classes")
    best = max(range(len(accuracy)), key=accuracy.__getitem__)
    axes.scatter(updates[best], accuracy[best], s=150, facecolor="none", edgecolor=theme.green, linewidth=2, zorder=4)
    axes.axvspan(updates[best], updates[-1], color=theme.faint, alpha=0.35, linewidth=0)
    place, words = (updates[best], accuracy[best]), f"kept: update {updates[best]}"
    axes.annotate(words, place, (10, 12), textcoords="offset points", color=theme.green, fontsize=9)
    low, high = min(accuracy), max(accuracy)
    axes.set_ylim(low - 0.15 * (high - low), high + 0.3 * (high - low))
    tidy(axes, theme, "updates", "accuracy, %")
    axes.yaxis.label.set_color(theme.blue)
    loss = axes.twinx()
    loss.plot(updates, losses, color=theme.orange, linestyle="--", linewidth=1.6, label="training loss, known classes")
    loss.set_ylim(0, max(losses) * 1.05)
    loss.set_ylabel("loss", color=theme.orange)
    loss.spines[["top", "left"]].set_visible(False)
    handles = [line for part in (axes, loss) for line in part.get_lines()]
    figure.legend(handles, [str(line.get_label()) for line in handles], loc="outside lower center", ncols=2, fontsize=9)
    return figure
