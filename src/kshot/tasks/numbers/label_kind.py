"""What a label column means: classes, or a quantity. What cannot be known is asked, not guessed.

In: the labels, and what the user said. Out: `classes` or `regression`, with the sentence that says why.
"""

from collections.abc import Sequence
from typing import Literal, NamedTuple

from kshot.errors import DataError
from kshot.tasks.numbers.values import plain_value
from kshot.value_types import shortened

FEW = 20
"""Whole numbers of at most so many different values are classes."""


class LabelKind(NamedTuple):
    """What the labels are.

    Attributes:
        kind: `classes` or `regression`.
        finding: What is said about it; empty if there is nothing to say.
    """

    kind: Literal["classes", "regression"]
    finding: str


def find_label_kind(
    labels: Sequence[object], column: str, asked: Literal["classes", "regression"] | None = None, names: Sequence[str] = ()
) -> LabelKind:
    """Say what the labels of a column are.

    Args:
        labels: Labels as a file gives them.
        column: Name of the column.
        asked: What the user said with `--classes` or `--regression`; None: nothing.
        names: The numbers of the labels' rows; if there are none, they are counted from 1.

    Raises:
        DataError: The labels are many different numbers, and the user did not say what they are; or regression is asked for and a label
            is no finite number.
    """
    if asked == "classes":
        return LabelKind("classes", "")
    if asked == "regression":
        for number, label in enumerate(labels):
            _check_quantity(label, column, names[number] if names else str(number + 1))
        return LabelKind("regression", f"{column!r} is a quantity.")
    values = [plain_value(label, column) if not isinstance(label, str) else _quiet(label, column) for label in labels]
    numbers = [value for value in values if isinstance(value, float)]
    different = len(set(numbers))
    if len(numbers) < len(values) or not numbers:
        return LabelKind("classes", "")
    if different <= FEW and 2 * different <= len(numbers) and all(value.is_integer() for value in numbers):
        told = f"{column!r} holds {different} different whole numbers, taken as classes; --regression makes them a quantity."
        return LabelKind("classes", told)
    if different <= 2:
        return LabelKind("classes", "")
    raise DataError(
        f"the label column {column!r} holds {different:,} different numbers in {len(numbers):,} rows. If each number names a "
        "class, add --classes. If it is a quantity, which kshot predicts from tables of numbers, add --regression."
    )


def _check_quantity(label: object, column: str, name: str) -> None:
    try:
        value = plain_value(label, column)
    except DataError as error:
        raise DataError(f"row {name}, {error}") from None
    if not isinstance(value, float):
        raise DataError(
            f"row {name}, column {column!r}: regression needs a number; found {shortened(label)}. Repair the row or drop it; or learn "
            "classes with --classes."
        )


def _quiet(label: str, column: str) -> float | str | None:
    """Return a label as a number where it is one; a date is a name like any other."""
    try:
        return plain_value(label, column)
    except DataError:
        return label
