"""Class logits from item scores, for learners that score pairs of a query and a support item.

In: scores (B, Q, S) and one-hot labels. Out: logits (B, Q, N).
"""

import torch
from torch import Tensor

from kshot.errors import RecipeError
from kshot.learners.heads.item_scores import class_log_sums, class_maxima

OVER_ITEMS = ("log-mean-exp", "max")


def over_items(scores: Tensor, labels: Tensor, how: str) -> Tensor:
    """Compute the logit of each class from the scores of its items.

    Args:
        scores: r, (B, Q, S).
        labels: One-hot rows (B, S, N); classes need not be balanced.
        how: `log-mean-exp`, with which a class has no advantage from many items; or `max`.

    Returns:
        (B, Q, N) in at least float32; -∞ for a class without items.
    """
    scores = scores.to(torch.promote_types(scores.dtype, torch.float32))
    if how == "max":
        return class_maxima(scores, labels)
    return class_log_sums(scores, labels) - labels.sum(1).clamp(min=1).log().unsqueeze(1)


def check_over_items(how: str, learner: str) -> str:
    """Return `how` unchanged if `over_items` knows it.

    Raises:
        RecipeError: `over_items` does not know it.
    """
    if how not in OVER_ITEMS:
        raise RecipeError(f"over_items of {learner} must be one of {', '.join(OVER_ITEMS)}; found {how!r}.")
    return how
