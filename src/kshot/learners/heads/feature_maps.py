"""Feature maps for learners that compare images position by position.

In: the output of a backbone. Out: maps (M, C, H, W) with the number of channels that the learner was built for, or an error that says what
to change; and the coordinates of the positions.
"""

import torch
from torch import Tensor

from kshot.errors import RecipeError


def maps_of(found: Tensor, features: int, learner: str) -> Tensor:
    """Return the features of a backbone as maps.

    Args:
        found: Maps (M, C, H, W), or vectors (M, C), which are maps of 1×1.
        features: C for which the learner was built.
        learner: Name of the learner, for the error.

    Returns:
        (M, C, H, W).

    Raises:
        RecipeError: The features are neither maps nor vectors, or have another C.
    """
    maps = found[:, :, None, None] if found.ndim == 2 else found
    if maps.ndim != 4 or maps.shape[1] != features:
        raise RecipeError(
            f"{learner} was built with features={features} and expects ({features}, H, W) or ({features},) per item; its backbone gives "
            f"{tuple(found.shape[1:])} per item. Set features to the number of channels that the backbone gives "
            "(learner.features in a recipe)."
        )
    return maps


def places_of(H: int, W: int, like: Tensor) -> Tensor:
    """Return the centres of the cells of a map, row by row, from -1 to 1 in both directions: (H·W, 2) in at least float32."""
    dtype = torch.promote_types(like.dtype, torch.float32)
    y, x = ((2 * torch.arange(n, dtype=dtype, device=like.device) + 1) / n - 1 for n in (H, W))
    return torch.cartesian_prod(y, x)
