"""2×2 max-pooling in three parts: find the place of each maximum, pick values at the places, spread values from the places.

Maps are (…, M, C, H, W). Places are as in PyTorch: (…, M, C, H // 2, W // 2) int64 or smaller integers, `row · W + column` of the first
maximum in its window. Picking and spreading are linear, and each is the transpose of the other, so every derivative of pooling consists of
these two. An empty tensor of places means no pooling: all three functions then return their input unchanged.
"""

import torch
import torch.nn.functional as F
from torch import Tensor


def pool_with_places(maps: Tensor, pool: bool) -> tuple[Tensor, Tensor]:
    """Return the maxima of 2×2 windows and their places. Without pooling, return `maps` unchanged and no places."""
    if not pool:
        return maps, maps.new_empty(0, dtype=torch.int64)
    top, places = F.max_pool2d(_images(maps), 2, return_indices=True)
    return _like(maps, top), _like(maps, places)


def places_dtype(maps: Tensor) -> torch.dtype:
    """Return the smallest integer dtype that can hold the places of maps of this height and width."""
    return torch.int16 if maps.shape[-2] * maps.shape[-1] <= 2**15 else torch.int32


def pick(maps: Tensor, places: Tensor) -> Tensor:
    """Return the values of `maps` (…, M, C, H, W) at the places, (…, M, C, H // 2, W // 2), with channels innermost in memory."""
    if places.numel() == 0:
        return maps
    C, h, w = places.shape[-3:]
    by_image = _images(places)
    numbers = _images(maps).permute(0, 2, 3, 1).reshape(-1)
    images, channels = torch.arange(len(by_image), device=maps.device), torch.arange(C, device=maps.device)
    first = (images * (maps.shape[-2] * maps.shape[-1] * C)).view(-1, 1, 1, 1) + channels  # (M, 1, 1, C)
    chosen = torch.add(first, by_image.permute(0, 2, 3, 1), alpha=C)  # (M, h, w, C), flat indices: several times as fast as a gather
    return _like(maps, numbers.index_select(0, chosen.reshape(-1)).view(-1, h, w, C).permute(0, 3, 1, 2))


def spread(values: Tensor, places: Tensor, like: Tensor) -> Tensor:
    """Return zeros in the shape and layout of `like` (…, M, C, H, W), with `values` at the places."""
    if places.numel() == 0:
        return values
    spread_out: Tensor = torch.ops.aten.max_pool2d_with_indices_backward(
        _images(values), _images(like), [2, 2], [2, 2], [0, 0], [1, 1], False, _images(places).long()
    )
    return _like(like, spread_out)


def _images(maps: Tensor) -> Tensor:
    """(…, M, C, H, W) → (…·M, C, H, W): for pooling, more tasks are just more images."""
    return maps.flatten(0, -4)


def _like(maps: Tensor, images: Tensor) -> Tensor:
    """(…·M, C, h, w) → (…, M, C, h, w), with the first dimensions of `maps`."""
    return images if maps.ndim == 4 else images.view(*maps.shape[:-3], *images.shape[1:])
