"""An episode: a support set of labelled drawings, a query set of other drawings of the same characters, and what passes between them."""

from matplotlib.figure import Figure

from pictures.characters import QUERY, WAY, episode, ink
from pictures.kit import Sheet, Theme


def draw(theme: Theme) -> Figure:
    """One row per class: its support drawing on the left, its queries on the right."""
    sheet, drawn = Sheet.new(theme, 4.55), episode()
    sheet.box(10, 8, 190, 408, colour=theme.blue)
    sheet.box(260, 8, 370, 408, colour=theme.orange)
    sheet.text(105, 28, "Support", bold=True, colour=theme.blue)
    sheet.text(105, 47, f"labelled: {WAY} classes × 1 item", size=9)
    sheet.text(445, 28, "Query", bold=True, colour=theme.orange)
    sheet.text(445, 47, f"to be answered: {WAY} classes × {QUERY} items", size=9)
    support, query = ink(drawn.support_items[0]), ink(drawn.query_items[0])
    for label in range(WAY):
        y = 64 + 70 * label
        sheet.text(48, y + 31, f"class {label}", size=9, colour=theme.muted)
        (own,) = support[drawn.support_y[0] == label]
        sheet.drawing(own, 92, y, 62)
        for place, drawing in enumerate(query[drawn.query_y[0] == label]):
            sheet.drawing(drawing, 290 + 114 * place, y, 62)
    sheet.arrow((203, 212), (257, 212))
    sheet.text(230, 194, "adapt", size=9)
    sheet.text(320, 437, "No drawing is in both halves; the labels 0 to 4 are shuffled anew in every episode.", size=9, colour=theme.muted)
    return sheet.figure
