"""Unequal costs, and how frequent the classes are where a model is used: a weight per class, by which its probability is multiplied.

    p'(k | x) ∝ p(k | x) · c_k · π_k / (n_k / n)

c_k are class weights as scikit-learn has them (`class_weight`): how much a mistake on a thing of class k costs, beside one on another. The
answer of the least expected cost is then the class of the largest p c (C. Elkan, "The foundations of cost-sensitive learning", IJCAI 2001).
`balanced` is n / (N n_k). π_k are the shares of the classes where the model is used, and n_k / n those among its examples (M. Saerens, P.
Latinne, C. Decaestecker, "Adjusting the outputs of a classifier to new a priori probabilities", Neural Computation 14, 2002, equation 4).

The head is chosen and fitted without them. Then its answers, and those of its examples left out, are weighted, so the estimate and the sets
are of the weighted answers. In: what the user gives. Out: logarithms of weights. Next: `kshot.tasks.heads.weighted`.

n is the number of examples, n_k that of class k, N the number of classes.
"""

import math
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypedDict

import numpy as np

from kshot.errors import DataError, RecipeError, known_ones
from kshot.printable import printable
from kshot.regular_file import read_text

BALANCED: Literal["balanced"] = "balanced"


class WeightsRecord(TypedDict):
    """What the record of a model holds of its class weights."""

    class_weight: str | dict[str, float] | None
    prior: dict[str, float] | None


@dataclass(frozen=True)
class ClassWeights:
    """Weights of classes, as they were asked for.

    Attributes:
        class_weight: `balanced`; or what a mistake on a class costs, by its name, 1 for one that is not named; None: all alike.
        prior: The share of each class where the model is used, by its name; they need not sum to 1. None: as among the examples.

    Raises:
        RecipeError: A weight or a share is not a finite number above 0.
    """

    class_weight: str | Mapping[str, float] | None = None
    prior: Mapping[str, float] | None = None

    def __post_init__(self) -> None:
        if isinstance(self.class_weight, str) and self.class_weight != BALANCED:
            raise RecipeError(f"class weights are 'balanced', or a number per class; found {self.class_weight!r}.")
        for what, values in (("weight", self.class_weight), ("share", self.prior)):
            if isinstance(values, Mapping):
                _check(what, values)

    @property
    def asked(self) -> bool:
        """Whether there are any."""
        return self.class_weight is not None or self.prior is not None

    def logarithms(self, classes: Sequence[str], counts: np.ndarray) -> np.ndarray:
        """Return the logarithm of each weight, float64 (N,).

        Args:
            classes: The names of the N classes.
            counts: How many examples each has, int64 (N,).

        Raises:
            DataError: A class is named that is none of them; the prior lacks one; or a class without examples is to be weighted by their
                number.
        """
        found = np.zeros(len(classes))
        if isinstance(self.class_weight, Mapping):
            _check_known("class weights", self.class_weight, classes)
            found += [math.log(self.class_weight.get(name, 1.0)) for name in classes]
        if (self.class_weight == BALANCED or self.prior is not None) and not counts.all():
            bare = classes[int(np.flatnonzero(counts == 0)[0])]
            raise DataError(f"class {bare!r} has no example, so its share among the examples is unknown. Give it one, or weights by name.")
        if self.class_weight == BALANCED:
            found += np.log(counts.sum() / (len(classes) * counts))
        if self.prior is not None:
            _check_known("the prior", self.prior, classes)
            if missing := [name for name in classes if name not in self.prior]:
                raise DataError(f"the prior names no share of the class {missing[0]!r}. Give every class one.")
            found += [math.log(self.prior[name] / sum(self.prior.values())) for name in classes] - np.log(counts / counts.sum())
        return found

    def without(self, name: str, new: str | None = None) -> "ClassWeights":
        """Return the same where a class is removed, or has a new name; of two classes that become one, the one of that name counts."""

        def renamed(values: Mapping[str, float]) -> dict[str, float]:
            left = {one: value for one, value in values.items() if one != name}
            return {new: values[name], **left} if new is not None and name in values else left

        weights = renamed(self.class_weight) if isinstance(self.class_weight, Mapping) else self.class_weight
        return ClassWeights(weights, None if self.prior is None else renamed(self.prior))

    def as_dict(self) -> WeightsRecord:
        """Return what a record holds."""
        weight = dict(self.class_weight) if isinstance(self.class_weight, Mapping) else self.class_weight
        return {"class_weight": weight, "prior": None if self.prior is None else dict(self.prior)}

    def __str__(self) -> str:
        """Say which weights there are."""
        told = []
        if self.class_weight is not None:
            told.append("balanced" if self.class_weight == BALANCED else f"class weights {_listed(dict(self.class_weight))}")  # type: ignore[arg-type]
        if self.prior is not None:
            told.append(f"prior {_listed(dict(self.prior))}")
        return "; ".join(told)


def read_weights(path: Path, what: str) -> dict[str, float]:
    """Read a TOML file with a number per class: `fox = 5`.

    Args:
        path: The file.
        what: What the numbers are, for the message: `weights` or `shares`.

    Raises:
        DataError: It cannot be read, is no TOML, or a class has something other than a number.
    """
    try:
        table = tomllib.loads(read_text(path))
    except OSError as error:
        raise DataError(f"cannot read {printable(path)}: {error.strerror or error}. Check the path.") from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"{printable(path)} is no TOML: {printable(error)}. Write one line per class: fox = 5") from error
    for name, value in table.items():
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise DataError(
                f"{printable(path)}: class {printable(name)!r} needs a number. If the name holds a point or a space, put it in quotes."
            )
    if not table:
        raise DataError(f"{printable(path)} holds no {what}. Write one line per class: fox = 5")
    return {name: float(value) for name, value in table.items()}


def _check(what: str, values: Mapping[str, float]) -> None:
    for name, value in values.items():
        if not (math.isfinite(value) and value > 0):
            why = " With 0, it would never be the answer: remove the class instead." if value == 0 else ""
            raise RecipeError(f"the {what} of class {name!r} must be a number above 0; found {value:g}.{why}")


def _check_known(what: str, values: Mapping[str, float], classes: Sequence[str]) -> None:
    if unknown := [name for name in values if name not in classes]:
        raise DataError(f"{what} name a class that there is not, {unknown[0]!r}.{known_ones(unknown[0], classes)}")


def _listed(values: dict[str, float]) -> str:
    shown = [f"{name} {value:g}" for name, value in list(values.items())[:5]]
    return ", ".join(shown) + (f" and {len(values) - 5} more" if len(values) > 5 else "")
