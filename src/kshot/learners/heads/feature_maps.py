"""Feature maps for learners that compare images position by position.

In: the output of a backbone. Out: maps (M, C, H, W) with the number of channels that the learner was built for, or an error that says what
to change; and the coordinates of the positions.
"""

import torch
from torch import Tensor

from kshot.learners.backbone_form import other_features, tensor_of


def maps_of(found: object, features: int, learner: str, items: int) -> Tensor:
    """Return the features of a backbone as maps.

    Args:
        found: Maps (M, C, H, W), or vectors (M, C), which are maps of 1×1.
        features: C for which the learner was built.
        learner: Name of the learner, for the error.
        items: M.

    Returns:
        (M, C, H, W).

    Raises:
        RecipeError: The features are neither maps nor vectors, or have another C.
    """
    tensor = tensor_of(found, learner, items, "maps (M, C, H, W) or vectors (M, C)", (2, 4))
    maps = tensor[:, :, None, None] if tensor.ndim == 2 else tensor
    if maps.shape[1] != features:
        wanted = f" and expects ({features}, H, W) or ({features},) per item"
        raise other_features(learner, features, tuple(tensor.shape[1:]), wanted)
    return maps


def places_of(H: int, W: int, like: Tensor) -> Tensor:
    """Return the centres of the cells of a map, row by row, from -1 to 1 in both directions: (H·W, 2) in at least float32."""
    dtype = torch.promote_types(like.dtype, torch.float32)
    y, x = ((2 * torch.arange(n, dtype=dtype, device=like.device) + 1) / n - 1 for n in (H, W))
    return torch.cartesian_prod(y, x)
