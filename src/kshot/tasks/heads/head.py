"""What a head is: how it is fitted, what it answers from, and how well it answers what it has not seen.

    vectors (n, D), labels  --Head.fit-->  FittedHead  --kshot.tasks.heads.answer-->  logits (M, N)

A fitted head is plain arrays, so a model on disk needs no pickle, and an answer needs neither PyTorch nor scikit-learn. A head also answers
each example as if it had not seen it (`Head.left_out`). Its settings, such as the strength of a ridge, and its temperature are those under
which these answers are most likely. In: vectors and labels. Next: `kshot.tasks.heads.choose`, `kshot.tasks.estimate`.

N is the number of classes, n the number of examples, D the number of features.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np

from kshot.short_repr import short_repr, shown
from kshot.tasks.heads.given import Given
from kshot.tasks.heads.in_context_network import forms

Form = Literal["affine", "kernel", "nearest", "in_context"]


@dataclass(frozen=True, eq=False)
class FittedHead:
    """A head that has seen its examples.

    Attributes:
        form: `affine`: the logits are f(x) W + b. `nearest`: the logit of a class is minus the squared distance of f(x) to the nearest
            example of the class. `kernel`: the logits are exp(-p ‖f(x) - e_i‖²) A, summed over the examples e_i, plus f(x) W + b.
            `in_context`: the network of `kshot.tasks.heads.in_context_network` gives the logits.
        feature_map: Name of f, from `kshot.tasks.heads.feature_map`.
        arrays: float32 arrays by name. `affine`: `weights` (D, N) and `bias` (N,). `nearest`: `examples` (n, D), already mapped, and
            `labels` int64 (n,), ascending. `kernel`: `weights`, `bias`, `examples`, `coefficients` A (n, N), and `precision` p (1,).
            `in_context`: those of `kshot.tasks.heads.in_context_network.forms`.
            A feature map that subtracts a centre has it as `centre` (D,).
        temperature: T > 0, by which logits are divided before they become probabilities.
        settings: What was chosen while fitting, for people to read, such as the strength of a ridge.
    """

    form: Form
    feature_map: str
    arrays: Mapping[str, np.ndarray]
    temperature: float
    settings: Mapping[str, float]

    def __repr__(self) -> str:
        """Return the form, the settings, and the shapes of the arrays."""
        arrays = [f"{name}{tuple(array.shape)}" for name, array in self.arrays.items()]
        chosen = [f"{name}={shown(value)}" for name, value in self.settings.items()]
        return short_repr("FittedHead", [self.form, self.feature_map, *chosen, f"temperature={shown(self.temperature)}", *arrays])


@dataclass(frozen=True, eq=False)
class LeftOut:
    """The answers of a head for its own examples, each answered without itself: all n of them, or the n of a sample (`Given.sample`).

    Attributes:
        log_probabilities: float64 (n, N). Of a row that is not scored, the values say nothing.
        scored: bool (n,). An example that is the only one of its class cannot be scored: without it, its class is unknown.
        how: How examples were left out, in words: one by one, one of every class at a time, or the folds.
        rows: The m scored examples on which the settings were compared, int64 (m,); all of them, unless there are very many classes.
        log_likelihoods: Log-probability of the right class under each of the S settings that the head chose from, float64 (m, S).
        right: Whether the right class was the most probable one under each setting, bool (m, S).
        kept: Which of the S settings is the one of `log_probabilities`.
    """

    log_probabilities: np.ndarray
    scored: np.ndarray
    how: str
    rows: np.ndarray
    log_likelihoods: np.ndarray
    right: np.ndarray
    kept: int

    def __repr__(self) -> str:
        """Return how many examples were scored, and how."""
        n, N = self.log_probabilities.shape
        return short_repr("LeftOut", [self.how, f"{int(self.scored.sum())} of {n} examples scored", f"{N} classes"])


def wanted_arrays(form: Form, examples: int, features: int, way: int) -> dict[str, tuple[str, tuple[int, ...]]]:
    """Return dtype and shape of the arrays that a fitted head of a form has, by name, without those of its feature map.

    Args:
        form: The form.
        examples: n, how many examples a head holds that is not `affine`.
        features: D.
        way: N.
    """
    affine = {"weights": ("float32", (features, way)), "bias": ("float32", (way,))}
    if form == "affine":
        return affine
    if form == "in_context":
        return forms(examples, features, way)
    held = {"examples": ("float32", (examples, features))}
    if form == "nearest":
        return held | {"labels": ("int64", (examples,))}
    return affine | held | {"coefficients": ("float32", (examples, way)), "precision": ("float32", (1,))}


class Head(Protocol):
    """A way to tell classes apart."""

    @property
    def name(self) -> str:
        """The name in `kshot.tasks.heads.table`."""
        ...

    @property
    def side_by_side(self) -> bool:
        """Whether it settles by array arithmetic alone, so that it may do so in a thread beside other heads."""
        ...

    def fit(self, x: np.ndarray, y: np.ndarray, way: int) -> FittedHead:
        """Learn the classes.

        Args:
            x: Finite vectors, float32 (n, D).
            y: Labels 0 … way - 1, int64 (n,). Every class occurs.
            way: N ≥ 2.

        Raises:
            DataError: The examples are no such arrays; the message says which.
        """
        ...

    def left_out(self, x: np.ndarray, y: np.ndarray, way: int) -> LeftOut:
        """Answer each example of `Given.sample` without itself. Arguments and errors are those of `fit`."""
        ...

    def settle(self, given: Given) -> "Settled":
        """Choose the settings once, for both: answer each example without itself, and be ready to fit."""
        ...


@dataclass(frozen=True, eq=False)
class Settled:
    """A head whose settings are chosen.

    Attributes:
        left_out: The left-out answers.
        fit: Fits the head to all examples.
        again: Other examples → log-probabilities of each without itself, (m, N), with the same settings and temperature; NaN in the row of
            one that cannot be scored. None: the head has no closed form, and would have to be fitted many times.
    """

    left_out: LeftOut
    fit: Callable[[], FittedHead]
    again: Callable[[Given], np.ndarray] | None = None


class Settling:
    """What every head does by settling."""

    @property
    def side_by_side(self) -> bool:
        """See `Head.side_by_side`."""
        return True

    def settle(self, given: Given) -> Settled:
        """Choose the settings. See `Head.settle`."""
        raise NotImplementedError

    def fit(self, x: np.ndarray, y: np.ndarray, way: int) -> FittedHead:
        """Choose the settings, and fit all examples. See `Head.fit`."""
        return self.settle(Given(x, y, way)).fit()

    def left_out(self, x: np.ndarray, y: np.ndarray, way: int) -> LeftOut:
        """Choose the settings, and answer each example without itself. See `Head.left_out`."""
        return self.settle(Given(x, y, way)).left_out
