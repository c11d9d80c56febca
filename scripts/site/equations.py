r"""Equations as MathML, made while the pages are built: a hook of MkDocs. No script runs in the reader's browser and nothing is fetched.

A page writes `$$ … $$` for an equation that stands alone and `$…$` for one inside a sentence. `pymdownx.arithmatex` (with its option
`generic`) marks both; this hook puts MathML in their place. Several lines stand in `\begin{aligned} … \end{aligned}`, with `\\`
between lines and `&` between columns, which are aligned right and left in turn. Rows and columns are divided here, because
latex2mathml does not know `aligned`, and browsers align cells by the style sheet (`docs/stylesheets/site.css`) alone.
"""

import html
import re
from typing import Any

from latex2mathml.converter import convert

_MARKED = re.compile(r'<(?P<tag>span|div) class="arithmatex">\s*\\[(\[](?P<latex>.*?)\\[)\]]\s*</(?P=tag)>', re.DOTALL)
_ALIGNED = re.compile(r"\\begin\{aligned\}(?P<rows>.*)\\end\{aligned\}", re.DOTALL)
_ROOT = re.compile(r"<math[^>]*>(?P<inside>.*)</math>", re.DOTALL)
_ROW_BREAK = re.compile(r"\\\\(?![a-zA-Z])")
_LEFT_OVER = re.compile(r"<m[iot][^>]*>\\|<mi>&amp;</mi>|<mi>&</mi>")


def mathml(latex: str, *, block: bool) -> str:
    """An equation as one `<math>` element, which also carries its LaTeX as the text that is read aloud.

    Raises:
        ValueError: A command that latex2mathml does not know.
    """
    aligned = _ALIGNED.fullmatch(latex.strip())
    inside = _table(aligned["rows"]) if aligned else _row(latex)
    display = ' display="block"' if block else ""
    alternative = html.escape(" ".join(latex.split()), quote=True)
    return f'<math xmlns="http://www.w3.org/1998/Math/MathML"{display} alttext="{alternative}">{inside}</math>'


def _row(latex: str) -> str:
    if not latex.strip():
        return ""
    converted = _ROOT.fullmatch(convert(latex.strip(), display="block"))
    assert converted is not None
    if unknown := _LEFT_OVER.search(converted["inside"]):
        raise ValueError(f"no MathML for a part of the equation {latex.strip()!r}: it became {unknown[0]!r}. Write it another way.")
    return converted["inside"]


def _table(rows: str) -> str:
    cells = [[_row(cell) for cell in row.split("&")] for row in _ROW_BREAK.split(rows) if row.strip()]
    written = "".join("<mtr>" + "".join(f"<mtd>{cell}</mtd>" for cell in row) + "</mtr>" for row in cells)
    return f'<mtable displaystyle="true" class="aligned">{written}</mtable>'


def with_mathml(page: str) -> str:
    """A page's HTML with MathML in place of every marked equation; those that stand alone may scroll inside their own box."""

    def replaced(found: re.Match[str]) -> str:
        block = found["tag"] == "div"
        equation = mathml(html.unescape(found["latex"]), block=block)
        return f'<div class="equation" data-search-exclude>{equation}</div>' if block else equation

    return _MARKED.sub(replaced, page)


def on_page_content(content: str, /, **_: Any) -> str:
    """What MkDocs calls for each page, between Markdown and the template."""
    return with_mathml(content)
