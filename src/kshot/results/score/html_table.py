"""Results as a table for notebooks: a piece of HTML that needs nothing else.

In: words. Out: HTML without scripts. It uses the page's own text and background colours, so it is readable on light and dark pages.
Next: `kshot.results.score.result`, `kshot.results.compare.comparison`.
"""

from collections.abc import Sequence
from html import escape

_LINE = "border-bottom: 1px solid rgba(128, 128, 128, 0.4); padding: 0.25em 0.75em"


def html_table(caption: str, rows: Sequence[Sequence[str]], head: Sequence[str] = ()) -> str:
    """Return a table whose rows are named by their first cell.

    Args:
        caption: Text above the table.
        rows: Cells as text; all rows have the same number of cells.
        head: Names of the columns. Without them, rows are pairs of a name and a value.
    """
    side = "right" if head else "left"
    columns = "".join(
        f'<th scope="col" style="{_LINE}; text-align: {side if place else "left"}">{escaped(name)}</th>' for place, name in enumerate(head)
    )
    body = "".join(
        f'<tr><th scope="row" style="{_LINE}; text-align: left">{escaped(name)}</th>'
        + "".join(f'<td style="{_LINE}; text-align: {side}">{escaped(cell)}</td>' for cell in cells)
        + "</tr>"
        for name, *cells in rows
    )
    return (
        '<table style="border-collapse: collapse; background: transparent; color: inherit">'
        f'<caption style="caption-side: top; text-align: left; color: inherit">{escaped(caption)}</caption>'
        + (f"<thead><tr>{columns}</tr></thead>" if head else "")
        + f"<tbody>{body}</tbody></table>"
    )


def escaped(text: str) -> str:
    """Escape text for HTML, and replace the lone surrogates that stand for undecodable bytes in file names."""
    return escape(text.encode("utf-8", "replace").decode("utf-8"))
