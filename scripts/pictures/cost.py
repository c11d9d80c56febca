"""What training and answering cost across the families: the measured table of the page, drawn on a logarithmic scale."""

from matplotlib.figure import Figure

from pictures.kit import Theme, new_plot, tidy
from pictures.numbers import measured


def draw(theme: Theme) -> Figure:
    """One row per learner: an update and an adaptation, as multiples of what Prototypical Networks take."""
    rows = measured("cost")["rows"]
    figure, panels = new_plot(2, height=4.6, sharey=True)
    colours = {"metric": theme.blue, "transfer": theme.green, "gradient": theme.orange}
    for axes, (key, title) in zip(panels, (("update", "an update of training"), ("adapt", "adapting to one task")), strict=True):
        axes.hlines(range(len(rows)), 1, [row[key] for row in rows], color=[colours[row["family"]] for row in rows], linewidth=2)
        for family, mark in zip(colours, "osD", strict=True):
            own = [(place, row[key]) for place, row in enumerate(rows) if row["family"] == family]
            axes.scatter([value for _, value in own], [place for place, _ in own], color=colours[family], marker=mark, s=34, label=family)
        axes.axvline(1, color=theme.muted, linewidth=1)
        axes.set_xscale("log")
        low, high = min(row[key] for row in rows), max(row[key] for row in rows)
        ticks = [tick for tick in (0.25, 0.5, 1, 2, 4, 10, 50, 200) if low / 1.5 <= tick <= high * 1.5]
        axes.set_xticks(ticks, [f"{tick:g}×" for tick in ticks])
        axes.minorticks_off()
        axes.set_title(title, fontsize=10)
        tidy(axes, theme, "ProtoNet = 1", "")
        axes.grid(axis="y", visible=False)
    panels[0].set_yticks(range(len(rows)), [row["title"] for row in rows])
    panels[0].invert_yaxis()
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=3, fontsize=9)
    return figure
