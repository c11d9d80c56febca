"""A learned optimiser beside hand-made ones: the loss over the steps, measured by `scripts/measure_learned_updates.py`."""

from matplotlib.figure import Figure

from pictures.kit import Theme, new_plot, tidy
from pictures.numbers import measured

KINDS = {"quadratics": "quadratics", "omniglot-conv4": "Conv4, 10 new characters"}
NAMES = {"learned": "learned", "adam": "Adam", "rmsprop": "RMSprop", "momentum": "SGD with momentum", "sgd": "SGD"}


def draw(theme: Theme) -> Figure:
    """Two kinds of functions that it has not seen, one line per optimiser; each hand-made one has its best rate."""
    found = measured("learned_updates")["trained"]
    figure, plots = new_plot(2, height=3.3)
    for axes, (kind, title) in zip(plots, KINDS.items(), strict=True):
        rows = found["kinds"][kind]["optimizers"]
        for (name, label), colour in zip(NAMES.items(), theme.colours, strict=True):
            curve = rows[name]["curve"]
            steps = [found["steps"] * point / (len(curve) - 1) for point in range(len(curve))]
            axes.plot(steps, curve, color=colour, linewidth=2.4 if name == "learned" else 1.3, label=label)
        axes.set_yscale("log")
        axes.set_title(title, fontsize=10, color=theme.ink)
        tidy(axes, theme, "steps", "loss on all data" if axes is plots[0] else "")
    handles = plots[0].get_lines()
    figure.legend(handles, [str(line.get_label()) for line in handles], loc="outside lower center", ncols=len(NAMES), fontsize=9)
    return figure
