"""Heads and left-out answers whose classes have weights: p'(k | x) ∝ p(k | x) w_k.

In: a head, and the logarithms of weights from `kshot.tasks.class_weights`. Out: a head of the same form. The weights are in its
intercepts, so whoever answers with it need not know of them. Next: `kshot.tasks.fit`.
"""

from dataclasses import replace

import numpy as np

from kshot.errors import RecipeError
from kshot.tasks.heads.answer import log_softmax
from kshot.tasks.heads.choose import DEFAULT_HEADS, Choice
from kshot.tasks.heads.head import FittedHead, Head

WEIGHABLE: tuple[Head, ...] = tuple(head for head in DEFAULT_HEADS if head.name != "nearest")
"""The heads that are tried where classes have weights: those with intercepts."""


def weighted(choice: Choice, logarithms: np.ndarray) -> Choice:
    """Return a choice whose head, and whose left-out answers, are weighted.

    Raises:
        RecipeError: The head has no place for weights.
    """
    left_out = choice.left_out
    answers = left_out.log_probabilities.copy()
    answers[left_out.scored] = log_softmax(answers[left_out.scored] + logarithms)
    unweighted = choice.again
    again = None if unweighted is None else lambda other: log_softmax(unweighted(other) + logarithms)
    head = weighted_head(choice.fitted, logarithms)
    return replace(choice, fitted=head, left_out=replace(left_out, log_probabilities=answers), again=again)


def weighted_head(fitted: FittedHead, logarithms: np.ndarray) -> FittedHead:
    """Return a head whose probabilities are multiplied by weights and brought back to sum 1. See `weighted`."""
    if "bias" not in fitted.arrays:
        raise RecipeError(f"a head of the form {fitted.form!r} has no place for class weights. Choose another with --with.")
    bias = fitted.arrays["bias"] + fitted.temperature * logarithms
    return replace(fitted, arrays={**fitted.arrays, "bias": bias.astype(np.float32)})
