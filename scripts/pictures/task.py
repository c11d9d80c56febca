"""A task as a user meets it: five new characters, one example of each, and what the shipped learner answers about new drawings."""

import numpy as np
from matplotlib.figure import Figure

from pictures.characters import WAY, answers, episode, ink
from pictures.kit import Sheet, Theme


def draw(theme: Theme) -> Figure:
    """The task and the answers; the numbers are those of `omniglot-protonet`."""
    sheet, drawn, sure = Sheet.new(theme, 3.35), episode(), answers()
    sheet.text(20, 20, "Support: one example of each of five new characters", align="left", bold=True)
    for label, drawing in enumerate(ink(drawn.support_items[0])):
        x = 45 + 112 * label
        sheet.drawing(drawing, x, 38, 72, frame=theme.colours[label])
        sheet.text(x + 36, 121, "ABCDE"[label], colour=theme.colours[label], bold=True)
    sheet.text(20, 158, "Queries: new drawings. Which of the five is each? (no training)", align="left", bold=True)
    shown = np.flatnonzero(drawn.query_y[0] >= 0)[[1, 4, 7, 10, 13]]
    order = shown[[3, 0, 4, 2, 1]]
    for place, (drawing, query) in enumerate(zip(ink(drawn.query_items[0][order]), order, strict=True)):
        x, answer = 45 + 112 * place, int(sure[query].argmax())
        right = answer == drawn.query_y[0][query]
        sheet.drawing(drawing, x, 176, 72)
        sheet.arrow((x + 36, 250), (x + 36, 282), colour=theme.colours[answer])
        sheet.text(x + 36, 294, f"{'ABCDE'[answer]}, {100 * sure[query, answer]:.0f} %", colour=theme.colours[answer], bold=True)
        sheet.text(x + 36, 314, "right" if right else "wrong", colour=theme.muted, size=9)
    assert drawn.way == WAY
    return sheet.figure
