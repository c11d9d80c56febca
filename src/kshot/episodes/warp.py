"""Augmentations that move, turn, stretch and bend pictures a little. An item keeps its class.

A warp is a function of one 16-bit number, so it is drawn with the episode and repeated with it. It is computed in float64 and without a
product of matrices: processors differ in the last digit of those, and in float32 that digit changes how some pixels are rounded.
"""

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from kshot.data.inputs import Inputs
from kshot.episodes.counter_random import key_of, streams, unit, words
from kshot.errors import EpisodeError

_TURN, _STRETCH, _SHEAR, _MOVE = math.radians(12), 0.15, 0.2, 0.12
"""Limits, in radians, as a share of the size, as a tangent, and as a share of half the side."""
_BENDS, _BEND = 4, 0.06
"""Points per side of the grid on which bending is given, and its standard deviation as a share of half the side."""
_KEY = key_of({"augmentation": "warp"})


def draw_warps(word: np.ndarray, items: int) -> np.ndarray:
    """Draw one 16-bit number per item: words uint64 (1, M) → int16 (M, items)."""
    own = words(word[0], 0, items)  # (items, M): a stream that starts from the class's word
    drawn: np.ndarray = (own >> np.uint64(48)).astype(np.uint16).view(np.int16).T
    return np.ascontiguousarray(drawn)


def affine(images: Inputs, numbers: np.ndarray) -> Inputs:
    """Turn each image (M, C, H, W) by up to 12°, stretch it by up to 15 % each way, shear and move it, by its number (M,)."""
    return _warped(images, numbers, "affine", bend=0.0)


def elastic(images: Inputs, numbers: np.ndarray) -> Inputs:
    """Apply `affine`, and bend each image smoothly by a bicubic surface over 4×4 random points.

    The idea is from P. Y. Simard, D. Steinkraus, J. C. Platt, "Best practices for convolutional neural networks applied to visual
    document analysis", ICDAR 2003, section 2.
    """
    return _warped(images, numbers, "elastic", bend=_BEND)


def _warped(images: Inputs, numbers: np.ndarray, name: str, bend: float) -> Tensor:
    if not isinstance(images, Tensor) or images.ndim != 4:
        found = tuple(images.shape) if isinstance(images, Tensor) else "a mapping"
        raise EpisodeError(f"augment={name!r} warps images (M, C, H, W); found {found}. Use augment='none'.")
    M, _, H, W = images.shape
    seeds = streams(_KEY, numbers.astype(np.int64) & 0xFFFF)
    uniform = torch.from_numpy(unit(words(seeds, 0, 6 + 4 * _BENDS * _BENDS)))  # (words, M)
    limits = torch.tensor([_TURN, _STRETCH, _STRETCH, _SHEAR, _MOVE, _MOVE], dtype=torch.float64)
    turn, wide, high, shear, right, down = (2 * uniform[:6] - 1) * limits[:, None]
    cosine, sine = turn.cos(), turn.sin()
    rows = [cosine * (1 + wide), (shear - sine) * (1 + high), right, sine * (1 + wide), cosine * (1 + high), down]
    across, along, start = torch.stack(rows, 1).reshape(M, 1, 1, 2, 3).unbind(-1)  # each (M, 1, 1, 2)
    grid = across * _middles(W)[None, None, :, None] + along * _middles(H)[None, :, None, None] + start  # (M, H, W, 2)
    if bend:
        once, twice = uniform[6:].reshape(2, -1, M).clamp_min(1e-12)  # Box and Muller: two uniform numbers give a normal one
        normal = (-2 * once.log()).sqrt() * (2 * math.pi * twice).cos()  # (2 · 16, M)
        field = (bend * normal).T.reshape(M, 2, _BENDS, _BENDS)
        grid = grid + F.interpolate(field, size=(H, W), mode="bicubic", align_corners=True).permute(0, 2, 3, 1)
    # Beyond the border, a drawing goes on with paper (zeros); a photograph goes on with its border pixels.
    beyond = "zeros" if images.shape[1] == 1 else "border"
    warped = F.grid_sample(images.double(), grid, mode="bilinear", padding_mode=beyond, align_corners=False)
    return warped.round_().to(images.dtype) if images.dtype == torch.uint8 else warped.to(images.dtype)


def _middles(side: int) -> Tensor:
    """Where the middles of a side's pixels are, when the side goes from -1 to 1: (side,) float64."""
    return (2 * torch.arange(side, dtype=torch.float64) + 1) / side - 1
