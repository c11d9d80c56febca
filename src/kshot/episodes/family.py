"""Task families: the loss that trains a kind of task, and the score that judges it.

A `TaskFamily` is given to a learner's constructor and saved by name. Learners never name a loss themselves.
"""

from dataclasses import dataclass
from typing import ClassVar, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from kshot.errors import DataError, RecipeError, known_ones


class TaskFamily(Protocol):
    """Loss and score of a batch of tasks.

    Attributes:
        name: Name under which it is saved.
        score_name: Name of the score in tables.
        higher_is_better: Whether the higher of two scores is the better one.
    """

    name: ClassVar[str]
    score_name: ClassVar[str]
    higher_is_better: ClassVar[bool]

    def loss(self, outputs: Tensor, y: Tensor) -> Tensor:
        """Return the mean loss over each task's queries, (B,)."""
        ...

    def score(self, outputs: Tensor, y: Tensor) -> Tensor:
        """Return the score of each task, float64 (B,)."""
        ...


_NO_LABEL = torch.iinfo(torch.int64).min
"""The label that PyTorch leaves out of the mean. PyTorch's default is -100, which a user may give by mistake."""


@dataclass(frozen=True)
class Classification:
    """N-way tasks: the loss is the cross-entropy of logits (B, Q, N) against labels (B, Q); the score is accuracy as a fraction."""

    name: ClassVar[str] = "classification"
    score_name: ClassVar[str] = "accuracy"
    higher_is_better: ClassVar[bool] = True

    def loss(self, outputs: Tensor, y: Tensor) -> Tensor:
        """Return the cross-entropy in nats, the mean over each task's queries, (B,)."""
        B, Q, N = outputs.shape
        losses = F.cross_entropy(outputs.reshape(B * Q, N), y.reshape(B * Q), reduction="none", ignore_index=_NO_LABEL)
        return losses.reshape(B, Q).mean(1)

    def score(self, outputs: Tensor, y: Tensor) -> Tensor:
        """Return the fraction of queries whose largest logit is the right one, float64 (B,)."""
        return self.right(outputs, y).double().mean(1)

    def right(self, outputs: Tensor, y: Tensor) -> Tensor:
        """Return whether the largest logit of each query is the right one, bool (B, Q).

        NaN never wins: a class without support items is not chosen, and a query whose logits are all NaN is wrong.
        """
        numbers = outputs.nan_to_num(nan=-torch.inf, posinf=torch.inf, neginf=-torch.inf)
        return (numbers.argmax(-1) == y) & ~outputs.isnan().all(-1)


@dataclass(frozen=True)
class Regression:
    """Tasks with real targets: values (B, Q, T) against targets (B, Q, T); mean squared error is both loss and score."""

    name: ClassVar[str] = "regression"
    score_name: ClassVar[str] = "mean squared error"
    higher_is_better: ClassVar[bool] = False

    def loss(self, outputs: Tensor, y: Tensor) -> Tensor:
        """Return the mean squared error over each task's queries and target dimensions, (B,).

        Raises:
            DataError: Values and targets differ in shape.
        """
        _require_form(outputs, y)
        return (outputs - y).square().flatten(1).mean(1)

    def score(self, outputs: Tensor, y: Tensor) -> Tensor:
        """Return the mean squared error of each task, float64 (B,)."""
        _require_form(outputs, y)
        return (outputs.double() - y.double()).square().flatten(1).mean(1)


def _require_form(outputs: Tensor, y: Tensor) -> None:
    if outputs.shape != y.shape:  # PyTorch would broadcast them and give a wrong number
        raise DataError(
            f"values and real targets must have the same shape, (B, Q, T); found values {tuple(outputs.shape)} and targets "
            f"{tuple(y.shape)}. Give one target per output; one number per item is (B, Q, 1)."
        )


FAMILIES: dict[str, TaskFamily] = {"classification": Classification(), "regression": Regression()}


def family_named(name: str) -> TaskFamily:
    """Return the task family of that name.

    Raises:
        RecipeError: The name is unknown.
    """
    if name not in FAMILIES:
        raise RecipeError(f"there is no task family {name!r}.{known_ones(name, FAMILIES)}")
    return FAMILIES[name]
