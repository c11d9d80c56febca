"""How often a fitted model will be right: an honest estimate from answers that did not see their own example.

In: log-probabilities and the right classes. Out: an `Estimate`: accuracy with its interval, per class, and confusion; and what cannot be
estimated. Next: `kshot fit`, `kshot estimate` and their report.

The interval is Wilson's ("Probable inference, the law of succession, and statistical inference", Journal of the American Statistical
Association 22, 1927), as of independent examples. Left-out answers are not quite independent: two of them share all examples but two. An
answer that leaves an example out also learned from one example less than the model that is used, which makes the estimate a little low.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from kshot.episodes.shape import chance
from kshot.errors import DataError
from kshot.results.score.counts import wilson
from kshot.short_repr import short_repr
from kshot.tasks.heads.head import LeftOut


@dataclass(frozen=True, eq=False)
class Estimate:
    """How often a model is right, for N classes.

    Attributes:
        how: How the answers came about, in words: `leave-one-out`, folds, or labelled data.
        accuracy: Share of right answers; NaN if no example can be scored.
        interval: Its 95 % interval; 0 … 1 if no example can be scored.
        log_likelihood: Mean logarithm of the probability of the right class, at most 0; NaN if no example can be scored.
        confusion: How many scored examples of each class (row) were given each class (column), int64 (N, N).
        unscored: Examples of each class that could not be scored, int64 (N,).
    """

    how: str
    accuracy: float
    interval: tuple[float, float]
    log_likelihood: float
    confusion: np.ndarray
    unscored: np.ndarray

    @property
    def examples(self) -> int:
        """Number of scored examples."""
        return int(self.confusion.sum())

    @property
    def class_accuracy(self) -> np.ndarray:
        """Accuracy of each class, float64 (N,); NaN for a class without a scored example."""
        with np.errstate(invalid="ignore"):
            accuracy: np.ndarray = np.diag(self.confusion) / self.confusion.sum(1)
        return accuracy

    @property
    def class_intervals(self) -> np.ndarray:
        """95 % interval of the accuracy of each class, float64 (N, 2); 0 … 1 for a class without a scored example."""
        return wilson(np.diag(self.confusion), self.confusion.sum(1))

    def most_confused(self, most: int = 10) -> list[tuple[int, int, int]]:
        """Return (class, taken for, how often) of the most frequent mistakes, the most frequent first."""
        wrong = self.confusion - np.diag(np.diag(self.confusion))
        order = np.argsort(-wrong, axis=None, kind="stable")[:most]
        pairs = [(int(place // len(wrong)), int(place % len(wrong))) for place in order]
        return [(first, second, int(wrong[first, second])) for first, second in pairs if wrong[first, second]]

    def as_dict(self) -> dict[str, Any]:
        """Return the estimate in values that JSON has; the confusion as its cells that are not 0, [row, column, count]."""
        rows, columns = np.nonzero(self.confusion)
        cells = np.stack([rows, columns, self.confusion[rows, columns]], axis=1).tolist()
        scored = self.examples > 0
        return {
            "how": self.how,
            "accuracy": self.accuracy if scored else None,
            "interval": list(self.interval),
            "chance": chance(len(self.confusion)) if scored else None,
            "log_likelihood": self.log_likelihood if scored else None,
            "classes": len(self.confusion),
            "confusion": cells,
            "unscored": self.unscored.tolist(),
        }

    def __str__(self) -> str:
        """Say in one or two sentences what is known."""
        alone = int((self.unscored > 0).sum())
        unknown = (
            f" {alone:,} {'class has' if alone == 1 else 'classes have'} one example, without which nothing is known of "
            f"{'it' if alone == 1 else 'them'}; a second example would tell."
            if alone
            else ""
        )
        empty = int((self.confusion.sum(1) + self.unscored == 0).sum())
        if empty == len(self.confusion):
            return "No estimate: there is no example, only descriptions. Give labelled things to kshot estimate, or examples to kshot add."
        if empty:
            what = "it" if empty == 1 else "them"
            unknown += f" {empty:,} {'class has' if empty == 1 else 'classes have'} no example, so nothing is known of {what}."
        if not self.examples:
            return f"No estimate: no class has two examples.{' Give two or more per class to learn how often the model is right.'}"
        low, high = (100 * end for end in self.interval)
        return (
            f"Right for {100 * self.accuracy:.1f} % of {self.examples:,} examples ({self.how}; 95 % interval {low:.1f} to {high:.1f} %; "
            f"guessing, {100 * chance(len(self.confusion)):.1f} %)." + unknown
        )

    def __repr__(self) -> str:
        """Return the sentence of `str`, shortened."""
        return short_repr("Estimate", [str(self)])


def estimate(left_out: LeftOut, y: np.ndarray, way: int) -> Estimate:
    """Estimate how often a head is right from its left-out answers.

    Args:
        left_out: From `Head.left_out`, or of a `Choice`.
        y: The right classes, int64 (n,).
        way: N.
    """
    return _of(left_out.log_probabilities, y, way, left_out.scored, left_out.how)


def score(log_probabilities: np.ndarray, y: np.ndarray, way: int) -> Estimate:
    """Score answers for labelled data that the model has not seen.

    Args:
        log_probabilities: (M, N).
        y: The right classes, int64 (M,).
        way: N.

    Raises:
        DataError: There is no answer, or not one label per answer.
    """
    if log_probabilities.shape != (len(y), way) or not len(y):
        raise DataError(f"scoring needs answers (M, {way}) with one label each; found {log_probabilities.shape} and {len(y)} labels.")
    return _of(log_probabilities, y, way, np.ones(len(y), dtype=bool), "labelled data")


def estimate_from_dict(record: dict[str, Any]) -> Estimate:
    """Return the estimate that `Estimate.as_dict` wrote; the record is of that form."""
    way = record["classes"]
    confusion = np.zeros((way, way), dtype=np.int64)
    for row, column, count in record["confusion"]:
        confusion[row, column] = count
    accuracy, log_likelihood = (np.nan if record[name] is None else float(record[name]) for name in ("accuracy", "log_likelihood"))
    low, high = record["interval"]
    return Estimate(record["how"], accuracy, (low, high), log_likelihood, confusion, np.array(record["unscored"], dtype=np.int64))


def _of(log_probabilities: np.ndarray, y: np.ndarray, way: int, scored: np.ndarray, how: str) -> Estimate:
    truth, answers = y[scored], log_probabilities[scored]
    confusion = (
        np.bincount(truth * way + answers.argmax(1), minlength=way * way).reshape(way, way) if len(truth) else np.zeros((way, way), int)
    )
    right = int(np.trace(confusion))
    (low, high), n = wilson(np.array([right]), np.array([len(truth)]))[0], max(len(truth), 1)
    return Estimate(
        how,
        right / n if len(truth) else float("nan"),
        (float(low), float(high)),
        float(answers[np.arange(len(truth)), truth].mean()) if len(truth) else float("nan"),
        confusion.astype(np.int64),
        np.bincount(y[~scored], minlength=way),
    )
