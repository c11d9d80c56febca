"""Kernel ridge regression on one-hot labels: ridge regression in the space of a Gaussian kernel, so classes need not be convex.

    K_ij = exp(-γ ‖f(x_i) - f(x_j)‖² / 2σ²),   A = (K + λI)⁻¹ (Y - 1/N),   logits(x) = k(x)ᵀ A

σ² is the mean squared length of f(x), so for vectors of unit length K_ij = exp(γ (cosine - 1)). Left out, with C = (K + λI)⁻¹, a block B
of examples is answered with y_B - (C_BB)⁻¹ A_B, exactly as by a fit without it (C. Saunders, A. Gammerman, V. Vovk, "Ridge regression
learning algorithm in dual variables", ICML 1998; for one example C. E. Rasmussen, C. K. I. Williams, "Gaussian Processes for Machine
Learning", 2006, equation 5.12). One eigendecomposition of K serves all λ of one γ, so time grows with n³, and of very many
examples a sample is learned from (`kshot.tasks.heads.given`). In: examples. Out: a head of the
form `kernel`, which holds the examples.
"""

from dataclasses import dataclass

import numpy as np

from kshot.tasks.heads.feature_map import AS_THEY_ARE, UNIT
from kshot.tasks.heads.given import Given, Seen
from kshot.tasks.heads.head import FittedHead, Settled, Settling
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

    def solve(self, given: Given, found: Found, settings: Settings) -> FittedHead:
        """Fit the sample with the settings that `found` gave."""
        z = found.seen.z
        gamma, ridge = found.strength
        kernel = _kernel(found.seen, gamma)
        kernel[np.diag_indices(len(kernel))] += ridge
        coefficients = np.linalg.solve(kernel, _targets(given))
        arrays = {
            "examples": z,
            "coefficients": coefficients.astype(np.float32),
            "precision": np.array([gamma / (2 * _size(found.seen))], dtype=np.float32),
            "weights": np.zeros((z.shape[1], given.way), dtype=np.float32),
            "bias": np.zeros(given.way, dtype=np.float32),
            **found.feature_map.arrays,
        }
        fitted = FittedHead("kernel", found.feature_map.name, arrays, 1.0, {"precision": gamma, "regularisation": ridge})
        return with_temperature(fitted, given.sample_x, given.sample_y, found, settings)

    def settle(self, given: Given) -> Settled:
        """Choose the feature map, γ and λ. See `Head.settle`."""
        found, settings = self.found(given)
        return Settled(found.left_out, lambda: self.solve(given, found, settings), found.again)

    def found(self, given: Given) -> tuple[Found, Settings]:
        """Find the settings, and answer each example without itself."""
        given.full()

        def prepare(seen: Seen) -> LeftOutLogits:
            targets = _targets(seen.given).astype(np.float32)
            along: dict[float, np.ndarray] = {}

            def logits_of(strength: Strength, group: np.ndarray) -> np.ndarray:
                gamma, ridge = strength
                values, vectors = _spectrum(seen, gamma)
                if gamma not in along:
                    along[gamma] = vectors.T @ targets
                share = 1 / (np.maximum(values, 0) + ridge)
                part = vectors[group]  # (b, s, n)
                inside = (part * share) @ part.transpose(0, 2, 1)
                result: np.ndarray = targets[group] - np.linalg.solve(inside, part @ (share[:, None] * along[gamma]))
                return result

            return logits_of

        maps = self.feature_maps or tuple(name for name in given.maps if name in (AS_THEY_ARE, UNIT))
        settings = Settings(maps, STRENGTHS, (given.default_map(maps), DEFAULT_STRENGTH), DEFAULT_TEMPERATURE)
        return search(given, settings, prepare, given.blocks()), settings


def _spectrum(seen: Seen, gamma: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the eigenvalues and the eigenvectors of K, computed once, in float32: λ is 10^4 times their error or more."""

    def decomposed() -> tuple[np.ndarray, np.ndarray]:
        values, vectors = np.linalg.eigh(_kernel(seen, gamma).astype(np.float32))
        return values, vectors

    return seen.given.once(("kernel", seen.feature_map.name, gamma), decomposed)


def _kernel(seen: Seen, gamma: float) -> np.ndarray:
    """Return K, float64 (m, m)."""
    kernel = seen.distances()
    kernel *= -gamma / (2 * _size(seen))
    result: np.ndarray = np.exp(kernel, out=kernel)
    return result


def _size(seen: Seen) -> float:
    return float(np.square(seen.z, dtype=np.float64).sum(1).mean()) or 1.0


def _targets(given: Given) -> np.ndarray:
    return np.asarray(np.eye(given.way)[given.sample_y] - 1 / given.way)
