"""The page of a fitted model's report: words and HTML, light and dark, for a phone and for a desk. It writes no files.

In: plain values. Out: one HTML document that needs nothing else. Next: `kshot.workflows.model_report`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from kshot.results.score.html_table import escaped
from kshot.results.show.page_frame import Headline, framed
from kshot.short_repr import per_cent
from kshot.workflows.shown_thing import Shown, card

WIDEST_MATRIX = 30
"""Classes of the largest matrix of confusions that is shown."""
FEW_CLASSES = 20
"""So many classes are shown at once; of more, the table is folded."""


@dataclass(frozen=True)
class Bar:
    """A class: how many examples it has, how many of its things were asked about, and how many answers were right."""

    name: str
    examples: int
    asked: int
    right: int


@dataclass(frozen=True)
class Confused:
    """How many things of one class were taken for another."""

    true: str
    told: str
    count: int


@dataclass(frozen=True)
class Hard:
    """A hard example: its own class and the answer, each with its probability."""

    thing: Shown
    true: str
    own: float
    told: str
    probability: float


@dataclass(frozen=True, eq=False)
class Page:
    """What a page says.

    Attributes:
        title: Its title.
        number: The score, large.
        sentence: The score in words.
        interval: What its interval is.
        bars: The classes.
        matrix: Confusions, int64 (N, N): rows are the true classes, columns the answers.
        classes: The names of the N classes.
        confused: The most frequent confusions.
        hardest: The hardest examples, hardest first.
        further: Further sections: their titles, and their HTML.
        rows: Names and values of the last table.
    """

    title: str
    number: str
    sentence: str
    interval: str
    bars: Sequence[Bar]
    matrix: np.ndarray
    classes: Sequence[str]
    confused: Sequence[Confused]
    hardest: Sequence[Hard]
    further: Sequence[tuple[str, str]]
    rows: Sequence[tuple[str, str]]


def page(found: Page) -> str:
    """Return the page as HTML."""
    return framed(
        found.title,
        Headline(found.number, found.sentence, found.interval),
        [
            ("Classes", _classes(found.bars)),
            ("What is taken for what", _confusions(found)),
            ("The hardest examples", _hardest(found.hardest)),
            *found.further,
        ],
        "The model",
        found.rows,
        style=_OWN,
        dark=True,
    )


def _classes(bars: Sequence[Bar]) -> str:
    most = max(bar.examples for bar in bars)
    rows = "".join(
        f'<tr><th scope="row">{escaped(bar.name)}</th><td class="count">{bar.examples:,}</td>'
        f'<td class="grow"><span class="bar" style="width:{100 * bar.examples / max(1, most):.1f}%"></span></td>'
        f'<td class="count">{_share(bar)}</td></tr>'
        for bar in bars
    )
    head = '<tr><th scope="col">class</th><th scope="col">examples</th><th></th><th scope="col">right</th></tr>'
    counts = [bar.examples for bar in bars]
    each = f"{most:,}" if min(counts) == most else f"{min(counts):,} to {most:,}"
    many = f"{len(bars):,} classes, with {each} examples each"
    return (
        f'<details{" open" if len(bars) <= FEW_CLASSES else ""}><summary>{many}</summary><table class="bars">{head}{rows}</table></details>'
    )


def _share(bar: Bar) -> str:
    return f"{per_cent(bar.right / bar.asked)} %<br><small>{bar.right:,} of {bar.asked:,}</small>" if bar.asked else "–"


def _confusions(found: Page) -> str:
    if not found.matrix.sum():
        return "<p>No example could be scored: a class with one example cannot be tested without it.</p>"
    if not found.confused:
        return "<p>No thing was taken for another class.</p>"
    pairs = "".join(
        f"<li><b>{pair.count:,}</b> of <i>{escaped(pair.true)}</i> taken for <i>{escaped(pair.told)}</i></li>" for pair in found.confused
    )
    return f"<ul>{pairs}</ul>{_matrix(found) if len(found.classes) <= WIDEST_MATRIX else ''}"


def _matrix(found: Page) -> str:
    sums = np.maximum(found.matrix.sum(1, keepdims=True), 1)
    head = "".join(f'<th scope="col" title="{escaped(name)}">{number}</th>' for number, name in enumerate(found.classes, 1))
    body = "".join(
        f'<tr><th scope="row">{number}&nbsp;{escaped(name)}</th>'
        + "".join(
            f'<td style="background:rgba(var(--tint),{0.75 * share:.2f})" title="{escaped(f"{name} taken for {told}")}">{count or ""}</td>'
            for told, count, share in zip(found.classes, counts, shares, strict=True)
        )
        + "</tr>"
        for number, (name, counts, shares) in enumerate(
            zip(found.classes, found.matrix.tolist(), (found.matrix / sums).tolist(), strict=True), 1
        )
    )
    return (
        f'<div class="wide"><table class="matrix"><tr><th scope="col">true ↓ &nbsp; answer →</th>{head}</tr>{body}</table></div>'
        '<p class="soft">Rows are the true classes, columns the answers, in the same order; the diagonal is right.</p>'
    )


def _hardest(hardest: Sequence[Hard]) -> str:
    if not hardest:
        return "<p>No example could be scored.</p>"
    return f'{_ABOUT_HARDEST}<div class="cards">{"".join(map(_card, hardest))}</div>'


def _card(one: Hard) -> str:
    if one.true == one.told:
        return card(one.thing, f"{escaped(one.true)} <b>{one.own:.2f}</b>")
    told = f'<span class="wrong">{escaped(one.told)}</span> <b>{one.probability:.2f}</b>'
    return card(one.thing, f"{told}<br>is {escaped(one.true)} <b>{one.own:.2f}</b>")


_ABOUT_HARDEST = """<p class="soft">Those whose own class was given the least probability, each answered without itself or never seen. A
wrong label is often among them.</p>
"""
_OWN = """
  .bars th { width: auto; color: var(--ink); }
  .bars .count { white-space: nowrap; text-align: right; }
  .bars .grow { width: 40%; padding-top: .85rem; }
  .bar { display: block; height: .6rem; min-width: 2px; border-radius: 3px; background: var(--blue); }
  .matrix { width: auto; font-size: .85rem; }
  .matrix th, .matrix td { padding: .25rem .4rem; width: auto; text-align: right; }
  .matrix th[scope=row] { text-align: left; overflow-wrap: anywhere; min-width: 7rem; }
  .matrix td { white-space: nowrap; overflow-wrap: normal; border: 1px solid var(--line); min-width: 1.9rem; }
  .wrong { color: var(--wrong); font-weight: 600; }
  .cards { display: grid; grid-template-columns: repeat(auto-fill, minmax(9.5rem, 1fr)); gap: .75rem; }
  .pair { grid-template-columns: repeat(2, minmax(8rem, 14rem)); margin-bottom: .75rem; }
  .card { border: 1px solid var(--line); border-radius: 8px; padding: .6rem; font-size: .9rem; overflow-wrap: anywhere; }
  .card p { margin: .3rem 0 0; }
  .card .text { margin: 0; font-style: italic; }
  .card .soft { font-size: .75rem; }
  .card img { border-radius: 4px; }
  summary { cursor: pointer; margin-bottom: .5rem; }
  ul { padding-left: 1.25rem; margin: 0 0 1rem; }
  small { color: var(--soft); }
  @media (max-width: 36rem) {
    .bars .grow { width: 20%; }
    .cards { grid-template-columns: repeat(auto-fill, minmax(8rem, 1fr)); }
  }
"""
