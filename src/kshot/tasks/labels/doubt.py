"""Which labels of a model's examples to look at again: probable mistakes, and examples that are nearly the same.

    doubt = (log p_other - log p_own) + 3 log(d²_own / d²_other)

p are the answers of the model's head to an example that is left out: p_own for the class of its label, p_other for the most probable other
one. d² are its squared distances to the nearest other example of its class, and to the nearest one of another class. Both terms are above 0
where the evidence is against the label. The first is the margin of confident learning (C. G. Northcutt, L. Jiang, I. L. Chuang, "Confident
learning: estimating uncertainty in dataset labels", Journal of Artificial Intelligence Research 70, 2021), whose answers are left out, too;
the second term needs no model, and finds more mistakes beside any head. `scripts/measure_doubt.py` measures it, and each term alone.

Two examples are nearly the same where their squared distance is at most 8 % of the mean one of two examples of a class: texts that differ
by a comma or a small word, copies of a photograph in another size or format. Distances are those that the head sees. More than 2,000
examples are examined in parts of that size, with each class dealt evenly, so memory is bounded; copies in two parts are not found.

In: a `Model`. Out: `Doubts`. Next: `kshot.label_commands`, and the report of a fit.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from kshot.errors import DataError
from kshot.tasks.heads.answer import squared_distances
from kshot.tasks.heads.blas_threads import on_one_thread
from kshot.tasks.heads.feature_map import apply_map
from kshot.tasks.heads.given import MOST, Given
from kshot.tasks.heads.head import Head
from kshot.tasks.heads.table import head_named
from kshot.tasks.model import Model

_NEIGHBOUR = 3.0
"""How much the nearest examples count beside the answers of the head."""
_NEAR = 0.08
"""Squared distance of near-duplicates, as a share of the mean one within a class."""
_LEAST = 1e-3
"""Smaller shares of that mean count as this one, so that an equal neighbour is much evidence and not all of it."""
_TOGETHER = 5
"""Examples of a class that are at least in one part."""
MOST_COPIES = 1_000
"""Near-duplicates that are listed at most."""


@dataclass(frozen=True)
class Doubt:
    """How doubtful the label of an example is.

    Attributes:
        place: Which example.
        doubt: Above 0 where the evidence is against the label; the logarithm of odds, in nats, but not calibrated.
        label: The class of its label.
        probability: Its probability, the example left out.
        other: The most probable other class.
        other_probability: Its probability.
        nearest: The nearest example of another class.
    """

    place: int
    doubt: float
    label: str
    probability: float
    other: str
    other_probability: float
    nearest: int


@dataclass(frozen=True)
class Copies:
    """Two examples that are nearly the same.

    Attributes:
        first: One of them.
        second: The other, of a larger place.
        apart: Their squared distance, as a share of the mean one of two examples of a class, 0 … 0.08.
    """

    first: int
    second: int
    apart: float


@dataclass(frozen=True)
class Doubts:
    """What to look at again.

    Attributes:
        labels: Every example that can be judged, the most doubtful label first.
        copies: Pairs that are nearly the same, those of two classes first, then the nearest; at most `MOST_COPIES`.
        alone: How many examples cannot be judged, because none of their class is beside them.
    """

    labels: tuple[Doubt, ...]
    copies: tuple[Copies, ...]
    alone: int

    @property
    def doubtful(self) -> int:
        """Of how many labels the evidence is against."""
        return sum(one.doubt > 0 for one in self.labels)

    def in_words(self, total: int) -> str:
        """Say what was found among `total` examples, in sentences."""
        many, pairs = self.doubtful, len(self.copies)
        told = [
            f"The evidence is against {many:,} of {len(self.labels):,} labels, not all of which are wrong: some are merely hard."
            if many
            else f"The evidence is against none of {len(self.labels):,} labels."
        ]
        if pairs:
            least = f"{pairs:,} or more pairs" if pairs == MOST_COPIES else "1 pair" if pairs == 1 else f"{pairs:,} pairs"
            told.append(f"{least} of examples {'is' if pairs == 1 else 'are'} nearly the same.")
        if self.alone:
            told.append(
                f"{self.alone:,} of {total:,} examples cannot be judged: {'it is' if self.alone == 1 else 'each is'} alone in its class."
            )
        return " ".join(told)


@on_one_thread
def doubts(model: Model) -> Doubts:
    """Judge the labels of a model's examples.

    Args:
        model: The model. Its descriptions do not count.

    Raises:
        DataError: It has no example, or no class with two of them.
    """
    if not len(model.labels):
        raise DataError(
            "there is no label to doubt: the model has descriptions, and no examples. Add some: kshot add MODEL CLASS EXAMPLES…"
        )
    head, fitted = head_named(model.head_name), model.head
    labels: list[Doubt] = []
    copies: list[Copies] = []
    for rows in parts_of(model.labels, len(model.classes)):
        z = apply_map(fitted.feature_map, fitted.arrays, model.vectors[rows])
        square, mean = _squares(z, model.labels[rows])
        labels += _judged(model, head, rows, square, mean)
        copies += _copies(model, rows, square, mean)
    if not labels:
        raise DataError("no label can be judged: every class has one example. Give two or more per class.")
    of = model.labels
    labels.sort(key=lambda one: (-one.doubt, one.place))
    copies.sort(key=lambda one: (of[one.first] == of[one.second], one.apart, one.first, one.second))
    return Doubts(tuple(labels), tuple(copies[:MOST_COPIES]), len(of) - len(labels))


def parts_of(labels: np.ndarray, way: int) -> Iterator[np.ndarray]:
    """Deal examples into parts of about `MOST`, each class evenly, and at least some examples of a class together.

    Yields:
        The places of the examples of a part, ascending; all of them where there are at most `MOST`.
    """
    n = len(labels)
    many = 1 if n <= MOST else -(-n // (MOST * 9 // 10))  # parts are not quite equal
    random, of = np.random.default_rng(0), np.zeros(n, dtype=np.int64)
    if many > 1:
        for label in range(way):
            rows = random.permutation(np.flatnonzero(labels == label))
            groups = min(many, max(len(rows) // _TOGETHER, 1))
            of[rows] = random.permutation(many)[:groups][np.arange(len(rows)) % groups]
    for part in range(many):
        if len(rows := np.flatnonzero(of == part)):
            yield rows


def _squares(z: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, float]:
    """Return the squared distances of vectors (m, D) to each other, (m, m), infinite on the diagonal; and their mean within classes.

    Where no class has two examples, it is the mean of all pairs.
    """
    square = squared_distances(z, z)
    np.fill_diagonal(square, 0)
    pairs = y[:, None] == y
    if pairs.sum() == len(y):
        pairs[:] = True
    mean = float(square.sum(where=pairs, dtype=np.float64)) / max(int(pairs.sum()) - len(y), 1)
    np.fill_diagonal(square, np.inf)
    return square, mean


def _judged(model: Model, head: Head, rows: np.ndarray, square: np.ndarray, mean: float) -> list[Doubt]:
    """Judge the labels of a part."""
    present, y = np.unique(model.labels[rows], return_inverse=True)
    if len(present) < 2 or np.bincount(y).max() < 2:
        return []
    given = Given(model.vectors[rows], y, len(present))
    found = head.settle(given).left_out
    scored = given.sample[found.scored]
    answers, labels, at = found.log_probabilities[found.scored], y[scored], np.arange(len(scored))
    own = answers[at, labels]
    others = answers.copy()
    others[at, labels] = -np.inf
    other = others.argmax(1)
    same = y[None] == labels[:, None]  # (scored, m)
    of_others = np.where(same, np.inf, square[scored])
    nearest = of_others.argmin(1)
    least = _LEAST * mean or 1.0
    to_own, to_other = (np.maximum(one.min(1), least) for one in (np.where(same, square[scored], np.inf), of_others))
    doubt = others.max(1) - own + _NEIGHBOUR * np.log(to_own / to_other)
    return [
        Doubt(
            int(rows[scored[k]]),
            float(doubt[k]),
            model.classes[present[labels[k]]],
            float(np.exp(own[k])),
            model.classes[present[other[k]]],
            float(np.exp(answers[k, other[k]])),
            int(rows[nearest[k]]),
        )
        for k in at
    ]


def _copies(model: Model, rows: np.ndarray, square: np.ndarray, mean: float) -> Iterator[Copies]:
    """Yield near-duplicates of a part: the nearest of one class and of two, at most `MOST_COPIES` of each."""
    first, second = np.nonzero(np.triu(square <= _NEAR * mean, 1))
    apart = square[first, second] / (mean or 1.0)
    torn = model.labels[rows[first]] != model.labels[rows[second]]
    for kind in (torn, ~torn):
        of_kind = np.flatnonzero(kind)
        for place in of_kind[np.argsort(apart[of_kind], kind="stable")[:MOST_COPIES]]:
            yield Copies(int(rows[first[place]]), int(rows[second[place]]), float(apart[place]))
