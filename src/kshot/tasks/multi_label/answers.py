"""The labels of each of many things: in order, in bounded memory; one that cannot be read is answered with the reason.

In: a `MultiLabelModel`, its encoder and `Query`s. Out: `LabelsAnswer`s. Next: `kshot.labelling`. numpy alone.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice, tee
from typing import Any

import numpy as np

from kshot.encoders.embed import embed
from kshot.encoders.encoder import Encoder
from kshot.encoders.vector_cache import VectorCache
from kshot.errors import DataError
from kshot.tasks.heads.answer import logits
from kshot.tasks.multi_label.model import MultiLabelModel
from kshot.tasks.multi_label.one_vs_rest import probabilities_of
from kshot.tasks.queries import Query

_AT_ONCE = 256


@dataclass(frozen=True)
class LabelsAnswer:
    """The answer to one query.

    Attributes:
        input: The query's path or the number of its row, as `Query.input`.
        labels: The labels, the most probable first; may be empty, and is where the query cannot be read.
        probabilities: The probability that it has each label, by name; they do not sum to 1. Empty where the query cannot be read.
        error: Why it cannot be read; empty if it can.
    """

    input: str | int
    labels: tuple[str, ...]
    probabilities: Mapping[str, float]
    error: str = ""

    def ranked(self) -> list[str]:
        """Return all classes, the most probable first."""
        return sorted(self.probabilities, key=lambda name: -self.probabilities[name])

    def as_dict(self, *, probabilities: bool = False) -> dict[str, Any]:
        """Return the keys of `kshot.tasks.answers.Answer.as_dict`, and `labels`; `label` is the most probable class, given or not."""
        if self.error:
            none: dict[str, Any] = dict.fromkeys(("label", "probability", "second"))
            return {"input": self.input, **none, "unknown": False, "labels": None, "error": self.error}
        first, second, *_ = self.ranked()
        plain: dict[str, Any] = {
            "input": self.input,
            "label": first,
            "probability": self.probabilities[first],
            "second": second,
            "unknown": False,
        }
        plain["labels"] = list(self.labels)
        return {**plain, "probabilities": dict(self.probabilities)} if probabilities else plain


def labels_each(
    model: MultiLabelModel, encoder: Encoder, queries: Iterable[Query], *, cache: VectorCache | None = None
) -> Iterator[LabelsAnswer]:
    """Answer queries, which are taken as they are needed."""
    asked, told = tee(queries)
    vectors = embed(encoder, (query.thing for query in asked if not query.fault), cache=cache)
    answers = ((query, DataError(query.fault) if query.fault else next(vectors)) for query in told)
    while part := list(islice(answers, _AT_ONCE)):
        known = [one for _, one in part if not isinstance(one, DataError)]
        rows = iter(probabilities_of(logits(model.head, np.stack(known))) if known else ())
        for query, one in part:
            if isinstance(one, DataError):
                yield LabelsAnswer(query.input, (), {}, str(one))
            else:
                yield _answer(model, query.input, next(rows))


def _answer(model: MultiLabelModel, called: str | int, p: np.ndarray) -> LabelsAnswer:
    order = np.argsort(-p, kind="stable")
    labels = tuple(model.classes[place] for place in order if p[place] >= model.thresholds[place])
    return LabelsAnswer(called, labels, dict(zip(model.classes, p.tolist(), strict=True)))


def labels_columns(classes: Sequence[str], *, probabilities: bool) -> list[str]:
    """Name the columns of a table of answers; `labels` holds them with `SEPARATOR` between them."""
    named = [f"probability of {name}" for name in classes] if probabilities else []
    return ["input", "label", "probability", "second", "unknown", "labels", "error", *named]
