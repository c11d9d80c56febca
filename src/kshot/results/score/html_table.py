"""Results as a table that a notebook shows: a piece of HTML that needs nothing else.

In: words. Out: HTML. Text and background are the page's own, so the table reads well on light and on dark; nothing of it is a script.
Next: `kshot.results.score.result`, `kshot.results.compare.comparison`.
"""

from collections.abc import Sequence
from html import escape

_LINE = "border-bottom: 1px solid rgba(128, 128, 128, 0.4); padding: 0.25em 0.75em"


def html_table(caption: str, rows: Sequence[Sequence[str]], head: Sequence[str] = ()) -> str:
    """A table whose rows are named by their first cell.

    Args:
        caption: What stands above it.
        rows: Cells in words, as many in each row.
        head: Names of the columns; without them, rows are pairs of a name and a value.
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
    """Text for HTML, without the lone surrogates that stand for undecodable bytes in names of files."""
    return escape(text.encode("utf-8", "replace").decode("utf-8"))
