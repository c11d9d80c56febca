"""Ridge regression on one-hot labels, as the head R2-D2 on frozen features.

    W = argmin ‖X W - Y‖² + λ ‖W‖²,   X = [f(x), 1],   logits = X W

The weights are those that `RidgeNet` learns. Left out, with the hat matrix H = X (XᵀX + λI)⁻¹ Xᵀ, a block B of examples is answered with
y_B - (I - H_BB)⁻¹ (y_B - ŷ_B), exactly as by a ridge fitted without it (R. D. Cook, S. Weisberg, "Residuals and Influence in Regression",
1982). One eigendecomposition of the smaller of XᵀX and XXᵀ serves all λ. In: examples. Out: an affine head.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from kshot.tasks.heads.blocks import blocks_of
from kshot.tasks.heads.feature_map import FeatureMap, default_map, fitting_maps
from kshot.tasks.heads.head import FittedHead, Settled, Settling, checked
from kshot.tasks.heads.search import LeftOutLogits, Settings, search, with_temperature
from kshot.tasks.heads.through_learners import ridge_weights

STRENGTHS = tuple((float(one),) for one in np.logspace(-3, 2, 6))
"""λ as a multiple of the mean squared length of the rows of X."""
DEFAULT_STRENGTH = (1.0,)
DEFAULT_TEMPERATURE = 0.1


@dataclass(frozen=True)
class Ridge(Settling):
    """Ridge regression on one-hot labels.

    Attributes:
        feature_maps: Feature maps to choose from; empty: all that fit the examples.
    """

    feature_maps: tuple[str, ...] = ()
    name = "ridge"

    def settle(self, x: np.ndarray, y: np.ndarray, way: int, anchors: int = 0) -> Settled:
        """Choose the feature map and λ. See `Head.settle`."""
        x, y = checked(x, y, way)
        targets = np.eye(way)[y]

        def prepare(mapped: FeatureMap) -> LeftOutLogits:
            z = mapped(x)
            size, answers = row_size(z), left_out_values(z, targets)
            return lambda strength, group: answers(strength[0] * size, group)

        maps = self.feature_maps or fitting_maps(x)
        settings = Settings(maps, STRENGTHS, (default_map(x, maps), DEFAULT_STRENGTH), DEFAULT_TEMPERATURE, refined=True)
        found = search(x, y, way, settings, prepare, blocks_of(x, y, way, anchors=anchors))

        def fit() -> FittedHead:
            z = found.feature_map(x)
            regularisation = found.strength[0] * row_size(z)
            weights, bias = ridge_weights(z, y, way, regularisation)
            arrays = {"weights": weights, "bias": bias, **found.feature_map.arrays}
            fitted = FittedHead("affine", found.feature_map.name, arrays, 1.0, {"regularisation": regularisation})
            return with_temperature(fitted, x, y, found, settings)

        return Settled(found.left_out, fit)


def row_size(z: np.ndarray) -> float:
    """Return the mean squared length of the rows of X = [z, 1]."""
    return float(np.square(z, dtype=np.float64).sum(1).mean()) + 1


def left_out_values(z: np.ndarray, targets: np.ndarray) -> Callable[[float, np.ndarray], np.ndarray]:
    """Prepare the left-out answers of ridge regression.

    Args:
        z: Mapped examples (n, D).
        targets: Real targets, one-hot rows for classes, (n, T).

    Returns:
        A function of λ > 0 and the numbers of examples, in blocks (b, s) → their answers (b, s, T), each by the ridge of the examples
        outside its block.
    """
    X = np.concatenate([z.astype(np.float64), np.ones((len(z), 1))], 1)  # (n, D + 1)
    if len(X) <= X.shape[1]:
        values, basis = np.linalg.eigh(X @ X.T)  # H = B diag(v / (v + λ)) Bᵀ
        values = np.maximum(values, 0)
        along = basis.T @ targets

        def shares(regularisation: float) -> np.ndarray:
            return np.asarray(values / (values + regularisation))
    else:
        values, vectors = np.linalg.eigh(X.T @ X)  # H = (X V) diag(1 / (v + λ)) (X V)ᵀ
        values = np.maximum(values, 0)
        basis = X @ vectors
        along = basis.T @ targets

        def shares(regularisation: float) -> np.ndarray:
            return np.asarray(1 / (values + regularisation))

    def answers(regularisation: float, group: np.ndarray) -> np.ndarray:
        share = shares(regularisation)
        part = basis[group]  # (b, s, r)
        wanted = targets[group]
        unseen = np.eye(group.shape[1]) - (part * share) @ part.transpose(0, 2, 1)  # I - H of the block
        result: np.ndarray = wanted - np.linalg.solve(unseen, wanted - part @ (share[:, None] * along))
        return result

    return answers
