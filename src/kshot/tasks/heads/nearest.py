"""The nearest neighbour, on frozen features.

    logit_k(x) = -min over the examples i of class k of ‖f(x) - f(x_i)‖²

The examples are those that `NearestNeighbour` keeps. Left out, an example does not meet itself; a copy of it is met. In: examples. Out: a
head of the form `nearest`, which holds the examples themselves.
"""

from dataclasses import dataclass

import numpy as np

from kshot.tasks.heads.answer import squared_distances
from kshot.tasks.heads.blocks import blocks_of
from kshot.tasks.heads.feature_map import FeatureMap, default_map, fitting_maps
from kshot.tasks.heads.head import FittedHead, Settled, Settling, checked
from kshot.tasks.heads.search import LeftOutLogits, Settings, search, with_temperature
from kshot.tasks.heads.through_learners import kept_examples

DEFAULT_TEMPERATURE = 0.1
_CHUNK = 2**22
"""Distances in memory at once."""


@dataclass(frozen=True)
class Nearest(Settling):
    """The class of the nearest example.

    Attributes:
        feature_maps: Feature maps to choose from; empty: all that fit the examples.
    """

    feature_maps: tuple[str, ...] = ()
    name = "nearest"

    def settle(self, x: np.ndarray, y: np.ndarray, way: int, anchors: int = 0) -> Settled:
        """Choose the feature map. See `Head.settle`."""
        x, y = checked(x, y, way)
        order = np.argsort(y, kind="stable")

        def prepare(mapped: FeatureMap) -> LeftOutLogits:
            z = mapped(x)
            return lambda _, group: -_left_out_distances(z, y, order, group)

        maps = self.feature_maps or fitting_maps(x)
        settings = Settings(maps, ((),), (default_map(x, maps), ()), DEFAULT_TEMPERATURE)
        found = search(x, y, way, settings, prepare, blocks_of(x, y, way, anchors=anchors))

        def fit() -> FittedHead:
            examples, labels = kept_examples(found.feature_map(x), y, way)
            arrays = {"examples": examples, "labels": labels, **found.feature_map.arrays}
            return with_temperature(FittedHead("nearest", found.feature_map.name, arrays, 1.0, {}), x, y, found, settings)

        return Settled(found.left_out, fit)


def _left_out_distances(z: np.ndarray, y: np.ndarray, order: np.ndarray, group: np.ndarray) -> np.ndarray:
    """Return the squared distance of examples to the nearest one of each class outside their block, (b, s, N); ∞ where there is none."""
    labels = y[order]
    starts = np.flatnonzero(np.diff(labels, prepend=-1))
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    b, s = group.shape
    found = np.empty((b, s, len(starts)), dtype=z.dtype)
    step = max(1, _CHUNK // (len(z) * s))
    for start in range(0, b, step):
        part = group[start : start + step]
        distances = squared_distances(z[part.ravel()], z[order]).reshape(*part.shape, -1)
        distances[np.arange(len(part))[:, None, None], np.arange(s)[None, :, None], place[part][:, None]] = np.inf
        found[start : start + step] = np.minimum.reduceat(distances, starts, axis=2)
    return found
