"""The report of a fitted model: one HTML page that needs nothing else, with the hardest examples in it.

In: a model, and answers for labelled things: for its own examples, each left out, or for others. Out: a file. Next: `kshot.saving`.
`kshot.workflows.model_page` makes the HTML.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kshot.atomic import write_text
from kshot.tasks.estimate import Estimate
from kshot.tasks.model import Model
from kshot.workflows.certainty_sections import certainty_sections
from kshot.workflows.doubt_sections import doubt_sections
from kshot.workflows.model_description import estimate_of
from kshot.workflows.model_page import Bar, Confused, Hard, Page, page
from kshot.workflows.shown_thing import shown_thing

HARDEST = 24
"""Examples that the page shows."""
_PAIRS = 12


@dataclass(frozen=True, eq=False)
class Labelled:
    """Answers for things whose classes are known.

    Attributes:
        things: What was answered: paths, texts or rows.
        names: What each is called.
        labels: The class of each, as its place in the model, int64 (n,).
        log_probabilities: The answers, float64 (n, N); NaN in rows that could not be scored.
    """

    things: Sequence[Any]
    names: Sequence[str]
    labels: np.ndarray
    log_probabilities: np.ndarray


def write_report(
    file: Path, model: Model, labelled: Labelled, *, title: str, score: Estimate | None, rows: Sequence[tuple[str, str]]
) -> Path:
    """Write the page.

    Args:
        file: The HTML file.
        model: The model.
        labelled: The answers.
        title: Title of the page.
        score: The score on labelled things that the model has not seen; None: the page is about its own examples, each left out.
        rows: Names and values of the table at the end.

    Raises:
        SavedError: The disk refused the file.
    """
    scored = np.flatnonzero(np.isfinite(labelled.log_probabilities).any(1))
    found = estimate_of(model) if score is None else score
    words = found.most_confused(_PAIRS)
    whose = "its own examples are answered rightly, each without having been seen" if score is None else "things are answered rightly"
    content = Page(
        title=title,
        number=f"{100 * found.accuracy:.1f} %" if found.examples else "–",
        sentence=f"of {whose}. Guessing would get {100 / len(model.classes):.1f} %.",
        interval=str(found),
        bars=[
            Bar(name, count, int(row.sum()), int(row[place]))
            for place, ((name, count), row) in enumerate(zip(model.counts.items(), found.confusion, strict=True))
        ],
        matrix=found.confusion,
        classes=model.classes,
        confused=[Confused(model.classes[true], model.classes[told], count) for true, told, count in words],
        hardest=[_hard(model, labelled, int(number)) for number in _hardest(labelled, scored)],
        further=[
            *certainty_sections(model, labelled.labels, labelled.log_probabilities, own=score is None),
            *(doubt_sections(model, labelled.things, labelled.names) if score is None else []),
        ],
        rows=rows,
    )
    write_text(file, page(content))
    return file


def _hardest(labelled: Labelled, scored: np.ndarray) -> np.ndarray:
    """Return the numbers of the examples whose own class is least probable."""
    own = labelled.log_probabilities[scored, labelled.labels[scored]]
    result: np.ndarray = scored[np.argsort(own, kind="stable")[:HARDEST]]
    return result


def _hard(model: Model, labelled: Labelled, number: int) -> Hard:
    row = labelled.log_probabilities[number]
    told, true = int(row.argmax()), int(labelled.labels[number])
    shown = shown_thing(model, labelled.things[number], labelled.names[number])
    return Hard(shown, model.classes[true], float(np.exp(row[true])), model.classes[told], float(np.exp(row[told])))
