"""Feature maps: what happens to a vector before a head sees it. numpy alone.

    as they are      f(x) = x - m
    unit length      f(x) = x / ‖x‖
    centred unit     f(x) = (x - m) / ‖x - m‖
    root unit        f(x) = √x / ‖√x‖, for features that are not negative, such as those after a ReLU
    centred root     f(x) = (r(x) - m) / ‖r(x) - m‖ with r(x) = √x / ‖√x‖, for the same

m is the mean of the examples, or of their r(x), which no label enters. It changes no distance and is subtracted in `as they are` for the
sake of digits: a difference of two large numbers has few. A vector of length 0 stays 0. In: vectors (M, D). Out: float32 (M, D).
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from kshot.errors import RecipeError, known_ones

AS_THEY_ARE, UNIT, CENTRED_UNIT = "as they are", "unit length", "centred unit"
ROOT_UNIT, CENTRED_ROOT = "root unit", "centred root"
_OF_ANY, _OF_POSITIVE = (AS_THEY_ARE, UNIT, CENTRED_UNIT), (ROOT_UNIT, CENTRED_ROOT)
FEATURE_MAPS = _OF_ANY + _OF_POSITIVE
_AT_ONCE = 2**15
"""Examples whose mean is taken at once."""


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
    if name in _OF_POSITIVE and x.size and x.min() < 0:
        raise RecipeError(f"the feature map {name!r} takes features that are not negative; found {x.min():.3g}. Choose another.")
    if name in (UNIT, ROOT_UNIT):
        return FeatureMap(name, {})
    total = np.zeros(x.shape[1])
    for start in range(0, len(x), _AT_ONCE):  # of very many examples, no second copy of all
        part = x[start : start + _AT_ONCE]
        total += (_root_unit(part) if name == CENTRED_ROOT else part).sum(0, dtype=np.float64)
    return FeatureMap(name, {"centre": (total / max(len(x), 1)).astype(np.float32)})


def fitting_maps(x: np.ndarray) -> tuple[str, ...]:
    """Name the feature maps that examples (n, D) allow and that differ: examples of equal lengths are their own unit vectors."""
    names = FEATURE_MAPS if x.size and x.min() >= 0 else _OF_ANY
    lengths = np.sqrt(np.einsum("nd,nd->n", x, x, dtype=np.float64))
    equal = len(lengths) > 0 and lengths.max() - lengths.min() <= 1e-3 * lengths.max()
    return tuple(name for name in names if name != AS_THEY_ARE) if equal else names


def default_map(x: np.ndarray, maps: Sequence[str]) -> str:
    """Choose a map of examples (n, D) where nothing can be measured: one example per class.

    Standardised columns, whose mean is 0, are taken as they are, because their origin means nothing; other vectors at unit length.
    """
    squares = np.einsum("nd,nd->", x, x, dtype=np.float64)
    standardised = len(x) > 0 and np.square(x.mean(0, dtype=np.float64)).sum() * len(x) < 1e-6 * squares
    wanted = AS_THEY_ARE if standardised else UNIT
    return wanted if wanted in maps else maps[0]


def apply_map(name: str, arrays: Mapping[str, np.ndarray], x: np.ndarray) -> np.ndarray:
    """Map vectors (M, D) with the arrays of a fitted map.

    A negative feature that a root meets after its fit counts as 0.
    """
    x = np.asarray(x, dtype=np.float32)
    if name in _OF_POSITIVE:
        x = _root_unit(x)
    if name == ROOT_UNIT:
        return x
    if "centre" in arrays:
        x = x - arrays["centre"]
    return x if name == AS_THEY_ARE else _unit(x)


def _root_unit(x: np.ndarray) -> np.ndarray:
    return _unit(np.sqrt(np.maximum(x, 0), dtype=np.float32))


def _unit(x: np.ndarray) -> np.ndarray:
    """Divide rows by their length. They are scaled by their largest number first, so that no square is 0 or infinite."""
    largest = np.abs(x).max(1, keepdims=True)
    scaled = x / np.where(largest > 0, largest, 1)
    lengths = np.sqrt(np.einsum("md,md->m", scaled, scaled))[:, None]
    result: np.ndarray = scaled / np.where(lengths > 0, lengths, 1)
    return result
