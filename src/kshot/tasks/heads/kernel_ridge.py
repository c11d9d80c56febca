"""Kernel ridge regression on one-hot labels: ridge regression in the space of a Gaussian kernel, so classes need not be convex.

    K_ij = exp(-γ ‖f(x_i) - f(x_j)‖² / 2σ²),   A = (K + λI)⁻¹ (Y - 1/N),   logits(x) = k(x)ᵀ A

σ² is the mean squared length of f(x), so for vectors of unit length K_ij = exp(γ (cosine - 1)). Left out, with C = (K + λI)⁻¹, a block B
of examples is answered with y_B - (C_BB)⁻¹ A_B, exactly as by a fit without it (C. Saunders, A. Gammerman, V. Vovk, "Ridge regression
learning algorithm in dual variables", ICML 1998; for one example C. E. Rasmussen, C. K. I. Williams, "Gaussian Processes for Machine
Learning", 2006, equation 5.12). One eigendecomposition of K serves all λ of one γ, so time grows with n³. In: examples. Out: a head of the
form `kernel`, which holds the examples.
"""

from dataclasses import dataclass

import numpy as np

from kshot.tasks.heads.answer import squared_distances
from kshot.tasks.heads.blocks import blocks_of
from kshot.tasks.heads.feature_map import AS_THEY_ARE, UNIT, FeatureMap, default_map, fitting_maps
from kshot.tasks.heads.head import FittedHead, Settled, Settling, checked
from kshot.tasks.heads.search import Found, LeftOutLogits, Settings, Strength, search, with_temperature

STRENGTHS: tuple[Strength, ...] = tuple((precision, ridge) for precision in (1.0, 2.0, 4.0) for ridge in (0.03, 0.1, 0.3, 1.0))
"""γ and λ."""
DEFAULT_STRENGTH = (2.0, 0.1)
DEFAULT_TEMPERATURE = 0.05


@dataclass(frozen=True)
class KernelRidge(Settling):
    """Kernel ridge regression on one-hot labels.

    Attributes:
        feature_maps: Feature maps to choose from; empty: `as they are` and `unit length`.
    """

    feature_maps: tuple[str, ...] = ()
    name = "kernel_ridge"

    def solve(self, x: np.ndarray, y: np.ndarray, way: int, found: Found, settings: Settings) -> FittedHead:
        """Fit checked examples with the settings that `found` gave."""
        z = found.feature_map(x)
        gamma, ridge = found.strength
        precision = gamma / (2 * _size(z))
        system = np.exp(-precision * squared_distances(z, z).astype(np.float64)) + ridge * np.eye(len(z))
        coefficients = np.linalg.solve(system, _targets(y, way)).astype(np.float32)
        arrays = {
            "examples": z,
            "coefficients": coefficients,
            "precision": np.array([precision], dtype=np.float32),
            "weights": np.zeros((z.shape[1], way), dtype=np.float32),
            "bias": np.zeros(way, dtype=np.float32),
            **found.feature_map.arrays,
        }
        fitted = FittedHead("kernel", found.feature_map.name, arrays, 1.0, {"precision": gamma, "regularisation": ridge})
        return with_temperature(fitted, x, y, found, settings)

    def settle(self, x: np.ndarray, y: np.ndarray, way: int, anchors: int = 0) -> Settled:
        """Choose the feature map, γ and λ. See `Head.settle`."""
        x, y = checked(x, y, way)
        found, settings = self.found(x, y, way, anchors)
        return Settled(found.left_out, lambda: self.solve(x, y, way, found, settings))

    def found(self, x: np.ndarray, y: np.ndarray, way: int, anchors: int) -> tuple[Found, Settings]:
        """Find the settings for checked examples, and answer each example without itself."""
        targets = _targets(y, way)

        def prepare(mapped: FeatureMap) -> LeftOutLogits:
            z = mapped(x)
            distances = squared_distances(z, z).astype(np.float64) / (2 * _size(z))

            spectra = {gamma: np.linalg.eigh(np.exp(-gamma * distances)) for gamma in {strength[0] for strength in STRENGTHS}}

            def logits_of(strength: Strength, group: np.ndarray) -> np.ndarray:
                gamma, ridge = strength
                values, vectors = spectra[gamma]
                share = 1 / (np.maximum(values, 0) + ridge)
                part = vectors[group]  # (b, s, n)
                inside = (part * share) @ part.transpose(0, 2, 1)
                result: np.ndarray = targets[group] - np.linalg.solve(inside, part @ (share[:, None] * (vectors.T @ targets)))
                return result

            return logits_of

        maps = self.feature_maps or tuple(name for name in fitting_maps(x) if name in (AS_THEY_ARE, UNIT))
        settings = Settings(maps, STRENGTHS, (default_map(x, maps), DEFAULT_STRENGTH), DEFAULT_TEMPERATURE)
        return search(x, y, way, settings, prepare, blocks_of(x, y, way, anchors=anchors)), settings


def _size(z: np.ndarray) -> float:
    return float(np.square(z, dtype=np.float64).sum(1).mean()) or 1.0


def _targets(y: np.ndarray, way: int) -> np.ndarray:
    return np.asarray(np.eye(way)[y] - 1 / way)
