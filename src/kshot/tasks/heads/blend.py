"""A blend of the linear discriminant and kernel ridge: the mean of their log-probabilities, under one feature map.

    logits(x) = ½ (discriminant(x) / T_1 + kernel_ridge(x) / T_2)

The discriminant knows how sure it is, and does well with few examples; kernel ridge draws finer borders, and does well with more. Their
mean keeps both strengths. The discriminant chooses the feature map; each part has its own temperature, and the blend has one more, all from
left-out answers. In: examples. Out: a head of the form `kernel`.
"""

from dataclasses import dataclass

import numpy as np

from kshot.tasks.heads.answer import log_softmax
from kshot.tasks.heads.discriminant import Discriminant
from kshot.tasks.heads.given import Given
from kshot.tasks.heads.head import FittedHead, LeftOut, Settled, Settling
from kshot.tasks.heads.kernel_ridge import KernelRidge
from kshot.tasks.heads.temperature import fit_temperature


@dataclass(frozen=True)
class Blend(Settling):
    """The mean of a linear discriminant and kernel ridge.

    Attributes:
        feature_maps: Feature maps to choose from; empty: all that fit the examples.
    """

    feature_maps: tuple[str, ...] = ()
    name = "blend"

    def settle(self, given: Given) -> Settled:
        """Choose the settings of both parts. See `Head.settle`."""
        first, settings = Discriminant(self.feature_maps).found(given)
        second, others = KernelRidge((first.feature_map.name,)).found(given)
        left_out, T = _left_out(first.left_out, second.left_out, given.sample_y)

        def fit() -> FittedHead:
            affine = Discriminant().solve(given, first, settings)
            kernel = KernelRidge().solve(given, second, others)
            halves = [np.float32(0.5 / one.temperature) for one in (affine, kernel)]
            arrays = {
                **kernel.arrays,
                "coefficients": kernel.arrays["coefficients"] * halves[1],
                "weights": affine.arrays["weights"] * halves[0],
                "bias": affine.arrays["bias"] * halves[0],
            }
            chosen = {**kernel.settings, "discriminant_regularisation": affine.settings["regularisation"]}
            return FittedHead("kernel", kernel.feature_map, arrays, T, chosen)

        return Settled(left_out, fit, lambda other: log_softmax((first.again(other) + second.again(other)) / (2 * T)))


def _left_out(first: LeftOut, second: LeftOut, y: np.ndarray) -> tuple[LeftOut, float]:
    """Return the left-out answers of the blend and its temperature; 1 if no example can be scored."""
    if not first.scored.any():
        return first, 1.0
    scored, T = np.flatnonzero(first.scored), 1.0
    mean = (first.log_probabilities[scored] + second.log_probabilities[scored]) / 2
    T = fit_temperature(mean, y[scored])
    log_probabilities = np.full(first.log_probabilities.shape, np.nan)
    log_probabilities[scored] = log_softmax(mean / T)
    own, rows = log_probabilities[np.arange(len(y)), y], first.rows
    right = log_probabilities[rows].argmax(1) == y[rows]
    likely = np.concatenate([own[rows, None], first.log_likelihoods, second.log_likelihoods], axis=1)
    rights = np.concatenate([right[:, None], first.right, second.right], axis=1)
    return LeftOut(log_probabilities, first.scored, first.how, rows, likely, rights, 0), T
