"""Shrunken means: each class's mean, pulled towards the mean of all examples or towards a description of the class.

    logit_k(x) = -‖f(x) - m_k‖²,   m_k = (1 - w_k) c_k + w_k p_k,   w_k = κ / (n_k + κ)

c_k is the mean of the n_k examples of class k. p_k is the vector of the class's description, or, without one, the mean of all examples.
κ is the number of examples that a description is worth, so a class with many examples hardly moves (the posterior mean of a Gaussian whose
prior has 1 / κ of the variance of the examples; the estimate of W. James, C. Stein, "Estimation with quadratic loss", 1961, is of this
form). κ is the one under which the left-out answers are most likely. A class without examples is its description: zero-shot.

Left out, example i leaves its class's mean, its class's count and the mean of all examples exactly as if it had never been there. In:
examples, descriptions. Out: an affine head.
"""

from dataclasses import dataclass, field

import numpy as np

from kshot.errors import DataError
from kshot.tasks.heads.answer import squared_distances
from kshot.tasks.heads.blocks import blocks_of
from kshot.tasks.heads.class_means import from_centres, means_of
from kshot.tasks.heads.feature_map import FeatureMap, default_map, fitting_maps
from kshot.tasks.heads.head import FittedHead, Settled, Settling, checked
from kshot.tasks.heads.search import LeftOutLogits, Settings, Strength, search, with_temperature
from kshot.tasks.heads.through_learners import class_centres

STRENGTHS = tuple((one,) for one in (0.0, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0))
"""κ without descriptions; with them, `MORE_STRENGTHS` too."""
MORE_STRENGTHS = ((32.0,), (64.0,))
DEFAULT_STRENGTH = (1.0,)
DEFAULT_TEMPERATURE = 0.1


@dataclass(frozen=True, eq=False)
class ShrunkenMeans(Settling):
    """The nearest shrunken mean.

    Attributes:
        descriptions: A vector per class, from the encoder of the examples, (N, D); NaN for a class without a description. None: there
            are no descriptions.
        feature_maps: Feature maps to choose from; empty: all that fit the examples.
    """

    descriptions: np.ndarray | None = field(default=None, repr=False)
    feature_maps: tuple[str, ...] = ()
    name = "shrunken_means"

    def _checked(self, x: np.ndarray, y: np.ndarray, way: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return examples, labels, and which classes have a description, bool (N,)."""
        x, y = checked(x, y, way, empty_classes=self.descriptions is not None)
        if self.descriptions is None:
            return x, y, np.zeros(way, dtype=bool)
        if self.descriptions.shape != (way, x.shape[1]):
            raise DataError(f"descriptions must be one vector per class, {(way, x.shape[1])}; found {self.descriptions.shape}.")
        known = np.isfinite(self.descriptions).all(1)
        bare = np.flatnonzero(~known & (np.bincount(y, minlength=way) == 0))
        if len(bare):
            raise DataError(f"class {int(bare[0])} has neither an example nor a description. Give it one of them, or drop it.")
        return x, y, known

    def _priors(self, mapped: FeatureMap, z: np.ndarray, known: np.ndarray) -> np.ndarray:
        """Return p, float64 (N, D)."""
        everything = z.mean(0, dtype=np.float64) if len(z) else np.zeros(z.shape[1])
        priors = np.repeat(everything[None], len(known), 0)
        if self.descriptions is not None:
            priors[known] = mapped(self.descriptions[known])
        return priors

    def settle(self, x: np.ndarray, y: np.ndarray, way: int, anchors: int = 0) -> Settled:
        """Choose the feature map and κ. See `Head.settle`; a class with a description needs no example.

        Raises:
            DataError: As for every head; or the descriptions are not one vector per class, or a class has neither example nor description.
        """
        x, y, known = self._checked(x, y, way)

        def prepare(mapped: FeatureMap) -> LeftOutLogits:
            z = mapped(x)
            (centres, counts), priors, n = means_of(z, y, way), self._priors(mapped, z, known), len(z)
            moving = ~known  # classes whose prior is the mean of all examples, which moves when one of them is left out

            def together(kappa: float, block: np.ndarray) -> np.ndarray:
                a, k, left, prior = z[block].astype(np.float64), y[block], counts.copy(), priors
                left[k] -= 1
                rest = centres * counts[:, None]
                rest[k] -= a
                if moving.any():
                    prior = priors.copy()
                    prior[moving] = (n * priors[moving][0] - a.sum(0)) / (n - len(a))
                return -squared_distances(a, _shrunken(rest / np.maximum(left, 1)[:, None], prior, left, kappa))

            def logits_of(strength: Strength, group: np.ndarray) -> np.ndarray:
                if group.shape[1] > 1:
                    return np.stack([together(strength[0], block) for block in group])
                return alone(strength[0], group[:, 0])[:, None]

            def alone(kappa: float, rows: np.ndarray) -> np.ndarray:
                a, k = z[rows].astype(np.float64), y[rows]
                shift = (priors[moving][0] - a) / (n - 1) if moving.any() else np.zeros_like(a)  # of the mean of all examples
                w = _weights(counts, kappa) * moving  # (N,)
                m = _shrunken(centres, priors, counts, kappa)
                found = squared_distances(a, m)  # then ‖a - m - w s‖²
                found += -2 * w * (np.einsum("md,md->m", a, shift)[:, None] - shift @ m.T) + w**2 * np.square(shift).sum(1)[:, None]
                left = counts[k] - 1
                others = (counts[k][:, None] * centres[k] - a) / np.maximum(left, 1)[:, None]
                own = _weights(left, kappa)[:, None]
                own_mean = (1 - own) * others + own * (priors[k] + shift * moving[k][:, None])
                found[np.arange(len(rows)), k] = np.square(a - own_mean).sum(1)
                return -found

            return logits_of

        maps = self.feature_maps or fitting_maps(x)
        described = self.descriptions is not None
        default = (default_map(x, maps), DEFAULT_STRENGTH)
        settings = Settings(maps, STRENGTHS + MORE_STRENGTHS * described, default, DEFAULT_TEMPERATURE)
        found = search(x, y, way, settings, prepare, blocks_of(x, y, way, anchors=anchors, known=known))

        def fit() -> FittedHead:
            z = found.feature_map(x)
            counts = np.bincount(y, minlength=way)
            centres = np.nan_to_num(class_centres(z, y, way).astype(np.float64)) if len(z) else np.zeros((way, x.shape[1]))
            shrunk = _shrunken(centres, self._priors(found.feature_map, z, known), counts, found.strength[0])
            fitted = from_centres(shrunk, found.feature_map, {"shrinkage": found.strength[0]})
            return with_temperature(fitted, *_probes(x, y, self.descriptions), found, settings)

        return Settled(found.left_out, fit)


def _weights(counts: np.ndarray, strength: float) -> np.ndarray:
    """Return w = κ / (n + κ); 1 where there is no example."""
    return np.where(counts > 0, strength / np.maximum(counts + strength, 1), 1.0)


def _shrunken(centres: np.ndarray, priors: np.ndarray, counts: np.ndarray, strength: float) -> np.ndarray:
    w = _weights(counts, strength)[:, None]
    result: np.ndarray = (1 - w) * centres + w * priors
    return result


def _probes(x: np.ndarray, y: np.ndarray, descriptions: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """Return vectors and labels whose margins set a default temperature: the examples, or the descriptions where there are none."""
    if len(x) or descriptions is None:
        return x, y
    return descriptions.astype(np.float32), np.arange(len(descriptions))
