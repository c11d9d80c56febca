"""From rows with a quantity to a model: choose the regressor, and say how large its error will be.

    rows --columns--> vectors (n, D) --choose--> regressor --left out--> error in the target's units

In: `Examples` whose labels are numbers. Out: a `QuantityModel`. Next: `kshot.tasks.regression.model`, `kshot.tasks.regression.answers`.
"""

from dataclasses import dataclass

import numpy as np

from kshot.atomic import finite_or_none
from kshot.errors import DataError
from kshot.tasks.embedded import embedded
from kshot.tasks.examples import Examples
from kshot.tasks.numbers.columns import fit_columns
from kshot.tasks.numbers.number_encoder import NumberEncoder
from kshot.tasks.numbers.values import plain_value
from kshot.tasks.regression.choose import RegressorChoice, choose_regressor, regressor_named
from kshot.tasks.regression.estimate import ErrorEstimate, estimate_errors, means_left_out
from kshot.tasks.regression.model import QuantityModel
from kshot.tasks.regression.regressor import values
from kshot.tasks.row_keys import row_keys

FEWEST = 3
"""Rows that are needed: with two, nothing is left to learn a difference from when one is left out."""


@dataclass(frozen=True, eq=False)
class FittedQuantity:
    """A model of a quantity, and what was found on the way to it.

    Attributes:
        model: The model.
        examples: The rows that it was fitted to, in its order.
        left_out: The answer for each, left out, float64 (n,); NaN for rows that were not compared, of very many.
        notes: What the user should know, in sentences.
    """

    model: QuantityModel
    examples: Examples
    left_out: np.ndarray
    notes: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class ScoredQuantity:
    """The error of a model on rows that it has not seen.

    Attributes:
        estimate: The error.
        examples: The rows.
        targets: Their targets, float64 (M,).
        answers: The answers, float64 (M,).
        notes: What the user should know, in sentences.
    """

    estimate: ErrorEstimate
    examples: Examples
    targets: np.ndarray
    answers: np.ndarray
    notes: tuple[str, ...]


def fit_quantity(examples: Examples, *, regressor: str | None = None, strict: bool = False) -> FittedQuantity:
    """Fit a model of a quantity.

    Args:
        examples: Rows of numbers; their labels are numbers as text.
        regressor: `ridge` or `nearest`; None: the one whose left-out answers have the smaller squared error.
        strict: Whether a row that cannot be read stops the work, instead of being left out and named.

    Raises:
        DataError: There are fewer than 3 rows, they all have one target, or the columns cannot be used.
        RecipeError: There is no such regressor.
    """
    chosen = [] if regressor is None else [regressor_named(regressor)]
    target = str(examples.columns["label"])
    _check(targets_of(examples), target)
    columns = fit_columns(examples.things, examples.columns["things"])
    kept, vectors = embedded(examples, NumberEncoder(columns), None, strict=strict)
    y = targets_of(kept)
    _check(y, target)
    choice = choose_regressor(vectors, y, chosen)
    findings = {
        "regressor": str(choice),
        "choice": finite_or_none(choice.as_dict()),
        "estimate": finite_or_none(_estimate(choice, y).as_dict()),
    }
    left_out = np.full(len(y), np.nan)
    left_out[choice.sample] = choice.left_out
    model = QuantityModel(target, columns, choice.name, choice.fitted, vectors, y, tuple(kept.names), findings)
    return FittedQuantity(model, kept, left_out, (*kept.notes, *columns.findings))


def score_quantity(model: QuantityModel, examples: Examples, *, strict: bool = False) -> ScoredQuantity:
    """Measure the error of a model on rows that it has not seen. Arguments and errors are those of `fit_quantity`."""
    kept, vectors = embedded(examples, NumberEncoder(model.columns), None, strict=strict)
    y, answers = targets_of(kept), values(model.regressor, vectors)
    found = estimate_errors("labelled data", y, answers, np.full(len(y), model.targets.mean()))
    notes = kept.notes
    if again := int(np.isin(_keys(vectors, y), _keys(model.vectors, model.targets)).sum()):
        notes = (*notes, f"{again:,} of the {len(y):,} rows are examples of the model, which flatters the score.")
    return ScoredQuantity(found, kept, y, answers, notes)


def _estimate(choice: RegressorChoice, y: np.ndarray) -> ErrorEstimate:
    return estimate_errors("leave-one-out", y[choice.sample], choice.left_out, means_left_out(y)[choice.sample])


def _keys(vectors: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Return what tells rows with their targets apart, uint64 (n,)."""
    halves = np.ascontiguousarray(targets, dtype=np.float64).view(np.float32).reshape(len(targets), 2)
    return row_keys(np.concatenate([vectors, halves], axis=1))


def targets_of(examples: Examples) -> np.ndarray:
    """Return the labels of examples as numbers, float64 (n,).

    Raises:
        DataError: One is no finite number.
    """
    found = []
    for name, label in zip(examples.names, examples.labels, strict=True):
        value = plain_value(label, str(examples.columns["label"]))
        if not isinstance(value, float):
            raise DataError(f"row {name}: regression needs a number; found {label!r}. Repair the row or drop it.")
        found.append(value)
    return np.array(found, dtype=np.float64)


def _check(y: np.ndarray, target: str) -> None:
    if len(y) < FEWEST:
        rows = "1 row" if len(y) == 1 else f"{len(y)} rows"
        raise DataError(f"regression needs {FEWEST} rows or more, so that it can be tested; found {rows} with a number in {target!r}.")
    if (y == y[0]).all():
        raise DataError(f"{target!r} is {y[0]:g} in all {len(y):,} rows, so there is nothing to learn. Give rows in which it differs.")
