"""Labelling many things: an answer or a reason for each, and the score where the folders of pictures are class names.

In: a fitted model, or a `Classifier`; and `Query`s (`kshot.tasks.queries`). Out: `Answer`s, and an `OwnScore`. Next: `kshot.labelling`
prints or writes them (`kshot.tasks.answer_file`).

Nothing that answers for a fitted model imports PyTorch, scikit-learn or pandas.
"""

import os
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice, tee
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from kshot.data.tables.labels import SEPARATOR
from kshot.encoders.embed import embed
from kshot.encoders.encoder import Encoder
from kshot.encoders.vector_cache import VectorCache
from kshot.errors import DataError
from kshot.results.score.counts import clopper_pearson
from kshot.short_repr import per_cent
from kshot.tasks.certainty.asked import Asked
from kshot.tasks.certainty.certainty import Judge
from kshot.tasks.certainty.unknown import Surroundings
from kshot.tasks.heads.answer import log_probabilities
from kshot.tasks.model import Model
from kshot.tasks.prediction import Prediction, predictions_of
from kshot.tasks.queries import Query

if TYPE_CHECKING:
    from kshot.tasks.classifier import Classifier

_AT_ONCE = 256
"""Vectors that the head answers at once."""


class Answered(Protocol):
    """The answer to one query, of whichever kind of model."""

    @property
    def input(self) -> str | int:
        """The query's path or the number of its row."""

    @property
    def error(self) -> str:
        """Why it cannot be read; empty if it can."""

    def as_dict(self, *, probabilities: bool = False) -> dict[str, Any]:
        """Return the answer as plain JSON values."""


@dataclass(frozen=True)
class Answer:
    """The answer to one query.

    Attributes:
        input: The query's path or the number of its row, as `Query.input`.
        prediction: The prediction; None if the query cannot be read.
        error: Why it cannot be read; empty if it can.
    """

    input: str | int
    prediction: Prediction | None
    error: str = ""

    def as_dict(self, *, probabilities: bool = False) -> dict[str, Any]:
        """Return the answer as plain JSON values.

        Args:
            probabilities: Whether to add the probability of every class, by name.

        Returns:
            `input`, `label`, `probability` and `second` (the second most probable class), each None where the query cannot be read, and
            `unknown`; then `error` where it cannot be read. Where it can: `set`, a list of names, if a coverage was asked for, and
            `probabilities`, if they are.
        """
        if self.prediction is None:
            return {"input": self.input, "label": None, "probability": None, "second": None, "unknown": False, "error": self.error}
        one = self.prediction
        plain: dict[str, Any] = {
            "input": self.input,
            "label": one.label,
            "probability": one.probability,
            "second": one.second,
            "unknown": one.unknown,
        }
        if one.set is not None:
            plain["set"] = list(one.set)
        return {**plain, "probabilities": dict(one.probabilities)} if probabilities else plain


def judge_of(model: Model, asked: Asked = Asked()) -> Judge:  # noqa: B008  # it is frozen
    """Return what judges the answers of a fitted model.

    Args:
        model: The model.
        asked: The coverage of sets and the rate of false alarms.

    Raises:
        RecipeError: The model cannot promise what is asked.
    """
    return Judge(model.certainty, Surroundings(model.vectors, model.labels, len(model.classes)), asked)


def label_each(
    model: Model, encoder: Encoder, queries: Iterable[Query], *, cache: VectorCache | None = None, judge: Judge | None = None
) -> Iterator[Answer]:
    """Answer queries with a fitted model: in order, in bounded memory; one that cannot be read is answered with the reason.

    Args:
        model: The model.
        encoder: Its encoder (`kshot.tasks.encoder.open_for`).
        queries: They are taken as they are needed, so that they may come from an endless stream.
        cache: Where vectors are looked up and kept.
        judge: From `judge_of`, for sets of a stated coverage, or for another rate of false alarms.
    """
    judge = judge or judge_of(model)
    asked, told = tee(queries)
    vectors = embed(encoder, (query.thing for query in asked if not query.fault), cache=cache)
    answers = ((query, DataError(query.fault) if query.fault else next(vectors)) for query in told)
    while part := list(islice(answers, _AT_ONCE)):
        known = [one for _, one in part if not isinstance(one, DataError)]
        predictions = iter(predict_vectors(model, np.stack(known), judge) if known else ())
        for query, one in part:
            yield Answer(query.input, None, str(one)) if isinstance(one, DataError) else Answer(query.input, next(predictions))


def predict_vectors(model: Model, vectors: np.ndarray, judge: Judge | None = None) -> list[Prediction]:
    """Answer vectors, float32 (M, D), with a fitted model.

    Args:
        model: The model.
        vectors: The vectors.
        judge: As for `label_each`. To answer vectors in several calls, make it once.
    """
    answers = log_probabilities(model.head, vectors)  # (M, N)
    return predictions_of(model.classes, answers, (judge or judge_of(model))(answers, vectors))


def answer_queries(classifier: "Classifier", queries: Iterable[Query], sure: Asked = Asked()) -> Iterator[Answer]:  # noqa: B008  # it is frozen
    """Answer queries with an adapted learner, as `label_each` does with a model.

    Args:
        classifier: The adapted learner.
        queries: The queries.
        sure: The coverage of sets and the rate of false alarms.

    Raises:
        RecipeError: The learner cannot promise what is asked.
    """
    asked, told = tee(queries)
    predictions = classifier.answer_each((query.thing for query in asked if not query.fault), sure)
    for query in told:
        found = DataError(query.fault) if query.fault else next(predictions)
        yield Answer(query.input, None, str(found)) if isinstance(found, DataError) else Answer(query.input, found)


class OwnScore:
    """The score on the queries that lie in folders named after classes.

    Args:
        classes: The names of the classes. A name with slashes, `greek/alpha`, is that of nested folders.
        support: The support pictures, if they are files: queries that are among them are counted.
    """

    def __init__(self, classes: Sequence[str], support: Collection[Path] = ()) -> None:
        self._classes = frozenset(classes)
        self._deepest = max(name.count("/") + 1 for name in classes)
        self._support = frozenset(os.path.realpath(path) for path in support)
        self.right = self.asked = self.in_support = 0

    def count(self, answer: Answer) -> None:
        """Count an answer, if its query lies in a folder that is named after a class."""
        true = self.true_class(answer.input) if isinstance(answer.input, str) else None
        if true is None or answer.prediction is None:
            return
        self.asked += 1
        self.right += answer.prediction.label == true
        self.in_support += bool(self._support) and os.path.realpath(str(answer.input)) in self._support

    def true_class(self, path: str) -> str | None:
        """Return the class that the folders of a file are named after: the longest such name; None if they are named after none."""
        folders = Path(os.path.abspath(path)).parent.parts
        ends = ("/".join(folders[-depth:]) for depth in range(min(self._deepest, len(folders)), 0, -1))
        return next((name for name in ends if name in self._classes), None)

    def in_words(self) -> str:
        """Return the score as a sentence; empty if no query lies in such a folder."""
        if not self.asked:
            return ""
        low, high = clopper_pearson(self.right, self.asked)
        seen = f" {self.in_support} of them are among its examples, which flatters the score." if self.in_support else ""
        return (
            f"{self.right} of the {self.asked} pictures in folders named after classes are labelled so: "
            f"{per_cent(self.right / self.asked)} % (95 % interval {per_cent(low)} to {per_cent(high)} %; guessing reaches "
            f"{per_cent(1 / len(self._classes))} %).{seen}"
        )


def columns(classes: Sequence[str], *, probabilities: bool, sets: bool = False) -> list[str]:
    """Name the columns of a table of answers."""
    named = [f"probability of {name}" for name in classes] if probabilities else []
    return ["input", "label", "probability", "second", "unknown", *(["set"] if sets else []), "error", *named]


def row(answer: Mapping[str, Any]) -> dict[str, Any]:
    """Return an answer, as `Answered.as_dict` gives it, as a row of a table of answers."""
    flat = {key: value for key, value in answer.items() if key != "probabilities"}
    named = {f"probability of {name}": value for name, value in answer.get("probabilities", {}).items()}
    if "unknown" in flat:
        flat["unknown"] = "true" if flat["unknown"] else "false"
    for key in ("set", "labels"):
        if flat.get(key) is not None:
            flat[key] = SEPARATOR.join(flat[key])
    return {**flat, **named}
