"""Feature maps for learners that compare images place by place.

In: what a backbone gives. Out: maps (M, C, H, W) of the size that the learner was built for, or an error that says what to change; and
where their places are.
"""

import torch
from torch import Tensor

from kshot.errors import RecipeError


def maps_of(found: Tensor, features: int, learner: str) -> Tensor:
    """A backbone's features as maps.

    Args:
        found: Maps (M, C, H, W), or vectors (M, C), which are maps of 1×1.
        features: C as the learner was built for.
        learner: Its name, for the error.

    Returns:
        (M, C, H, W).

    Raises:
        RecipeError: The features are neither, or have another C.
    """
    maps = found[:, :, None, None] if found.ndim == 2 else found
    if maps.ndim != 4 or maps.shape[1] != features:
        raise RecipeError(
            f"{learner} was built with features={features}; its backbone gives an item {tuple(found.shape[1:])}, where "
            f"({features}, H, W) or ({features},) was expected. "
            "Give features the number of channels that the backbone gives (learner.features in a recipe)."
        )
    return maps


def places_of(H: int, W: int, like: Tensor) -> Tensor:
    """The middles of the cells of a map, row by row, from -1 to 1 in both directions: (H·W, 2), in at least float32."""
    dtype = torch.promote_types(like.dtype, torch.float32)
    y, x = ((2 * torch.arange(n, dtype=dtype, device=like.device) + 1) / n - 1 for n in (H, W))
    return torch.cartesian_prod(y, x)
