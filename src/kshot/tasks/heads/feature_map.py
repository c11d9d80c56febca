"""Feature maps: what happens to a vector before a head sees it. numpy alone.

    as they are      f(x) = x - m
    unit length      f(x) = x / ‖x‖
    centred unit     f(x) = (x - m) / ‖x - m‖
    root unit        f(x) = √x / ‖√x‖, for features that are not negative, such as those after a ReLU

m is the mean of the examples, which no label enters. It changes no distance and is subtracted in `as they are` for the sake of digits: a
difference of two large numbers has few. A vector of length 0 stays 0. In: vectors (M, D). Out: float32 (M, D).
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from kshot.errors import RecipeError, known_ones

AS_THEY_ARE, UNIT, CENTRED_UNIT, ROOT_UNIT = "as they are", "unit length", "centred unit", "root unit"
FEATURE_MAPS = (AS_THEY_ARE, UNIT, CENTRED_UNIT, ROOT_UNIT)
_CENTRED = (AS_THEY_ARE, CENTRED_UNIT)


class FeatureMap(NamedTuple):
    """A feature map that has seen the examples.

    Attributes:
        name: One of `FEATURE_MAPS`.
        arrays: `centre`, float32 (D,), for the maps that subtract it.
    """

    name: str
    arrays: Mapping[str, np.ndarray]

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """Map vectors: (M, D) → float32 (M, D)."""
        return apply_map(self.name, self.arrays, x)


def fit_map(name: str, x: np.ndarray) -> FeatureMap:
    """Fit a feature map to examples (n, D).

    Raises:
        RecipeError: There is no such map, or the examples do not fit it.
    """
    if name not in FEATURE_MAPS:
        raise RecipeError(f"there is no feature map {name!r}.{known_ones(name, FEATURE_MAPS)}")
    if name not in fitting_maps(x):
        raise RecipeError(f"the feature map {name!r} takes features that are not negative; found {x.min():.3g}. Choose another.")
    return FeatureMap(name, {"centre": x.mean(0, dtype=np.float64).astype(np.float32)} if name in _CENTRED else {})


def fitting_maps(x: np.ndarray) -> tuple[str, ...]:
    """Name the feature maps that examples (n, D) allow."""
    return FEATURE_MAPS if x.size and x.min() >= 0 else FEATURE_MAPS[:3]


def apply_map(name: str, arrays: Mapping[str, np.ndarray], x: np.ndarray) -> np.ndarray:
    """Map vectors (M, D) with the arrays of a fitted map.

    A negative feature that `root unit` meets after its fit counts as 0.
    """
    x = np.asarray(x, dtype=np.float32)
    if name in _CENTRED:
        x = x - arrays["centre"]
    if name == ROOT_UNIT:
        x = np.sqrt(np.maximum(x, 0))
    return x if name == AS_THEY_ARE else _unit(x)


def _unit(x: np.ndarray) -> np.ndarray:
    """Divide rows by their length. They are scaled by their largest number first, so that no square is 0 or infinite."""
    largest = np.abs(x).max(1, keepdims=True)
    scaled = x / np.where(largest > 0, largest, 1)
    lengths = np.sqrt(np.einsum("md,md->m", scaled, scaled))[:, None]
    result: np.ndarray = scaled / np.where(lengths > 0, lengths, 1)
    return result
