"""Class means: the class of the nearest mean, as in Prototypical Networks, on frozen features.

    logit_k(x) = -‖f(x) - c_k‖²,   c_k the mean of f over the examples of class k
               = 2 f(x)·c_k - ‖c_k‖² - ‖f(x)‖²; the last term is the same for all classes and is left out

Left out, example i of class k meets the mean of the n_k - 1 others, c_k + (c_k - f(x_i)) / (n_k - 1), from which its squared distance is
(n_k / (n_k - 1))² ‖f(x_i) - c_k‖². The means are those that `ProtoNet` learns. In: examples. Out: an affine head.
"""

from dataclasses import dataclass

import numpy as np

from kshot.tasks.heads.answer import squared_distances
from kshot.tasks.heads.blocks import blocks_of
from kshot.tasks.heads.feature_map import FeatureMap, default_map, fitting_maps
from kshot.tasks.heads.head import FittedHead, Settled, Settling, checked
from kshot.tasks.heads.search import LeftOutLogits, Settings, Strength, search, with_temperature
from kshot.tasks.heads.through_learners import class_centres

DEFAULT_TEMPERATURE = 0.1


@dataclass(frozen=True)
class ClassMeans(Settling):
    """The nearest class mean.

    Attributes:
        feature_maps: Feature maps to choose from; empty: all that fit the examples.
    """

    feature_maps: tuple[str, ...] = ()
    name = "class_means"

    def settle(self, x: np.ndarray, y: np.ndarray, way: int, anchors: int = 0) -> Settled:
        """Choose the feature map. See `Head.settle`."""
        x, y = checked(x, y, way)

        def prepare(mapped: FeatureMap) -> LeftOutLogits:
            z = mapped(x)
            centres, counts = means_of(z, y, way)

            def logits_of(_: Strength, group: np.ndarray) -> np.ndarray:
                k, a = y[group], z[group].astype(np.float64)
                found = np.stack([squared_distances(one, centres) for one in a])
                if group.shape[1] == 1:
                    own, n = np.square(a - centres[k]).sum(2), counts[k]
                    found[np.arange(len(a)), 0, k[:, 0]] = ((n / (n - 1)) ** 2 * own)[:, 0]
                else:
                    for place, (one, labels) in enumerate(zip(a, k, strict=True)):
                        n = counts[labels][:, None]
                        found[place][:, labels] = squared_distances(one, (n * centres[labels] - one) / (n - 1))
                return -found

            return logits_of

        maps = self.feature_maps or fitting_maps(x)
        settings = Settings(maps, ((),), (default_map(x, maps), ()), DEFAULT_TEMPERATURE)
        found = search(x, y, way, settings, prepare, blocks_of(x, y, way, anchors=anchors))

        def fit() -> FittedHead:
            centres = class_centres(found.feature_map(x), y, way)
            return with_temperature(from_centres(centres, found.feature_map, {}), x, y, found, settings)

        return Settled(found.left_out, fit)


def means_of(z: np.ndarray, y: np.ndarray, way: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the means, float64 (N, D), 0 for a class without examples; and the number of examples of each class, int64 (N,)."""
    counts = np.bincount(y, minlength=way)
    sums = (np.arange(way)[:, None] == y).astype(np.float64) @ z
    return sums / np.maximum(counts, 1)[:, None], counts


def from_centres(centres: np.ndarray, mapped: FeatureMap, settings: dict[str, float]) -> FittedHead:
    """Return the head that answers with the nearest centre, of centres (N, D); its temperature is 1."""
    wide = centres.astype(np.float64)
    arrays = {"weights": (2 * wide.T).astype(np.float32), "bias": -np.square(wide).sum(1).astype(np.float32), **mapped.arrays}
    return FittedHead("affine", mapped.name, arrays, 1.0, settings)
