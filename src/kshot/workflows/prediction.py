"""Labelling many pictures: an answer or a reason for each query, and the score where the folders of the queries are class names.

In: a `Classifier` and `Query`s (`kshot.workflows.queries`). Out: `Answer`s, and an `OwnScore`. Next: `kshot.cli` prints or writes them
(`kshot.workflows.answer_file`).
"""

import os
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import tee
from pathlib import Path
from typing import Any

from kshot.errors import DataError
from kshot.results.score.counts import clopper_pearson
from kshot.short_repr import per_cent
from kshot.tasks.classifier import Classifier, Prediction
from kshot.workflows.queries import Query


@dataclass(frozen=True)
class Answer:
    """The answer to one query.

    Attributes:
        input: The query's path, as `Query.input`.
        prediction: The prediction; None if the query cannot be read.
        error: Why it cannot be read; empty if it can.
    """

    input: str
    prediction: Prediction | None
    error: str = ""

    def as_dict(self, *, probabilities: bool = False) -> dict[str, Any]:
        """Return the answer as plain JSON values.

        Args:
            probabilities: Whether to add the probability of every class, by name.

        Returns:
            `input`, `label`, `probability` and `second` (the second most probable class), each None where the query cannot be read, and
            `unknown`; then `error` where it cannot be read, and `probabilities` where they are asked for and it can.
        """
        if self.prediction is None:
            return {"input": self.input, "label": None, "probability": None, "second": None, "unknown": False, "error": self.error}
        one = self.prediction
        plain = {"input": self.input, "label": one.label, "probability": one.probability, "second": one.second, "unknown": False}
        return {**plain, "probabilities": dict(one.probabilities)} if probabilities else plain


def answer_queries(classifier: Classifier, queries: Iterable[Query]) -> Iterator[Answer]:
    """Answer queries in order, in bounded memory; one that cannot be read is answered with the reason."""
    asked, told = tee(queries)
    predictions = classifier.answer_each(query.input for query in asked if not query.fault)
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
        true = self.true_class(answer.input)
        if true is None or answer.prediction is None:
            return
        self.asked += 1
        self.right += answer.prediction.label == true
        self.in_support += os.path.realpath(answer.input) in self._support

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
        seen = f" {self.in_support} of them are support pictures, which flatters the score." if self.in_support else ""
        return (
            f"{self.right} of the {self.asked} pictures in folders named after classes are labelled so: "
            f"{per_cent(self.right / self.asked)} % (95 % interval {per_cent(low)} to {per_cent(high)} %; guessing reaches "
            f"{per_cent(1 / len(self._classes))} %).{seen}"
        )


def columns(classes: Sequence[str], *, probabilities: bool) -> list[str]:
    """Name the columns of a table of answers."""
    named = [f"probability of {name}" for name in classes] if probabilities else []
    return ["input", "label", "probability", "second", "unknown", "error", *named]


def row(answer: Mapping[str, Any]) -> dict[str, Any]:
    """Return an answer, as `Answer.as_dict` gives it, as a row of that table."""
    flat = {key: value for key, value in answer.items() if key != "probabilities"}
    named = {f"probability of {name}": value for name, value in answer.get("probabilities", {}).items()}
    return {**flat, "unknown": "true" if flat["unknown"] else "false", **named}
