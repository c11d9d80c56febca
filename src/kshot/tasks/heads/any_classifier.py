"""Any classifier of scikit-learn's interface as a head, from Python: TabPFN, TabICL, a forest, a pipeline.

Such a head is other people's object. It answers only where its package is installed, and it is never written into a model: an object
would have to be pickled, and reading a pickle runs whatever is in it. In: an unfitted classifier. Out: a `FittedObject`.
"""

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from kshot.errors import RecipeError, missing_extra
from kshot.tasks.heads.folds import by_folds, fold_count
from kshot.tasks.heads.given import Given
from kshot.tasks.heads.head import LeftOut, Settled
from kshot.tasks.heads.search import not_alone

FOLDS = 5
_LEAST = 1e-6
"""The smallest probability of a class: a forest says 0 of what it has not seen."""


@dataclass(frozen=True, eq=False)
class FittedObject:
    """A fitted classifier that is no plain arrays.

    Attributes:
        classifier: The fitted object.
        way: N.
    """

    classifier: Any
    way: int

    def log_probabilities(self, x: np.ndarray) -> np.ndarray:
        """Return the logarithm of the probability of each class, (M, D) → float64 (M, N)."""
        found = np.full((len(x), self.way), _LEAST)
        found[:, np.asarray(self.classifier.classes_, dtype=np.int64)] += self.classifier.predict_proba(x)
        result: np.ndarray = np.log(found / found.sum(1, keepdims=True))
        return result


@dataclass(frozen=True, eq=False)
class AnyClassifier:
    """A head that is a classifier of scikit-learn's interface, with `fit`, `predict_proba` and `classes_`.

    Attributes:
        classifier: The classifier; it stays unfitted, copies of it are fitted.
        repeats: How often the folds are drawn.

    Raises:
        RecipeError: The object has no `predict_proba`.
    """

    classifier: Any
    repeats: int = 2

    def __post_init__(self) -> None:
        if not all(callable(getattr(self.classifier, name, None)) for name in ("fit", "predict_proba")):
            kind = type(self.classifier).__name__
            raise RecipeError(
                f"a head needs a classifier with fit and predict_proba; {kind} lacks one. Wrap it, such as in CalibratedClassifierCV."
            )

    @property
    def side_by_side(self) -> bool:
        """False: somebody else's code may change what threads share."""
        return False

    @property
    def name(self) -> str:
        """The name of its class."""
        return type(self.classifier).__name__

    def fit(self, x: np.ndarray, y: np.ndarray, way: int) -> FittedObject:
        """Fit a copy to all examples. Arguments and errors are those of `Head.fit`."""
        return self._fitted(Given(x, y, way))

    def _fitted(self, given: Given) -> FittedObject:
        given.full()
        return FittedObject(_copy(self.classifier).fit(given.x, given.y), given.way)

    def left_out(self, x: np.ndarray, y: np.ndarray, way: int) -> LeftOut:
        """Answer each example by copies that were fitted without its fold. See `Head.left_out`."""
        return self.settle(Given(x, y, way)).left_out

    def settle(self, given: Given) -> Settled:
        """Answer each example by copies that were fitted without its fold. See `Head.settle`; descriptions are dealt into the folds too."""
        x, y, way = given.full().sample_x, given.sample_y, given.way

        def answers(fit_on: np.ndarray, rows: np.ndarray) -> np.ndarray:
            fitted = FittedObject(_copy(self.classifier).fit(x[fit_on], y[fit_on]), way)
            return np.asarray(np.exp(fitted.log_probabilities(x[rows])))

        sums, times = np.zeros((len(y), way)), np.zeros(len(y))
        for rows, found in by_folds(y, way, FOLDS, self.repeats, answers):
            sums[rows] += found
            times[rows] += 1
        scored = not_alone(y, way)
        rows = np.flatnonzero(scored)
        log_probabilities = np.full((len(y), way), np.nan)
        log_probabilities[rows] = np.log(sums[rows] / times[rows][:, None])
        own = log_probabilities[rows, y[rows]][:, None]
        right = (log_probabilities[rows].argmax(1) == y[rows])[:, None] if len(rows) else np.empty((0, 1), dtype=bool)
        how = f"{fold_count(y, FOLDS)} stratified folds, drawn {self.repeats} times"
        left_out = LeftOut(log_probabilities, scored, how, rows, own, right, 0)
        fit: Any = partial(self._fitted, given)
        return Settled(left_out, fit)


def _copy(classifier: Any) -> Any:
    try:
        from sklearn.base import clone
    except ImportError:
        raise missing_extra("scikit-learn", "tables", "A classifier of scikit-learn's interface as a head") from None
    copied: Any = clone(classifier)
    return copied
