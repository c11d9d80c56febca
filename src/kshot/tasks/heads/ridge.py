"""Ridge regression on one-hot labels, as the head R2-D2 on frozen features.

    W = argmin ‖X W - Y‖² + λ ‖W‖²,   X = [f(x), 1],   logits = X W

The weights are those that `RidgeNet` learns. Left out, with the hat matrix H = X (XᵀX + λI)⁻¹ Xᵀ, a block B of examples is answered with
y_B - (I - H_BB)⁻¹ (y_B - ŷ_B), exactly as by a ridge fitted without it (R. D. Cook, S. Weisberg, "Residuals and Influence in Regression",
1982). One eigendecomposition of the smaller of XᵀX and XXᵀ serves all λ. In: examples. Out: an affine head.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from kshot.tasks.heads.given import Given, Seen
from kshot.tasks.heads.head import FittedHead, Settled, Settling
from kshot.tasks.heads.search import LeftOutLogits, Settings, search, with_temperature

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

    def settle(self, given: Given) -> Settled:
        """Choose the feature map and λ. See `Head.settle`."""
        given.full()

        def prepare(seen: Seen) -> LeftOutLogits:
            solved = solved_for(seen)
            return lambda strength, group: solved.left_out(strength[0] * (seen.mean_square + 1), group)

        maps = self.feature_maps or given.maps
        settings = Settings(maps, STRENGTHS, (given.default_map(maps), DEFAULT_STRENGTH), DEFAULT_TEMPERATURE, refined=True)
        found = search(given, settings, prepare, given.blocks())

        def fit() -> FittedHead:
            seen = found.seen
            regularisation = found.strength[0] * (seen.mean_square + 1)
            weights = solved_for(seen).weights(regularisation).astype(np.float32)
            arrays = {"weights": weights[:-1].copy(), "bias": weights[-1].copy(), **found.feature_map.arrays}
            fitted = FittedHead("affine", found.feature_map.name, arrays, 1.0, {"regularisation": regularisation})
            return with_temperature(fitted, given.sample_x, given.sample_y, found, settings)

        return Settled(found.left_out, fit, found.again)


@dataclass(frozen=True, eq=False)
class Solved:
    """Ridge regression, solved for all λ: the answers to the sample are B diag(share) Bᵀ Y.

    Attributes:
        basis: The rows of B for the sample, (m, r).
        along: Bᵀ Y, over all examples, (r, N).
        targets: The rows of Y for the sample, (m, N).
        shares: λ → share, (r,).
        weights: λ → W, float64 (D + 1, N).
    """

    basis: np.ndarray
    along: np.ndarray
    targets: np.ndarray
    shares: Callable[[float], np.ndarray]
    weights: Callable[[float], np.ndarray]

    def left_out(self, regularisation: float, group: np.ndarray) -> np.ndarray:
        """Answer examples in blocks (b, s), each by the ridge of the examples outside its block: (b, s, N)."""
        part, wanted = self.basis[group], self.targets[group]  # (b, s, r), (b, s, N)
        share = self.shares(regularisation)
        unseen = np.eye(group.shape[1]) - (part * share) @ part.transpose(0, 2, 1)  # I - H of the block
        result: np.ndarray = wanted - np.linalg.solve(unseen, wanted - part @ (share[:, None] * self.along))
        return result


def solved_for(seen: Seen) -> Solved:
    """Return ridge regression on the classes under a feature map, computed once."""
    return seen.given.once(("ridge", seen.feature_map.name), lambda: _by_examples(seen) if seen.by_examples else _by_features(seen))


def _by_examples(seen: Seen) -> Solved:
    targets = np.eye(seen.given.way)[seen.given.sample_y]
    values, basis = np.linalg.eigh(seen.products + 1)  # X Xᵀ; H = B diag(v / (v + λ)) Bᵀ
    values = np.maximum(values, 0)
    along = basis.T @ targets

    def weights(regularisation: float) -> np.ndarray:
        found: np.ndarray = _with_one(seen.z).T @ (basis @ (along / (values + regularisation)[:, None]))
        return found

    return Solved(basis, along, targets, lambda regularisation: np.asarray(values / (values + regularisation)), weights)


def _by_features(seen: Seen) -> Solved:
    given, D = seen.given, seen.z.shape[1]
    sums = seen.means * given.counts[:, None]  # (N, D)
    crossed = np.empty((D + 1, D + 1))  # XᵀX
    crossed[:D, :D] = seen.scatter + seen.scatter_of_means + len(given.y) * np.outer(seen.origin, seen.origin)
    crossed[D, :D] = crossed[:D, D] = sums.sum(0)
    crossed[D, D] = len(given.y)
    values, vectors = np.linalg.eigh(crossed)  # H = (X V) diag(1 / (v + λ)) (X V)ᵀ
    values = np.maximum(values, 0)
    along = vectors.T @ np.concatenate([sums, given.counts[:, None]], axis=1).T
    targets = np.eye(given.way)[given.sample_y]

    def shares(regularisation: float) -> np.ndarray:
        return np.asarray(1 / (values + regularisation))

    return Solved(
        _with_one(seen.z) @ vectors, along, targets, shares, lambda regularisation: vectors @ (shares(regularisation)[:, None] * along)
    )


def _with_one(z: np.ndarray) -> np.ndarray:
    return np.concatenate([z.astype(np.float64), np.ones((len(z), 1))], axis=1)
