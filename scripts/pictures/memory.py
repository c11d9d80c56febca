"""An external memory: a controller writes the support items into slots and reads them back for a query. A drawing, nothing measured."""

import numpy as np
from matplotlib.figure import Figure

from pictures.characters import WAY, episode, ink
from pictures.kit import Sheet, Theme


def draw(theme: Theme) -> Figure:
    """Writing on the left, one slot per item; reading on the right, weighted by likeness of keys."""
    sheet, drawn = Sheet.new(theme, 3.9), episode()
    support, query = ink(drawn.support_items[0]), ink(drawn.query_items[0])[int(np.flatnonzero(drawn.query_y[0] == 2)[1])]
    sheet.text(95, 20, "write: one item\nafter another", colour=theme.blue, bold=True)
    sheet.text(320, 20, "memory", bold=True)
    sheet.text(535, 20, "read: a query", colour=theme.orange, bold=True)
    sheet.box(232, 44, 176, 298)
    sheet.text(282, 60, "key", size=9, colour=theme.muted)
    sheet.text(366, 60, "label", size=9, colour=theme.muted)
    weights = (0.06, 0.09, 0.72, 0.05, 0.08)
    generator = np.random.default_rng(0)
    for slot in range(WAY):
        y, shade = 74 + 52 * slot, generator.random(6) * 0.8 + 0.1
        sheet.drawing(support[slot], 60, y, 40)
        sheet.text(122, y + 20, f"{slot}", colour=theme.colours[slot], bold=True)
        sheet.arrow((134, y + 20), (232, y + 20), colour=theme.blue)
        for cell, value in enumerate(shade):
            sheet.axes.fill(
                [246 + 12 * cell, 256 + 12 * cell, 256 + 12 * cell, 246 + 12 * cell],
                [y + 10, y + 10, y + 30, y + 30],
                color=theme.blue,
                alpha=value,
                linewidth=0,
            )
        sheet.text(366, y + 20, f"{slot}", colour=theme.colours[slot], bold=True)
        sheet.axes.plot([410, 486], [y + 20, 194], color=theme.orange, linewidth=0.6 + 6 * weights[slot], alpha=0.35 + 0.65 * weights[slot])
    sheet.drawing(query, 489, 164, 60)
    sheet.text(592, 194, "2 ?", colour=theme.colours[2], bold=True)
    sheet.arrow((550, 194), (576, 194), colour=theme.orange)
    sheet.text(535, 262, "the line's width:\nhow like the keys are", size=9, colour=theme.muted)
    sheet.text(320, 366, "Meta-training learns what to write as a key, where to write it and how to read.", size=9, colour=theme.muted)
    return sheet.figure
