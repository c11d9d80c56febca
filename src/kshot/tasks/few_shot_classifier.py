"""A few examples of each class in, labels out, as an estimator of scikit-learn.

    FewShotClassifier(encoder="all-MiniLM-L6-v2").fit(texts, labels).predict(more_texts)

It goes where scikit-learn's own classifiers go: pipelines, searches, cross-validation. Embedding and heads are those of
`kshot.tasks.fit`, and answers are computed as `kshot.tasks.answers` computes them. scikit-learn is imported with this module. In: arrays of
numbers, or things that an encoder reads. Out: labels and probabilities.

n is the number of examples, M the number of things asked about, N the number of classes, D the number of features.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from kshot.data.reading import unusable
from kshot.encoders.embed import embed
from kshot.encoders.encoder import Encoder
from kshot.encoders.vector_cache import VectorCache
from kshot.errors import DataError, RecipeError, missing_extra
from kshot.tasks.certainty.asked import FALSE_ALARMS, Asked, Verdicts
from kshot.tasks.certainty.certainty import Certainty, Judge, learn_certainty
from kshot.tasks.certainty.unknown import Surroundings
from kshot.tasks.class_weights import ClassWeights
from kshot.tasks.encoder_by_name import open_by_name
from kshot.tasks.heads.answer import log_probabilities
from kshot.tasks.heads.choose import choose
from kshot.tasks.heads.given import Given
from kshot.tasks.heads.head import FittedHead, Head
from kshot.tasks.heads.table import head_named
from kshot.tasks.heads.weighted import WEIGHABLE, weighted

try:
    from sklearn.base import BaseEstimator, ClassifierMixin
    from sklearn.utils.multiclass import check_classification_targets
    from sklearn.utils.validation import check_is_fitted, validate_data
except ImportError:
    if not TYPE_CHECKING:

        class BaseEstimator:
            """Stands for scikit-learn's class where scikit-learn is missing."""

            def __init_subclass__(cls, **arguments: Any) -> None:
                def refuse(self: object, *arguments: Any, **named: Any) -> None:
                    raise missing_extra("scikit-learn 1.6 or newer", "tables", "FewShotClassifier")

                cls.__init__ = refuse

        class ClassifierMixin:
            """Stands for scikit-learn's class where scikit-learn is missing."""


class FewShotClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """A classifier that learns from a few examples per class, on the features of a frozen encoder.

    Args:
        encoder: What turns things into vectors: a name as `kshot fit --encoder` takes it, or an `Encoder`. None: x is an array of numbers,
            (n, D), and is taken as it is.
        head: What tells the classes apart: a name of `kshot.tasks.heads.table`, or a `Head`. None: the one under which the examples, each
            answered without itself, are most likely.
        class_weight: What a mistake on a class costs, by class, 1 for one that is not named; or `balanced`, the inverse of its number
            of examples. None: all alike.
        prior: The share of each class where the classifier is used, by class. None: as among the examples.
        device: Where the encoder computes, `cpu` or `cuda`.
        cache: Whether vectors are kept in the user's cache folder, so that things seen before are not embedded again.

    Attributes:
        classes_: The N classes, sorted.
        head_: The fitted head, plain arrays; None as long as only one class has examples.
        head_name_: Its name.
        vectors_: The vectors of all examples seen, float32 (n, D).
        labels_: The place of each example's class in `classes_`, int64 (n,).
        certainty_: What the left-out examples tell of how sure answers are; None as long as only one class has examples.
        n_features_in_: D, without an encoder.

    Example:
        >>> from kshot.tasks.few_shot_classifier import FewShotClassifier
        >>> x = [[0.0, 0.0], [0.0, 1.0], [5.0, 5.0], [5.0, 6.0]]
        >>> FewShotClassifier(head="class_means").fit(x, ["low", "low", "high", "high"]).predict([[1.0, 1.0]]).tolist()
        ['low']
    """

    def __init__(
        self,
        encoder: str | Encoder | None = None,
        *,
        head: str | Head | None = None,
        class_weight: str | Mapping[Any, float] | None = None,
        prior: Mapping[Any, float] | None = None,
        device: str = "cpu",
        cache: bool = True,
    ) -> None:
        self.encoder = encoder
        self.head = head
        self.class_weight = class_weight
        self.prior = prior
        self.device = device
        self.cache = cache

    def fit(self, X: Any, y: Any) -> Self:
        """Learn classes from examples; what was learned before is forgotten.

        Args:
            X: Numbers (n, D); with an encoder, a sequence of n things that it reads.
            y: The label of each, (n,).

        Raises:
            DataError: There are fewer than two classes, or examples cannot be read.
            RecipeError: There is no such encoder or head.
        """
        for name in ("classes_", "vectors_", "labels_"):
            self.__dict__.pop(name, None)
        x, labels = self._examples(X, y, first=True)
        classes = np.unique(labels)
        if len(classes) < 2:
            raise DataError(
                f"telling classes apart needs at least 2 of them; found 1 class, {str(classes[0])!r}. Give examples of another class."
            )
        return self._learned(x, labels, classes)

    def partial_fit(self, X: Any, y: Any, classes: Any = None) -> Self:
        """Learn further examples, of known classes or of new ones, beside those that are known.

        Args:
            X: As for `fit`.
            y: As for `fit`.
            classes: All classes that will ever come, if they are known. A class without examples has the probability 0.

        Raises:
            DataError: Examples cannot be read.
            RecipeError: There is no such encoder or head.
        """
        first = not hasattr(self, "classes_")
        x, labels = self._examples(X, y, first=first)
        known = [] if first else [self.classes_]
        given = [] if classes is None else [np.asarray(classes)]
        every = np.unique(np.concatenate([*known, *given, labels]))
        if not first:
            x, labels = np.concatenate([self.vectors_, x]), np.concatenate([self.classes_[self.labels_], labels])
        return self._learned(x, labels, every)

    def add_class(self, name: Any, X: Any) -> Self:
        """Learn a further class from its examples. Arguments and errors are those of `partial_fit`."""
        check_is_fitted(self)
        return self.partial_fit(X, np.array([name] * _length(X)))

    def predict(self, X: Any) -> np.ndarray:
        """Return the most probable class of each of M things, (M,)."""
        best = self._log_probabilities(X).argmax(1)
        found: np.ndarray = self.classes_[best]
        return found

    def predict_proba(self, X: Any) -> np.ndarray:
        """Return the probability of each class, in the order of `classes_`, (M, N)."""
        probabilities: np.ndarray = np.exp(self._log_probabilities(X))
        return probabilities

    def predict_log_proba(self, X: Any) -> np.ndarray:
        """Return the logarithms of `predict_proba`, (M, N); -∞ for a class without examples."""
        return self._log_probabilities(X)

    def predict_set(self, X: Any, coverage: float = 0.9) -> np.ndarray:
        """Return which classes are in the set of each thing, in the order of `classes_`, bool (M, N); at least one.

        Args:
            X: As for `predict`.
            coverage: Share of things whose set is to hold the right class, above 0 and below 1.

        Raises:
            DataError: Things cannot be read.
            RecipeError: The examples cannot promise this coverage; the message says what they can.
        """
        found = self._judged(X, Asked(coverage=coverage))
        assert found.sets is not None
        sets = np.zeros((len(found.unknown), len(self.classes_)), dtype=bool)
        sets[:, np.unique(self.labels_)] = found.sets
        return sets

    def predict_unknown(self, X: Any, rate: float = FALSE_ALARMS) -> np.ndarray:
        """Return which things are probably of no known class, bool (M,).

        Args:
            X: As for `predict`.
            rate: Share of things of known classes that may be called unknown, above 0 and below 1.

        Raises:
            DataError: Things cannot be read.
            RecipeError: The examples cannot tell this rate; the message says what they can.
        """
        return self._judged(X, Asked(unknown=rate)).unknown

    def _judged(self, X: Any, asked: Asked) -> Verdicts:
        check_is_fitted(self)
        if self.head_ is None:
            raise RecipeError("only one class has examples, and a model of one class cannot say how sure it is. Give another class.")
        present, y = np.unique(self.labels_, return_inverse=True)
        judge = Judge(self.certainty_, Surroundings(self.vectors_, y.astype(np.int64), len(present)), asked)
        x = self._vectors(X, first=False)
        return judge(log_probabilities(self.head_, x), x)

    def _log_probabilities(self, X: Any) -> np.ndarray:
        check_is_fitted(self)
        x = self._vectors(X, first=False)
        found = np.full((len(x), len(self.classes_)), -np.inf)
        present = np.unique(self.labels_)
        found[:, present] = 0.0 if self.head_ is None else log_probabilities(self.head_, x)
        return found

    def _learned(self, x: np.ndarray, labels: np.ndarray, classes: np.ndarray) -> Self:
        places = np.searchsorted(classes, labels).astype(np.int64)
        present, y = np.unique(places, return_inverse=True)
        head = head_named(self.head) if isinstance(self.head, str) else self.head
        if head is not None and not callable(getattr(head, "left_out", None)):
            raise RecipeError(
                f"head must be the name of a head, or a Head; found {type(head).__name__}. Wrap a classifier in AnyClassifier."
            )
        fitted: FittedHead | None = None
        certainty: Certainty | None = None
        name = ""
        if len(present) > 1:
            absent = {str(name) for name in np.delete(classes, present)}
            weights = ClassWeights(_by_name(self.class_weight, absent), _by_name(self.prior, absent))
            heads = [head] if head is not None else WEIGHABLE if weights.asked else ()
            choice = choose(x, y.astype(np.int64), len(present), heads)
            if weights.asked:
                choice = weighted(choice, weights.logarithms([str(name) for name in classes[present]], np.bincount(y)))
            fitted, name = choice.fitted, choice.name
            certainty = learn_certainty(choice, Given(x, y.astype(np.int64), len(present)))
        self.classes_, self.vectors_, self.labels_ = classes, x, places
        self.head_, self.head_name_, self.certainty_ = fitted, name, certainty
        return self

    def _examples(self, X: Any, y: Any, *, first: bool) -> tuple[np.ndarray, np.ndarray]:
        if self.encoder is None:
            x, labels = validate_data(self, X, y, reset=first, dtype=np.float32)
        else:
            x, labels = self._vectors(X, first=first), np.asarray(y)
            if labels.shape != (len(x),):
                raise DataError(f"labels must be one per example, ({len(x)},); found {labels.shape}.")
        check_classification_targets(labels)
        return x, labels

    def _vectors(self, X: Any, *, first: bool) -> np.ndarray:
        """Return vectors, float32 (M, D)."""
        if self.encoder is None:
            checked: np.ndarray = validate_data(self, X, reset=first, dtype=np.float32)
            return checked
        if isinstance(X, str) or not isinstance(X, Iterable):
            raise DataError(f"X must be a sequence of things to read; found {type(X).__name__}. Put a single one into a list.")
        encoder = self._opened()
        things = list(X)
        found = list(embed(encoder, things, cache=VectorCache() if self.cache else None))
        if faults := [f"item {number}: {one}" for number, one in enumerate(found) if isinstance(one, DataError)]:
            raise unusable(faults, len(found), encoder.reads)
        if not found:
            raise DataError("there is nothing to read: found 0 things, and at least 1 is needed.")
        return np.stack([one for one in found if not isinstance(one, DataError)])

    def _opened(self) -> Encoder:
        if not isinstance(self.encoder, str):
            if self.encoder is None or not callable(getattr(self.encoder, "encode", None)):
                raise RecipeError(f"encoder must be the name of an encoder, or an Encoder; found {type(self.encoder).__name__}.")
            return self.encoder
        opened: tuple[str, str, Encoder] | None = getattr(self, "_opened_encoder", None)
        if opened is None or opened[:2] != (self.encoder, self.device):
            opened = self._opened_encoder = (self.encoder, self.device, open_by_name(self.encoder, device=self.device))
        return opened[2]

    def __getstate__(self) -> dict[str, Any]:
        """Leave the open encoder out of a copy: it is opened again where it is needed."""
        state = dict(super().__getstate__())
        state.pop("_opened_encoder", None)
        return state


def _by_name(values: str | Mapping[Any, float] | None, absent: set[str]) -> Any:
    """Return weights by the names of the classes, without those of classes that have no example yet."""
    if not isinstance(values, Mapping):
        return values
    return {str(name): float(value) for name, value in values.items() if str(name) not in absent}


def _length(X: Any) -> int:
    if isinstance(X, str) or not (isinstance(X, Sequence) or hasattr(X, "__len__")):
        raise DataError(f"X must be a sequence of examples; found {type(X).__name__}. Put a single one into a list.")
    return len(X)
