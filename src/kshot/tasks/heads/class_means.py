"""Class means: the class of the nearest mean, as in Prototypical Networks, on frozen features.

    logit_k(x) = -‖f(x) - c_k‖²,   c_k the mean of f over the examples of class k
               = 2 f(x)·c_k - ‖c_k‖² - ‖f(x)‖²; the last term is the same for all classes and is left out

The means are those that `ProtoNet` learns. Left out, a block of examples meets the means of the other examples (`without`). In: examples.
Out: an affine head.
"""

from dataclasses import dataclass

import numpy as np

from kshot.tasks.heads.feature_map import FeatureMap
from kshot.tasks.heads.given import Given, Seen
from kshot.tasks.heads.head import FittedHead, Settled, Settling
from kshot.tasks.heads.search import LeftOutLogits, Settings, search, with_temperature
from kshot.tasks.heads.without import euclidean, without

DEFAULT_TEMPERATURE = 0.1


@dataclass(frozen=True)
class ClassMeans(Settling):
    """The nearest class mean.

    Attributes:
        feature_maps: Feature maps to choose from; empty: all that fit the examples.
    """

    feature_maps: tuple[str, ...] = ()
    name = "class_means"

    def settle(self, given: Given) -> Settled:
        """Choose the feature map. See `Head.settle`."""
        given.full()

        def prepare(seen: Seen) -> LeftOutLogits:
            return lambda _, group: -without(euclidean(seen), group, seen.given.sample_y, seen.given.counts).distances

        maps = self.feature_maps or given.maps
        settings = Settings(maps, ((),), (given.default_map(maps), ()), DEFAULT_TEMPERATURE)
        found = search(given, settings, prepare, given.blocks())

        def fit() -> FittedHead:
            fitted = from_centres(found.seen.means, found.feature_map, {})
            return with_temperature(fitted, given.sample_x, given.sample_y, found, settings)

        return Settled(found.left_out, fit, found.again)


def from_centres(centres: np.ndarray, mapped: FeatureMap, settings: dict[str, float]) -> FittedHead:
    """Return the head that answers with the nearest centre, of centres float64 (N, D); its temperature is 1."""
    arrays = {"weights": (2 * centres.T).astype(np.float32), "bias": -np.square(centres).sum(1).astype(np.float32), **mapped.arrays}
    return FittedHead("affine", mapped.name, arrays, 1.0, settings)
