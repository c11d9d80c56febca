"""What a report says of labels to look at again, and of examples that are nearly the same.

In: a model, and its examples as things. Out: titles and HTML. Next: `kshot.workflows.model_report`.
"""

from collections.abc import Sequence
from typing import Any

from kshot.errors import DataError
from kshot.results.score.html_table import escaped
from kshot.tasks.labels.doubt import Doubts, doubts
from kshot.tasks.model import Model
from kshot.workflows.shown_thing import card, shown_thing

_MOST = 12
"""Doubtful labels, and pairs, that the page shows."""


def doubt_sections(model: Model, things: Sequence[Any], names: Sequence[str]) -> list[tuple[str, str]]:
    """Return the sections: titles and HTML.

    Args:
        model: The model.
        things: Its examples, in its order.
        names: What each is called.
    """
    try:
        found = doubts(model)
    except DataError as error:
        told = str(error)
        return [("Labels to look at again", f"<p>{escaped(told[0].upper() + told[1:])}</p>")]
    return [
        ("Labels to look at again", _labels(model, things, names, found)),
        ("Examples that are nearly the same", _copies(model, things, names, found)),
    ]


def _labels(model: Model, things: Sequence[Any], names: Sequence[str], found: Doubts) -> str:
    many, judged = found.doubtful, len(found.labels)
    if not many:
        return f"<p>The evidence is against none of {judged:,} labels.</p>"
    cards = "".join(
        card(
            shown_thing(model, things[one.place], names[one.place]),
            f'{escaped(one.label)} <b>{one.probability:.2f}</b>?<br>or <span class="wrong">{escaped(one.other)}</span> '
            f"<b>{one.other_probability:.2f}</b>",
        )
        for one in found.labels[: min(many, _MOST)]
    )
    which = "Not all of them are wrong: some are merely hard."
    shown = f" These are the {_MOST} most doubtful; kshot doubt lists the others." if many > _MOST else ""
    about = "An answer that left the example out and the nearest examples are against"
    return f'<p class="soft">{about} {many:,} of {judged:,} labels. {which}{shown}</p><div class="cards">{cards}</div>'


def _copies(model: Model, things: Sequence[Any], names: Sequence[str], found: Doubts) -> str:
    if not found.copies:
        return "<p>No two examples are nearly the same.</p>"
    classes = [model.classes[place] for place in model.labels]
    pairs = []
    for one in found.copies[:_MOST]:
        first, second = classes[one.first], classes[one.second]
        told = [escaped(first), escaped(second) if first == second else f'<span class="wrong">{escaped(second)}</span>']
        shown = (shown_thing(model, things[place], names[place]) for place in (one.first, one.second))
        pairs.append(f'<div class="cards pair">{"".join(map(card, shown, told))}</div>')
    torn = sum(classes[one.first] != classes[one.second] for one in found.copies)
    many = f"{len(found.copies):,} pairs" if len(found.copies) > 1 else "1 pair"
    about = f"{many}, of which {torn:,} in two classes, which come first." if torn else f"{many}, each in one class."
    why = "One is tested with the help of the other, so the estimate is too high where there are many."
    rest = f" These are the first {_MOST}." if len(found.copies) > _MOST else ""
    return f'<p class="soft">{about} {why}{rest}</p>{"".join(pairs)}'
