"""The nearest neighbour, on frozen features.

    logit_k(x) = -min over the examples i of class k of ‖f(x) - f(x_i)‖²

The examples are those that `NearestNeighbour` keeps. Left out, an example does not meet itself; a copy of it is met. In: examples. Out: a
head of the form `nearest`, which holds the examples themselves; of very many, a sample (`kshot.tasks.heads.given`).
"""

from dataclasses import dataclass

import numpy as np

from kshot.tasks.heads.given import Given, Seen
from kshot.tasks.heads.head import FittedHead, Settled, Settling
from kshot.tasks.heads.search import LeftOutLogits, Settings, search, with_temperature

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

    def settle(self, given: Given) -> Settled:
        """Choose the feature map. See `Head.settle`."""
        given.full()
        order = np.argsort(given.sample_y, kind="stable")

        def prepare(seen: Seen) -> LeftOutLogits:
            y = seen.given.sample_y
            return lambda _, group: -_left_out_distances(seen.distances(), y, np.argsort(y, kind="stable"), group)

        maps = self.feature_maps or given.maps
        settings = Settings(maps, ((),), (given.default_map(maps), ()), DEFAULT_TEMPERATURE)
        found = search(given, settings, prepare, given.blocks())

        def fit() -> FittedHead:
            arrays = {"examples": found.seen.z[order], "labels": given.sample_y[order], **found.feature_map.arrays}
            fitted = FittedHead("nearest", found.feature_map.name, arrays, 1.0, {})
            return with_temperature(fitted, given.sample_x, given.sample_y, found, settings)

        return Settled(found.left_out, fit, found.again)


def _left_out_distances(distances: np.ndarray, y: np.ndarray, order: np.ndarray, group: np.ndarray) -> np.ndarray:
    """Return the squared distance of examples to the nearest one of each class outside their block, (b, s, N); ∞ where there is none."""
    labels = y[order]
    starts = np.flatnonzero(np.diff(labels, prepend=-1))
    b, s = group.shape
    found = np.empty((b, s, len(starts)))
    step = max(1, _CHUNK // (len(y) * s))
    for start in range(0, b, step):
        part = group[start : start + step]
        those = distances[part]  # (b', s, m), a copy
        those[np.arange(len(part))[:, None, None], np.arange(s)[None, :, None], part[:, None]] = np.inf
        found[start : start + step] = np.minimum.reduceat(those[:, :, order], starts, axis=2)
    return found
