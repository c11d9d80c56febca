"""The page of a report: words and HTML. This module draws no pictures and writes no files.

In: results, and parts with captions. Out: one HTML document that needs nothing but the pictures beside it. Next:
`kshot.results.show.report`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from kshot.results.score.html_table import escaped
from kshot.results.score.result import Results
from kshot.results.show.page_frame import Headline, framed


@dataclass(frozen=True)
class Part:
    """A part of the page.

    Attributes:
        title: Heading of the part.
        caption: What to look at, or why there is no picture.
        picture: Name of the PNG file beside the page, or None.
        alt: Description of the picture in words.
    """

    title: str
    caption: str
    picture: str | None = None
    alt: str = ""


def headline(results: Results) -> str:
    """Return the result as a sentence for someone who does not know the field.

    Example:
        >>> import numpy as np
        >>> scores = np.array([1.0, 0.9])
        >>> print(headline(Results(scores, "accuracy", "omniglot", "vinyals/test", 5, 1, 15, 0, "", "inductive", "running", 1.0)))
        In 95.0 of 100 cases it picks the right one of 5 classes it had never seen, from 1 example each. Guessing would get 20.0.
    """
    way, shot = _span(results.way), _span(results.shot)
    part = results.split.rpartition("/")[2]
    known = {"test": " it had never seen", "val": " it was not trained on", "train": " it was trained on", "trainval": " it was trained on"}
    each = f"from {shot} example{'' if results.shot == 1 else 's'} each"
    if results.score_name != "accuracy":
        return f"The {results.score_name} of a task is {results.mean:.4g} on average, {each}."
    guessing = "" if results.chance is None else f" Guessing would get {100 * results.chance:.1f}."
    which = f"the right one of {way} classes{known.get(part, '')}"
    return f"In {100 * results.mean:.1f} of 100 cases it picks {which}, {each}.{guessing}"


def meaning_of_interval(results: Results) -> str:
    """Say what the number after ± means, and what it does not."""
    if len(results.scores) == 1:
        return "Only one episode was scored; a mean with its interval needs more."
    if results.caution is not None:
        return f"{results.shown}: {results.caution}.{_other_classes(results)}"
    return (
        f"{results.shown}: the mean over {len(results.scores):,} episodes with its 95 % interval. About 19 times in 20, such an interval "
        "contains the mean over endlessly many episodes of the same classes. Other classes, or another training run, may differ by more."
        + _other_classes(results)
    )


def _other_classes(results: Results) -> str:
    if (spread := results.class_spread) is None or results.exact_interval is not None:
        return ""
    return (
        f" With other classes of the same kind, it is ± {100 * spread.interval:.2f} %: the 95 % interval of a bootstrap over the "
        f"{spread.count} {spread.unit} of this test."
    )


def page(title: str, results: Results, parts: Sequence[Part], command: str) -> str:
    """Return the whole page as HTML."""
    return framed(
        title,
        Headline(
            f"{100 * results.mean:.1f} %" if results.score_name == "accuracy" else f"{results.mean:.4g}",
            headline(results),
            meaning_of_interval(results),
        ),
        [(part.title, _figure(part)) for part in parts],
        "What was tested",
        [*results.rows(), *([("command", command)] if command else [])],
    )


def _figure(part: Part) -> str:
    picture = f'<img src="{escaped(part.picture)}" alt="{escaped(part.alt)}">' if part.picture else ""
    caption = f"<figcaption>{escaped(part.caption)}</figcaption>"
    return f"<figure>{picture}{caption}</figure>"


def _span(value: int | tuple[int, int]) -> str:
    return f"{value[0]} to {value[1]}" if isinstance(value, tuple) else str(value)
