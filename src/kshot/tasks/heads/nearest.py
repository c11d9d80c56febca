"""The nearest neighbour, on frozen features.

    logit_k(x) = -min over the examples i of class k of ‖f(x) - f(x_i)‖²

The examples are those that `NearestNeighbour` keeps. Left out, an example does not meet itself; a copy of it is met. In: examples. Out: a
head of the form `nearest`, which holds the examples themselves.
"""

from dataclasses import dataclass

import numpy as np

from kshot.tasks.heads.answer import squared_distances
from kshot.tasks.heads.feature_map import FeatureMap, default_map, fitting_maps
from kshot.tasks.heads.head import FittedHead, LeftOut, checked
from kshot.tasks.heads.search import Found, LeftOutLogits, Settings, not_alone, search, with_temperature
from kshot.tasks.heads.through_learners import kept_examples

DEFAULT_TEMPERATURE = 0.1
_CHUNK = 2**22
"""Distances in memory at once."""


@dataclass(frozen=True)
class Nearest:
    """The class of the nearest example.

    Attributes:
        feature_maps: Feature maps to choose from; empty: all that fit the examples.
    """

    feature_maps: tuple[str, ...] = ()
    name = "nearest"

    def fit(self, x: np.ndarray, y: np.ndarray, way: int) -> FittedHead:
        """Keep the examples. See `Head.fit`."""
        x, y = checked(x, y, way)
        found, settings = self._search(x, y, way)
        examples, labels = kept_examples(found.feature_map(x), y, way)
        arrays = {"examples": examples, "labels": labels, **found.feature_map.arrays}
        return with_temperature(FittedHead("nearest", found.feature_map.name, arrays, 1.0, {}), x, y, found, settings)

    def left_out(self, x: np.ndarray, y: np.ndarray, way: int) -> LeftOut:
        """Answer each example by the others. See `Head.left_out`."""
        return self._search(*checked(x, y, way), way)[0].left_out

    def _search(self, x: np.ndarray, y: np.ndarray, way: int) -> tuple[Found, Settings]:
        order = np.argsort(y, kind="stable")

        def prepare(mapped: FeatureMap) -> LeftOutLogits:
            z = mapped(x)
            return lambda _, rows: -_left_out_distances(z, y, order, rows)

        maps = self.feature_maps or fitting_maps(x)
        settings = Settings(maps, ((),), (default_map(x, maps), ()), DEFAULT_TEMPERATURE)
        return search(x, y, way, settings, prepare, not_alone(y, way)), settings


def _left_out_distances(z: np.ndarray, y: np.ndarray, order: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Return the squared distance of examples to the nearest other example of each class, (m, N); ∞ where a class has no other."""
    labels = y[order]
    starts = np.flatnonzero(np.diff(labels, prepend=-1))
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    found = np.empty((len(rows), len(starts)), dtype=z.dtype)
    step = max(1, _CHUNK // len(z))
    for start in range(0, len(rows), step):
        part = rows[start : start + step]
        distances = squared_distances(z[part], z[order])
        distances[np.arange(len(part)), place[part]] = np.inf
        found[start : start + step] = np.minimum.reduceat(distances, starts, axis=1)
    return found
