"""What to look at again, as rows: doubtful labels, then examples that are nearly the same.

In: a `Model` and its `Doubts`. Out: `Doubtful`s. Next: `kshot.label_commands` prints or writes them; the report of a fit shows them.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from kshot.tasks.labels.doubt import Doubts
from kshot.tasks.model import Model

DOUBT_COLUMNS = ("kind", "rank", "input", "label", "probability", "other", "other_probability", "nearest", "doubt")
"""The columns of a table of doubts."""


@dataclass(frozen=True)
class Doubtful:
    """A doubtful label, or two examples that are nearly the same.

    Attributes:
        kind: Which of them.
        rank: 1 for the most doubtful, or for the nearest pair.
        input: What the example is called: its path, or its row in the table.
        label: Its label.
        probability: The probability of that class, the example left out; None for a pair.
        other: The most probable other class; of a pair, the label of the other example.
        other_probability: Its probability; None for a pair.
        nearest: The nearest example of another class; of a pair, the other example.
        doubt: As `kshot.tasks.labels.doubt.Doubt`; None for a pair.
        error: Empty.
    """

    kind: Literal["label", "copies"]
    rank: int
    input: str
    label: str
    probability: float | None
    other: str
    other_probability: float | None
    nearest: str
    doubt: float | None
    error: str = ""

    def as_dict(self, *, probabilities: bool = False) -> dict[str, Any]:
        """Return it as plain JSON values: `DOUBT_COLUMNS`."""
        return {name: getattr(self, name) for name in DOUBT_COLUMNS}


def doubtful_rows(model: Model, found: Doubts, count: int) -> Iterator[Doubtful]:
    """Yield the `count` most doubtful labels, whether or not the evidence is against them, then as many pairs."""
    names, classes, labels = model.names, model.classes, model.labels
    for rank, one in enumerate(found.labels[:count], 1):
        said = one.label, one.probability, one.other, one.other_probability
        yield Doubtful("label", rank, names[one.place], *said, names[one.nearest], one.doubt)
    for rank, pair in enumerate(found.copies[:count], 1):
        first, second = (classes[labels[place]] for place in (pair.first, pair.second))
        yield Doubtful("copies", rank, names[pair.first], first, None, second, None, names[pair.second], None)
