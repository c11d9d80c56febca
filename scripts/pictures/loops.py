"""The two loops: adapting to a task inside, moving the meta-parameters outside."""

from matplotlib.figure import Figure

from pictures.kit import Sheet, Theme


def draw(theme: Theme) -> Figure:
    """The outer loop as a frame round the inner one, with what goes in and out of each."""
    sheet = Sheet.new(theme, 4.3)
    sheet.box(10, 12, 620, 408, colour=theme.orange, dashed=True)
    sheet.text(28, 34, "Outer loop: meta-training, once per update, thousands of times", align="left", bold=True, colour=theme.orange)
    sheet.box(210, 62, 220, 50, "meta-parameters θ\nshared by all tasks", colour=theme.orange)
    sheet.box(40, 142, 560, 168, colour=theme.blue, dashed=True)
    sheet.text(58, 163, "Inner loop: adapting, once per task", align="left", bold=True, colour=theme.blue)
    sheet.box(62, 205, 130, 54, "support set S\nfew labelled items", size=9)
    sheet.box(242, 205, 156, 54, "adapt\n" + r"$\varphi = A_\theta(S)$", colour=theme.blue)
    sheet.box(452, 205, 126, 54, "predict\nthe query set Q", size=9)
    sheet.arrow((192, 232), (242, 232))
    sheet.arrow((398, 232), (452, 232))
    sheet.text(425, 218, "φ", size=10)
    sheet.text(320, 288, "Your own task ends here: the answers are the result.", size=9, colour=theme.muted)
    sheet.arrow((375, 112), (375, 205), colour=theme.orange)
    sheet.box(210, 336, 220, 50, "query loss, averaged\nover the tasks", colour=theme.orange)
    sheet.arrow((515, 259), (430, 361), colour=theme.orange, bend=-0.35)
    sheet.axes.plot([210, 25, 25], [361, 361, 87], color=theme.orange, linewidth=1.5)
    sheet.arrow((23, 87), (210, 87), colour=theme.orange)
    sheet.text(117, 336, "the gradient of the\nloss moves θ", size=9, colour=theme.orange)
    return sheet.figure
