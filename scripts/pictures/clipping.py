"""Where gradient clipping acts: on each inner step of each task, and on the one outer step."""

from matplotlib.figure import Figure

from pictures.kit import Sheet, Theme


def draw(theme: Theme) -> Figure:
    """One row per task with its inner steps; the outer step underneath; a bar across each place where a gradient is clipped."""
    sheet = Sheet.new(theme, 4.4)
    sheet.text(20, 20, "Inner: every step of every task", align="left", bold=True, colour=theme.blue)
    for task, y in enumerate((42, 112, 182)):
        for step in range(3):
            x = 130 + 170 * step
            sheet.box(x, y, 44, 40, ("θ", r"$\varphi_1$", r"$\varphi_2$")[step], colour=theme.blue if step else theme.orange)
            if step < 2:
                sheet.arrow((x + 44, y + 20), (x + 170, y + 20), colour=theme.blue)
                _gate(sheet, x + 107, y + 20, theme.red)
        sheet.text(64, y + 20, f"task {task + 1}", size=9)
        sheet.text(565, y + 20, "query\ngradient", size=9)
        sheet.arrow((514, y + 20), (536, y + 20))
    sheet.text(320, 243, "learner.clip: the norm over all parameters that adapt, each task and step on its own", size=9, colour=theme.red)
    sheet.text(20, 280, "Outer: one step per update", align="left", bold=True, colour=theme.orange)
    sheet.box(110, 306, 150, 50, "mean gradient\nof the tasks", colour=theme.orange)
    sheet.box(430, 306, 150, 50, "optimiser\n→ new θ", colour=theme.orange)
    sheet.arrow((260, 331), (430, 331), colour=theme.orange)
    _gate(sheet, 345, 331, theme.red)
    sheet.text(320, 390, "training.clip_norm: the norm over all meta-parameters, after the mean over tasks", size=9, colour=theme.red)
    sheet.text(320, 418, "A bar passes a short gradient unchanged and scales a long one down to the limit.", size=9, colour=theme.muted)
    return sheet.figure


def _gate(sheet: Sheet, x: float, y: float, colour: str) -> None:
    sheet.axes.plot([x, x], [y - 15, y + 15], color=colour, linewidth=4, solid_capstyle="round", zorder=4)
