"""What to label next: of things without labels, those whose labels would help a model most. numpy alone.

    vectors (M, D) --what the model cannot tell, and what is far from its examples--> places, what helps most first

A thing counts by how undecided the model is about it, w = 1 - (p₁ - p₂), with the probabilities of its two most probable classes. What is
suggested covers what counts: it lies where many undecided things lie, far from the examples, and far from each other
(`kshot.tasks.labels.coverage`). So a batch is not many times the same question. Distances are those that the head of the model sees.

`scripts/measure_suggest.py` holds it against random choice and against others: the smallest margin alone, k-means++, k-means and typical
things (Hacohen, Dekel and Weinshall, "Active learning on a budget: opposite strategies suit high and low budgets", ICML 2022), and coverage
without the margin. In: a `Model`, and vectors. Out: a `Ranking`. Next: `kshot.tasks.labels.suggest_queries`.
"""

from dataclasses import dataclass

import numpy as np

from kshot.errors import DataError, RecipeError
from kshot.tasks.heads.answer import log_probabilities
from kshot.tasks.heads.feature_map import apply_map
from kshot.tasks.labels.coverage import cover
from kshot.tasks.model import Model
from kshot.tasks.row_keys import row_keys

MOST = 3_000
"""Things that are compared with each other: 36 MB. Of more, a sample."""
MOST_ASKED = 1_000
"""Things that can be suggested at once."""
_LEAST_WEIGHT = 1e-6
"""Where the model is sure of everything, things count alike."""


@dataclass(frozen=True)
class Suggestion:
    """A thing to label.

    Attributes:
        place: Its place among the vectors.
        gain: The share of what the model cannot tell yet that its label would cover, 0 … 1, beside the suggestions before it.
        label: What the model takes it for.
        probability: The probability of that class.
    """

    place: int
    gain: float
    label: str
    probability: float


@dataclass(frozen=True)
class Ranking:
    """What to label next.

    Attributes:
        suggestions: What helps most first.
        known: How many of the things are examples of the model already. They are never suggested.
        distinct: How many different things are left, of those that were compared.
        compared: How many things were compared, at most `MOST`.
        total: How many things there were, without the known ones.
    """

    suggestions: tuple[Suggestion, ...]
    known: int
    distinct: int
    compared: int
    total: int

    @property
    def gain(self) -> float:
        """The share of what the model cannot tell yet that all suggestions cover together, 0 … 1."""
        return min(sum(one.gain for one in self.suggestions), 1.0)


def suggest(model: Model, vectors: np.ndarray, count: int = 10) -> Ranking:
    """Rank things by how much their labels would help a model.

    Args:
        model: The model.
        vectors: The things without labels, as the model's encoder gives them, float32 (M, D). Those that are examples of the model are
            left out; of equal ones, one is suggested. Of more than `MOST`, a sample drawn with a fixed seed is compared.
        count: How many to suggest, 1 … `MOST_ASKED`.

    Returns:
        The ranking. It has fewer than `count` suggestions where there are fewer different things.

    Raises:
        DataError: There are no such vectors, a number is not finite, or all of them are examples of the model.
        RecipeError: `count` is out of range.
    """
    check_count(count)
    x = np.asarray(vectors, dtype=np.float32)
    if x.ndim != 2 or x.shape[1] != model.encoder.features:
        raise DataError(f"this model reads vectors (M, {model.encoder.features}); found shape {x.shape}. Encode with its encoder.")
    if not np.isfinite(x).all():
        row = int(np.flatnonzero(~np.isfinite(x).all(1))[0])
        raise DataError(f"every number must be finite; found NaN or infinity in vector {row}. Repair or drop it.")
    new = np.flatnonzero(~are_examples(model, x))
    known, total = len(x) - len(new), len(new)
    if not total:
        raise nothing_new(known)
    if total > MOST:
        new = np.sort(np.random.default_rng(0).choice(new, MOST, replace=False))
    _, first, copies = np.unique(row_keys(x[new]), return_index=True, return_counts=True)
    order = np.argsort(first)
    places, copies = new[first[order]], copies[order]
    answers = np.exp(log_probabilities(model.head, x[places]))  # (m, N)
    weights = copies * np.maximum(undecided(answers), _LEAST_WEIGHT)
    fitted = model.head
    mapped, seen = (apply_map(fitted.feature_map, fitted.arrays, one) for one in (x[places], model.vectors))
    suggestions = tuple(
        Suggestion(int(places[one.place]), one.gain, model.classes[int(answers[one.place].argmax())], float(answers[one.place].max()))
        for one in cover(mapped, seen, weights, count)
    )
    return Ranking(suggestions, known, len(places), len(new), total)


def undecided(probabilities: np.ndarray) -> np.ndarray:
    """Return how undecided answers are, 1 - (p₁ - p₂), 0 … 1: (M, N) → (M,)."""
    first_two = np.partition(probabilities, -2, axis=1)[:, -2:]
    found: np.ndarray = 1 - (first_two[:, 1] - first_two[:, 0])
    return found


def are_examples(model: Model, vectors: np.ndarray) -> np.ndarray:
    """Say which vectors equal that of an example of a model, bool (M,)."""
    return np.isin(row_keys(vectors), row_keys(model.vectors))


def check_count(count: int) -> None:
    """Raise a RecipeError unless so many things can be suggested."""
    if not 1 <= count <= MOST_ASKED:
        raise RecipeError(
            f"--count must be from 1 to {MOST_ASKED:,}; found {count:,}. Label some of them first: with each label, the model knows better "
            "what to ask."
        )


def nothing_new(known: int) -> DataError:
    """Return the error that there is nothing to suggest."""
    if not known:
        return DataError("there is nothing to suggest: found no things. Give things without labels.")
    are = "the only thing is an example" if known == 1 else f"all {known:,} things are examples"
    return DataError(f"there is nothing to suggest: {are} of the model already. Give things without labels.")
