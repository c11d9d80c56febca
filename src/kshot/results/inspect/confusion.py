"""Confusion: which classes are answered wrongly, and which are mistaken for each other.

In: a learner's `Answers`. Out: a `Confusion`. It counts, for each class, the queries asked and answered correctly; and for each two classes
that met in an episode, the mistakes between them, as shares of the queries that could have been such a mistake. Next:
`kshot.results.inspect.task_report`.

Intervals are those of Wilson ("Probable inference, the law of succession, and statistical inference", Journal of the American
Statistical Association 22, 1927), which stay inside 0 … 1 and are meaningful at 0 and 1. Queries of a class in one episode are answered
from one support set, so they succeed and fail together, and n of them say less than n independent ones. Their number is therefore divided
by the design effect (Kish, "Survey Sampling", 1965, section 8.2), estimated over all classes.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from kshot.data.class_index import ClassIndex
from kshot.results.score.answers import Answers
from kshot.results.score.counts import wilson


@dataclass(frozen=True)
class ConfusedPair:
    """Two classes, and how often one was mistaken for the other.

    Attributes:
        classes: Positions of the classes in the class index, the smaller first.
        names: Names of the classes.
        rate: Mistakes between the two, as a share of the queries of both in episodes that had both.
        interval: 95 % interval of the rate.
        queries: Number of queries of both classes in such episodes.
        taken: Queries of the first class taken for the second, and of the second taken for the first.
    """

    classes: tuple[int, int]
    names: tuple[str, str]
    rate: float
    interval: tuple[float, float]
    queries: int
    taken: tuple[int, int]


@dataclass(frozen=True, eq=False)
class Confusion:
    """Counts over all episodes, for C classes and the P pairs of them that met.

    Attributes:
        names: Names of the classes.
        asked: Number of queries of each class, int64 (C,).
        right: Number of these queries answered correctly, int64 (C,).
        episodes: Number of episodes with each class, int64 (C,).
        pairs: Positions of two classes that were in one episode, the smaller first, int64 (P, 2).
        met: Number of queries of both classes of a pair in episodes that had both, int64 (P,).
        taken: Number of these queries of the first class taken for the second, and the other way round, int64 (P, 2).
        design_effect: Factor by which the variance of an accuracy exceeds that of independent queries; at least 1.
    """

    names: tuple[str, ...]
    asked: np.ndarray
    right: np.ndarray
    episodes: np.ndarray
    pairs: np.ndarray
    met: np.ndarray
    taken: np.ndarray
    design_effect: float

    @property
    def accuracy(self) -> np.ndarray:
        """Accuracy of each class, float64 (C,); NaN for a class that was never asked."""
        with np.errstate(invalid="ignore"):
            accuracy: np.ndarray = self.right / self.asked
        return accuracy

    @property
    def interval(self) -> np.ndarray:
        """95 % interval of the accuracy of each class, float64 (C, 2); 0 … 1 for a class that was never asked."""
        return wilson(self.right, self.asked, self.design_effect)

    def matrix(self) -> np.ndarray:
        """Return how many queries of each class (row) were given each class (column), int64 (C, C).

        For thousands of classes, this is mostly zeros. Queries without an answer are in no column; without these, a row sums to `asked`.
        """
        counts: np.ndarray = np.diag(self.right)
        counts[self.pairs[:, 0], self.pairs[:, 1]] = self.taken[:, 0]
        counts[self.pairs[:, 1], self.pairs[:, 0]] = self.taken[:, 1]
        return counts

    def by_accuracy(self) -> np.ndarray:
        """Return the positions of the classes that were asked, the worst first; at equal accuracy, the one asked more often first."""
        asked = np.flatnonzero(self.asked)
        order: np.ndarray = asked[np.lexsort((asked, -self.asked[asked], self.accuracy[asked]))]
        return order

    def most_confused(self, most: int = 10) -> list[ConfusedPair]:
        """Return the pairs whose rate of mistakes is surely high, in the order of the lower ends of their intervals.

        If the rate decided the order, pairs that met once and failed once would come first.
        """
        wrong = self.taken.sum(1)
        intervals = wilson(wrong, self.met, self.design_effect)
        order = np.lexsort((np.arange(len(wrong)), -wrong, -intervals[:, 0]))
        return [self._pair(int(place), intervals[place]) for place in order[:most] if wrong[place]]

    def _pair(self, place: int, interval: np.ndarray) -> ConfusedPair:
        first, second = map(int, self.pairs[place])
        a, b = map(int, self.taken[place])
        met = int(self.met[place])
        ends = (float(interval[0]), float(interval[1]))
        return ConfusedPair((first, second), (self.names[first], self.names[second]), (a + b) / met, ends, met, (a, b))


def count_confusion(index: ClassIndex, answers: Sequence[Answers]) -> Confusion:
    """Count over all episodes.

    Args:
        index: The classes from which the episodes were drawn.
        answers: From `answer_episodes`.
    """
    C = len(index)
    cells = [_cells(block) for block in answers]  # for each class of each episode: class, queries, correct answers
    owner, asked, right = (np.concatenate(column) for column in zip(*cells, strict=True))
    codes, met, taken = _pairs(C, answers)
    return Confusion(
        names=index.names,
        asked=np.bincount(owner, asked, C).astype(np.int64),
        right=np.bincount(owner, right, C).astype(np.int64),
        episodes=np.bincount(owner, minlength=C),
        pairs=np.stack([codes // C, codes % C], axis=1),
        met=met,
        taken=taken,
        design_effect=design_effect(owner, asked, right),
    )


def design_effect(owner: np.ndarray, asked: np.ndarray, right: np.ndarray) -> float:
    """Return how much more the accuracies of a class vary between its episodes than they would with independent queries.

    A cell is one class of one episode.

    Args:
        owner: Class of each cell, int64 (M,).
        asked: Number of queries of each cell, ≥ 1, int64 (M,).
        right: Number of these queries answered correctly, int64 (M,).

    Returns:
        Σ m (p - p̄)² over all cells / Σ (k - 1) p̄ (1 - p̄) n / (n - 1) over all classes. A cell has m queries and accuracy p; its class
        has k cells, n queries and accuracy p̄. The value is 1 on average for independent queries, and m for cells that are all right or
        all wrong. It is at least 1, and it is 1 if no class with both right and wrong answers is in two episodes.
    """
    k, n, hits = (np.bincount(owner, weights) for weights in (None, asked, right))
    mean = hits / np.maximum(n, 1)
    found = float((asked * (right / asked - mean[owner]) ** 2).sum())
    expected = float((np.maximum(k - 1, 0) * mean * (1 - mean) * n / np.maximum(n - 1, 1)).sum())
    return max(1.0, found / expected) if expected > 0 else 1.0


def _tables(block: Answers) -> np.ndarray:
    """Count the queries of each label that were given each label, int64 (B, N, N). Rows are the true labels."""
    (B, N), y = block.drawn.classes.shape, block.drawn.query_y
    codes = (np.arange(B)[:, None] * N + y) * N + block.chosen
    return np.bincount(codes[block.chosen >= 0], minlength=B * N * N).reshape(B, N, N)


def _cells(block: Answers) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    asked = _asked(block).reshape(-1)
    right = np.diagonal(_tables(block), axis1=1, axis2=2).reshape(-1)
    there = asked > 0
    return block.drawn.classes.reshape(-1)[there], asked[there], right[there]


def _asked(block: Answers) -> np.ndarray:
    """Count the queries of each label, int64 (B, N)."""
    B, N = block.drawn.classes.shape
    return np.bincount((np.arange(B)[:, None] * N + block.drawn.query_y).reshape(-1), minlength=B * N).reshape(B, N)


def _pairs(C: int, answers: Sequence[Answers]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the codes first · C + second of all pairs that met, int64 (P,), ascending; and their `met` (P,) and `taken` (P, 2)."""
    parts = []
    for block in answers:
        classes, table, asked = block.drawn.classes, _tables(block), _asked(block)
        i, j = np.triu_indices(classes.shape[1], 1)
        a, b = classes[:, i], classes[:, j]
        taken = np.stack([table[:, i, j], table[:, j, i]])  # (2, B, pairs)
        taken = np.where(a < b, taken, taken[::-1])
        codes = np.minimum(a, b) * C + np.maximum(a, b)
        parts.append(_summed(codes.reshape(-1), (asked[:, i] + asked[:, j]).reshape(-1), taken.reshape(2, -1).T))
    return _summed(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def _summed(codes: np.ndarray, met: np.ndarray, taken: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return each code once, with its sums."""
    unique, place = np.unique(codes, return_inverse=True)
    sums = [np.bincount(place.reshape(-1), column).astype(np.int64) for column in (met, taken[:, 0], taken[:, 1])]
    return unique, sums[0], np.stack(sums[1:], axis=1)
