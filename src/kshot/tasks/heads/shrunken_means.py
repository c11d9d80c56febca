"""Shrunken means: each class's mean, pulled towards the mean of all examples or towards a description of the class.

    logit_k(x) = -‖f(x) - m_k‖²,   m_k = (1 - w_k) c_k + w_k p_k,   w_k = κ / (n_k + κ)

c_k is the mean of the n_k examples of class k. p_k is the vector of the class's description, or, without one, the mean of all examples.
κ is the number of examples that a description is worth, so a class with many examples hardly moves (the posterior mean of a Gaussian whose
prior has 1 / κ of the variance of the examples; the estimate of W. James, C. Stein, "Estimation with quadratic loss", 1961, is of this
form). κ is the one under which the left-out answers are most likely. A class without examples is its description: zero-shot.

Left out, a block of examples leaves its classes' means, their counts and the mean of all examples exactly as if it had never been there.
In: examples, descriptions. Out: an affine head.
"""

from dataclasses import dataclass, field

import numpy as np

from kshot.errors import DataError
from kshot.tasks.heads.class_means import from_centres
from kshot.tasks.heads.given import Given, Seen
from kshot.tasks.heads.head import FittedHead, Settled, Settling
from kshot.tasks.heads.search import LeftOutLogits, Settings, Strength, search, with_temperature
from kshot.tasks.heads.without import Without, euclidean, without

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

    def _known(self, given: Given) -> np.ndarray:
        """Return which classes have a description, bool (N,)."""
        if self.descriptions is None:
            given.full()
            return np.zeros(given.way, dtype=bool)
        if self.descriptions.shape != (given.way, given.x.shape[1]):
            wanted = (given.way, given.x.shape[1])
            raise DataError(f"descriptions must be one vector per class, {wanted}; found {self.descriptions.shape}.")
        known: np.ndarray = np.isfinite(self.descriptions).all(1)
        bare = np.flatnonzero(~known & (given.counts == 0))
        if len(bare):
            raise DataError(f"class {int(bare[0])} has neither an example nor a description. Give it one of them, or drop it.")
        return known

    def _priors(self, seen: Seen, known: np.ndarray) -> np.ndarray:
        """Return p, float64 (N, D)."""
        priors = np.repeat(seen.origin[None], len(known), 0)
        if self.descriptions is not None:
            priors[known] = seen.feature_map(self.descriptions[known])
        return priors

    def settle(self, given: Given) -> Settled:
        """Choose the feature map and κ. See `Head.settle`; a class with a description needs no example.

        Raises:
            DataError: As for every head; or the descriptions are not one vector per class, or a class has neither example nor description.
        """
        known = self._known(given)

        def prepare(seen: Seen) -> LeftOutLogits:
            metric, priors = euclidean(seen), self._priors(seen, known) if known.any() else None
            parts: dict[int, _Parts] = {}  # by block; they do not depend on κ

            def logits_of(strength: Strength, group: np.ndarray) -> np.ndarray:
                if id(group) not in parts:
                    found = without(metric, group, seen.given.sample_y, seen.given.counts)
                    moving = _moving_prior(found, len(seen.given.y))
                    parts[id(group)] = moving if priors is None else _with_descriptions(moving, found, seen, priors, known, group)
                return -parts[id(group)].distances(strength[0])

            return logits_of

        maps = self.feature_maps or given.maps
        described = self.descriptions is not None
        default = (given.default_map(maps), DEFAULT_STRENGTH)
        settings = Settings(maps, STRENGTHS + MORE_STRENGTHS * described, default, DEFAULT_TEMPERATURE)
        key = (self.name, id(self.descriptions), self.feature_maps)  # `kshot.tasks.descriptions` asks before it is this head's turn
        found = given.once(key, lambda: search(given, settings, prepare, given.blocks(known)))

        def fit() -> FittedHead:
            w = _weights(given.counts, found.strength[0])[:, None]
            shrunk = (1 - w) * found.seen.means + w * self._priors(found.seen, known)
            fitted = from_centres(shrunk, found.feature_map, {"shrinkage": found.strength[0]})
            return with_temperature(fitted, *_probes(given.sample_x, given.sample_y, self.descriptions), found, settings)

        return Settled(found.left_out, fit, lambda other: found.again(other, known))


@dataclass(frozen=True, eq=False)
class _Parts:
    """What the distances to shrunken means are made of, for b blocks of s examples.

    Attributes:
        found: The means r without the block.
        left: Examples of each class without the block, (b, N).
        priors: a · p, (b, s, N).
        between: r · p, (b, N).
        sizes: p · p, (b, N).
    """

    found: Without
    left: np.ndarray
    priors: np.ndarray
    between: np.ndarray
    sizes: np.ndarray

    def distances(self, strength: float) -> np.ndarray:
        """Return ‖a - (1 - w) r - w p‖², (b, s, N)."""
        w = _weights(self.left, strength)
        along = (1 - w)[:, None] * self.found.rest + w[:, None] * self.priors
        size = (1 - w) ** 2 * self.found.sizes + 2 * w * (1 - w) * self.between + w**2 * self.sizes
        distances: np.ndarray = np.maximum(self.found.own[:, :, None] - 2 * along + size[:, None], 0)
        return distances


def _moving_prior(found: Without, n: int) -> _Parts:
    """Return the parts where every prior is the mean of all n examples outside the block."""
    b, s = found.labels.shape
    share = found.counts / max(n, 1)
    others = max(n - s, 1)
    of_all = found.means @ share  # a · the mean of all, (b, s)
    along = (n * of_all - found.among.sum(2)) / others  # a · p, (b, s)
    size = (n**2 * (share @ found.between @ share) - 2 * n * of_all.sum(1) + found.among.sum((1, 2))) / others**2  # (b,)
    of_means = (n * (found.between @ share) - found.means.sum(1)) / others  # c · p, (b, N)
    left = np.repeat(found.counts[None], b, 0)
    left[np.arange(b)[:, None], found.labels] -= 1
    N = len(found.counts)
    return _Parts(found, left, np.repeat(along[:, :, None], N, 2), found.taken_out(of_means, along), np.repeat(size[:, None], N, 1))


def _with_descriptions(moving: _Parts, found: Without, seen: Seen, priors: np.ndarray, known: np.ndarray, group: np.ndarray) -> _Parts:
    """Put descriptions in the place of the mean of all examples, for the classes that are known."""
    along = (seen.z.astype(np.float64) @ priors.T)[group]  # a · p, (b, s, N)
    of_means = np.repeat(np.einsum("nd,nd->n", seen.means, priors)[None], len(group), 0)
    own = np.take_along_axis(along, found.labels[:, :, None], 2)[:, :, 0]
    return _Parts(
        found,
        moving.left,
        np.where(known, along, moving.priors),
        np.where(known, found.taken_out(of_means, own), moving.between),
        np.where(known, np.einsum("nd,nd->n", priors, priors), moving.sizes),
    )


def _weights(counts: np.ndarray, strength: float) -> np.ndarray:
    """Return w = κ / (n + κ); 1 where there is no example."""
    return np.where(counts > 0, strength / np.maximum(counts + strength, 1), 1.0)


def _probes(x: np.ndarray, y: np.ndarray, descriptions: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """Return vectors and labels whose margins set a default temperature: the examples, or the descriptions where there are none."""
    if len(x) or descriptions is None:
        return x, y
    return descriptions.astype(np.float32), np.arange(len(descriptions))
