"""The frame of pages for the browser: a headline, sections, a last table; light and dark, plain CSS, no network, readable on a phone.

In: words and HTML. Out: one HTML document. Next: `kshot.results.show.report_page` (light, as its pictures are), and the reports of fitted
models.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from kshot.results.score.html_table import escaped


@dataclass(frozen=True)
class Headline:
    """What a page says first: a number, large; what it means; what its interval is."""

    number: str
    sentence: str
    interval: str


def framed(
    title: str,
    headline: Headline,
    sections: Sequence[tuple[str, str]],
    last: str,
    rows: Sequence[tuple[str, str]],
    *,
    style: str = "",
    dark: bool = False,
) -> str:
    """Return a page.

    Args:
        title: Its title; words, as are headings, names and values.
        headline: What it says first, in words.
        sections: Heading and HTML of each section.
        last: Heading of the table at the end.
        rows: Its names and values.
        style: CSS that the sections need.
        dark: Whether the page is dark where the reader's system is.
    """
    table = "\n".join(f"<tr><th scope='row'>{escaped(name)}</th><td>{escaped(value)}</td></tr>" for name, value in rows)
    whole = [*sections, (last, f"<table>\n{table}\n</table>")]
    return _PAGE.format(
        title=escaped(title),
        style=_STYLE + (_DARK if dark else "") + style,
        number=escaped(headline.number),
        sentence=escaped(headline.sentence),
        interval=escaped(headline.interval),
        sections="\n".join(f"<section><h2>{escaped(heading)}</h2>\n{html}\n</section>" for heading, html in whole),
    )


_STYLE = """
  :root { color-scheme: light; --ink: #1b2430; --soft: #5f6b7a; --line: #dfe4ea; --blue: #2563a8; --page: #f4f6f8; --card: #fff; }
  * { box-sizing: border-box; }
  body { margin: 0; background: var(--page); color: var(--ink); font: 16px/1.55 system-ui, "Segoe UI", Roboto, sans-serif; }
  main { max-width: 60rem; margin: 0 auto; padding: 2rem 1rem 4rem; }
  h1 { font-size: 1.5rem; margin: 0 0 1rem; overflow-wrap: anywhere; }
  h2 { font-size: 1.1rem; margin: 0 0 .75rem; }
  section { background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: 1.25rem 1.5rem; margin-top: 1.25rem; }
  .headline { border-left: 6px solid var(--blue); }
  .number { font-size: 3.2rem; font-weight: 700; line-height: 1.1; color: var(--blue); margin: 0; }
  .sentence { font-size: 1.25rem; margin: .5rem 0; }
  .soft, figcaption { color: var(--soft); font-size: .95rem; }
  figure { margin: 0; }
  img { display: block; max-width: 100%; height: auto; margin: 0 auto .75rem; }
  table { border-collapse: collapse; width: 100%; font-size: .95rem; }
  th, td { text-align: left; vertical-align: top; padding: .4rem .75rem .4rem 0; border-top: 1px solid var(--line); }
  td { overflow-wrap: anywhere; }
  tr:first-child > * { border-top: 0; }
  th { width: 13rem; font-weight: 500; color: var(--soft); }
  .wide { overflow-x: auto; }
  @media (max-width: 36rem) {
    section { padding: 1rem; }
    .number { font-size: 2.6rem; }
  }
"""
_DARK = """
  :root { color-scheme: light dark; --wrong: #b3402e; --tint: 37, 99, 168; }
  @media (prefers-color-scheme: dark) {
    :root { --ink: #e4e9ef; --soft: #9aa7b5; --line: #2f3945; --blue: #7db2ef; --page: #12171d; --card: #1b222b; --wrong: #f08a76;
            --tint: 125, 178, 239; }
  }
"""
_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<main>
<h1>{title}</h1>
<section class="headline">
<p class="number">{number}</p>
<p class="sentence">{sentence}</p>
<p class="soft">{interval}</p>
</section>
{sections}
</main>
</body>
</html>
"""
