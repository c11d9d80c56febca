"""The linear discriminant with a shrunken covariance: class means, compared in the metric of how examples vary within their classes.

    logit_k(x) = -(f(x) - c_k)ᵀ (W + λI)⁻¹ (f(x) - c_k),   W = Σ_i (f(x_i) - c_{y_i}) (f(x_i) - c_{y_i})ᵀ

R. A. Fisher, "The use of multiple measurements in taxonomic problems", Annals of Eugenics 7, 1936; the shrinkage towards a multiple of the
identity is that of J. H. Friedman, "Regularized discriminant analysis", Journal of the American Statistical Association 84, 1989. As λ
grows, the head becomes `class_means`. Departures: W is not divided by the number of examples, which λ and the temperature make up for; and
classes are taken to be equally frequent, because few examples are seldom drawn at the rates of their classes.

Left out, example i of class k, at e = f(x_i) - c_k from its mean, takes s e eᵀ out of W with s = n_k / (n_k - 1), and leaves the mean
c_k - e / (n_k - 1). With M = (W + λI)⁻¹, the metric becomes M + s (Me)(Me)ᵀ / (1 - s eᵀMe) (Sherman and Morrison 1950), exactly as if
the example had never been there. A block with the residuals E, at most one of each class, leaves M + ME (S⁻¹ - EᵀME)⁻¹ EᵀM, where S is the
diagonal of s. One eigendecomposition of W, in the span of the examples, serves all λ. In: examples. Out: an affine head.
"""

from dataclasses import dataclass

import numpy as np

from kshot.tasks.heads.answer import squared_distances
from kshot.tasks.heads.blocks import blocks_of
from kshot.tasks.heads.class_means import means_of
from kshot.tasks.heads.feature_map import FeatureMap, default_map, fitting_maps
from kshot.tasks.heads.head import FittedHead, Settled, Settling, checked
from kshot.tasks.heads.search import Found, LeftOutLogits, Settings, search, with_temperature

STRENGTHS = tuple((float(one),) for one in np.logspace(-3, 2, 6))
"""λ, as a multiple of the trace of the total scatter / the rank that it can have."""
DEFAULT_STRENGTH = (1.0,)
DEFAULT_TEMPERATURE = 0.1


@dataclass(frozen=True)
class Discriminant(Settling):
    """The linear discriminant with a shrunken covariance.

    Attributes:
        feature_maps: Feature maps to choose from; empty: all that fit the examples.
    """

    feature_maps: tuple[str, ...] = ()
    name = "discriminant"

    def solve(self, x: np.ndarray, y: np.ndarray, way: int, found: Found, settings: Settings) -> FittedHead:
        """Fit checked examples with the settings that `found` gave."""
        z = found.feature_map(x)
        span = Span(z, y, way)
        regularisation = found.strength[0] * span.size
        metric = 1 / (span.scatter + regularisation)  # (r,)
        # (W + λI)⁻¹ c within the span; the part of a query outside the span is equally far from all classes
        weights = 2 * span.basis() @ (metric[:, None] * span.centres.T)  # (D, N)
        bias = -np.square(span.centres) @ metric - span.origin @ weights
        arrays = {"weights": weights.astype(np.float32), "bias": bias.astype(np.float32), **found.feature_map.arrays}
        fitted = FittedHead("affine", found.feature_map.name, arrays, 1.0, {"regularisation": regularisation})
        return with_temperature(fitted, x, y, found, settings)

    def settle(self, x: np.ndarray, y: np.ndarray, way: int, anchors: int = 0) -> Settled:
        """Choose the feature map and λ. See `Head.settle`."""
        x, y = checked(x, y, way)
        found, settings = self.found(x, y, way, anchors)
        return Settled(found.left_out, lambda: self.solve(x, y, way, found, settings))

    def found(self, x: np.ndarray, y: np.ndarray, way: int, anchors: int) -> tuple[Found, Settings]:
        """Find the settings for checked examples, and answer each example without itself."""

        def prepare(mapped: FeatureMap) -> LeftOutLogits:
            span = Span(mapped(x), y, way)
            return lambda strength, group: span.left_out(strength[0] * span.size, group)

        maps = self.feature_maps or fitting_maps(x)
        settings = Settings(maps, STRENGTHS, (default_map(x, maps), DEFAULT_STRENGTH), DEFAULT_TEMPERATURE, refined=True)
        return search(x, y, way, settings, prepare, blocks_of(x, y, way, anchors=anchors)), settings


class Span:
    """Examples in coordinates in which W is diagonal.

    Attributes:
        origin: Mean of the examples, float64 (D,).
        points: The examples in these coordinates, (n, r).
        centres: The class means, (N, r).
        scatter: The diagonal of W, at least 0, (r,).
        size: Trace of the total scatter / min(n - 1, D): the unit of λ.
    """

    def __init__(self, z: np.ndarray, y: np.ndarray, way: int) -> None:
        self.origin = z.mean(0, dtype=np.float64)
        centred = z - self.origin
        n, D = centred.shape
        if n <= D:
            values, vectors = np.linalg.eigh(centred @ centred.T)
            kept = values > max(values[-1], 0) * n * np.finfo(np.float64).eps
            root = np.sqrt(values[kept])
            points, self._axes = vectors[:, kept] * root, vectors[:, kept] / root
        else:
            points, self._axes = centred, None
        centres, self.counts = means_of(points, y, way)
        residuals = points - centres[y]
        scatter, rotation = np.linalg.eigh(residuals.T @ residuals)
        self.scatter, self._centred, self._rotation = np.maximum(scatter, 0), centred, rotation
        self.points, self.centres, self.labels = points @ rotation, centres @ rotation, y
        self.size = float(np.square(centred).sum()) / max(min(n - 1, D), 1) or 1.0

    def basis(self) -> np.ndarray:
        """Return orthonormal columns that span the examples, (D, r)."""
        if self._axes is None:
            return self._rotation
        found: np.ndarray = self._centred.T @ (self._axes @ self._rotation)
        return found

    def left_out(self, regularisation: float, group: np.ndarray) -> np.ndarray:
        """Return the logits of examples in blocks (b, s), each without its block, (b, s, N); no class is left without examples."""
        metric = 1 / (self.scatter + regularisation)
        if group.shape[1] == 1:
            return self._alone(metric, group[:, 0])[:, None]
        return np.stack([self._together(metric, block) for block in group])

    def _together(self, metric: np.ndarray, block: np.ndarray) -> np.ndarray:
        """Return the logits of the examples of a block, (s, N)."""
        a, k = self.points[block], self.labels[block]
        e, n = a - self.centres[k], self.counts[k].astype(np.float64)
        rest = self.centres.copy()
        rest[k] -= e / (n - 1)[:, None]
        g = e * metric  # M e, (s, r)
        lower = np.linalg.cholesky(np.diag((n - 1) / n) - g @ e.T)
        further = [np.linalg.solve(lower, g @ points.T).T for points in (a, rest)]
        root = np.sqrt(metric)
        result: np.ndarray = -squared_distances(a * root, rest * root) - squared_distances(*further)
        return result

    def _alone(self, metric: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Return the logits of examples (m,), each without itself, (m, N)."""
        a, k, place = self.points[rows], self.labels[rows], np.arange(len(rows))
        e, n = a - self.centres[k], self.counts[k].astype(np.float64)
        s = n / (n - 1)
        g = e * metric  # M e, (m, r)
        inside = np.einsum("mr,mr->m", e, g)  # eᵀ M e
        distances: np.ndarray = (
            (np.square(a) @ metric)[:, None] - 2 * (a * metric) @ self.centres.T + np.square(self.centres) @ metric
        )  # by M
        along = np.einsum("mr,mr->m", a, g)[:, None] - g @ self.centres.T  # (a - c_j)ᵀ M e
        gain = s / np.maximum(1 - s * inside, np.finfo(np.float64).tiny)
        distances += gain[:, None] * along**2
        distances[place, k] = s**2 * (inside + gain * inside**2)
        return -distances
