"""How vectors become probabilities, in numbers that JSON holds: what an exported task answers with.

    z = map(x),   p(k | x) = softmax(score_k(z) / T)

    map          x, or the root of x at unit length; less a centre; at unit length
    affine       z W + b
    kernel       exp(-p ‖z - e_i‖²) A, summed over the examples e_i, plus z W + b
    nearest      minus the smallest squared distance to an example, or to the centre, of the class
    attention    log of exp(z · e_i), summed over the examples of the class

Every head of a fitted model but `in_context` is such a rule, and so is what a learner makes of a support set if it compares items with an
embedding. In: a `FittedHead`; or arrays. Next: `kshot.tasks.export.example`, which writes the rule as Python.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from kshot.errors import RecipeError
from kshot.short_repr import short_repr
from kshot.tasks.heads.feature_map import AS_THEY_ARE, CENTRED_ROOT, ROOT_UNIT
from kshot.tasks.heads.head import FittedHead

Form = Literal["affine", "kernel", "nearest", "attention"]


@dataclass(frozen=True, eq=False)
class Rule:
    """How a task answers.

    Attributes:
        form: As above.
        arrays: `centre` (D,) if the map subtracts one; `weights` (D, N) and `bias` (N,); `examples` (n, D), already mapped, and `labels`
            (n,), their classes; `coefficients` (n, N) and `precision` (1,). Which of them there are depends on the form.
        root: Whether the map takes the root first.
        unit: Whether the map ends at unit length.
        temperature: T > 0.
    """

    form: Form
    arrays: Mapping[str, np.ndarray]
    root: bool = False
    unit: bool = False
    temperature: float = 1.0

    def __repr__(self) -> str:
        """Return the form, the map, and the shapes of the arrays."""
        arrays = [f"{name}{tuple(array.shape)}" for name, array in self.arrays.items()]
        return short_repr("Rule", [self.form, f"root={self.root}", f"unit={self.unit}", f"temperature={self.temperature:.4g}", *arrays])

    def as_dict(self) -> dict[str, Any]:
        """Return the rule as plain JSON values. Each number has the digits of float32."""
        arrays = {name: _plain(array) for name, array in self.arrays.items()}
        return {"form": self.form, "root": self.root, "unit": self.unit, "arrays": arrays}


def rule_of_head(head: FittedHead) -> Rule:
    """Return the head of a fitted model as a rule.

    Raises:
        RecipeError: The head is a network of its own.
    """
    if head.form == "in_context":
        raise RecipeError(
            "the head in_context is a network of its own, which thirty lines of numpy do not hold, so a model with it cannot be exported. "
            "Fit the model again with another head: kshot fit EXAMPLES -o MODEL --with blend"
        )
    return Rule(
        head.form,
        head.arrays,
        root=head.feature_map in (ROOT_UNIT, CENTRED_ROOT),
        unit=head.feature_map != AS_THEY_ARE,
        temperature=head.temperature,
    )


def _plain(array: np.ndarray) -> Any:
    """Return an array as lists of the shortest numbers that are read back as the same float32."""
    if array.ndim > 1:
        return [_plain(row) for row in array]
    return [int(value) if array.dtype.kind == "i" else float(str(np.float32(value))) for value in array]
