"""The linear discriminant with a shrunken covariance: class means, compared in the metric of how examples vary within their classes.

    logit_k(x) = -(f(x) - c_k)ᵀ (W + λI)⁻¹ (f(x) - c_k),   W = Σ_i (f(x_i) - c_{y_i}) (f(x_i) - c_{y_i})ᵀ

R. A. Fisher, "The use of multiple measurements in taxonomic problems", Annals of Eugenics 7, 1936; the shrinkage towards a multiple of the
identity is that of J. H. Friedman, "Regularized discriminant analysis", Journal of the American Statistical Association 84, 1989. As λ
grows, the head becomes `class_means`. Departures: W is not divided by the number of examples, which λ and the temperature make up for; and
classes are taken to be equally frequent, because few examples are seldom drawn at the rates of their classes.

Left out, a block of examples with the residuals E = f(x_i) - c_{y_i}, at most one of each class, leaves the metric M = (W + λI)⁻¹ as
M + ME (S⁻¹ - EᵀME)⁻¹ EᵀM (Sherman and Morrison 1950), where S is the diagonal of s = n_k / (n_k - 1), and the means as `without` says:
exactly as if the block had never been there. One eigendecomposition of W serves all λ. With fewer examples than features, it is that of
the residuals' inner products, in the n - N directions that they have. In: examples. Out: an affine head.
"""

from dataclasses import dataclass

import numpy as np

from kshot.tasks.heads.given import Given, Seen
from kshot.tasks.heads.head import FittedHead, Settled, Settling
from kshot.tasks.heads.search import Found, LeftOutLogits, Settings, search, with_temperature
from kshot.tasks.heads.without import Metric, Pairs, Without, averaging, euclidean, without

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

    def solve(self, given: Given, found: Found, settings: Settings) -> FittedHead:
        """Fit the examples with the settings that `found` gave."""
        spread = spread_of(found.seen)
        regularisation = found.strength[0] * spread.size
        weights, bias = spread.solved(regularisation)
        arrays = {"weights": weights.astype(np.float32), "bias": bias.astype(np.float32), **found.feature_map.arrays}
        fitted = FittedHead("affine", found.feature_map.name, arrays, 1.0, {"regularisation": regularisation})
        return with_temperature(fitted, given.sample_x, given.sample_y, found, settings)

    def settle(self, given: Given) -> Settled:
        """Choose the feature map and λ. See `Head.settle`."""
        found, settings = self.found(given)
        return Settled(found.left_out, lambda: self.solve(given, found, settings), found.again)

    def found(self, given: Given) -> tuple[Found, Settings]:
        """Find the settings, once for all who ask, and answer each example without itself."""
        given.full()
        return given.once((self.name, self.feature_maps), lambda: self._found(given))

    def _found(self, given: Given) -> tuple[Found, Settings]:
        def prepare(seen: Seen) -> LeftOutLogits:
            spread = spread_of(seen)
            return lambda strength, group: spread.left_out(strength[0] * spread.size, group)

        maps = self.feature_maps or given.maps
        settings = Settings(maps, STRENGTHS, (given.default_map(maps), DEFAULT_STRENGTH), DEFAULT_TEMPERATURE, refined=True)
        return search(given, settings, prepare, given.blocks()), settings


def spread_of(seen: Seen) -> "Spread":
    """Return how examples vary within their classes, computed once."""
    return seen.given.once(("spread", seen.feature_map.name), lambda: Spread(seen))


class Spread:
    """How examples vary within their classes: W, diagonal in coordinates of its r directions.

    Attributes:
        scatter: The diagonal of W, at least 0, (r,). Outside these directions, W is 0.
        size: Trace of the total scatter / min(n - 1, D): the unit of λ.
    """

    def __init__(self, seen: Seen) -> None:
        self._seen, given = seen, seen.given
        self._plain = euclidean(seen)
        n, D = len(given.y), seen.z.shape[1]
        if seen.by_examples:
            within = WithinClasses(given.sample_y, given.counts)
            along = within.of(seen.products)  # P H, (n, n - N)
            values, vectors = np.linalg.eigh(within.of(along.T))  # Hᵀ P H
            kept = values > max(float(np.trace(seen.products)), 0) * n * np.finfo(np.float64).eps
            self.scatter, root = values[kept], np.sqrt(values[kept])
            self._of_examples = within.spread(vectors[:, kept]) / root  # directions as sums of examples, (n, r)
            self._points = (along @ vectors[:, kept]) / root
            share = averaging(given.sample_y, given.counts)
            self._means = share @ self._points
            total = float(np.trace(seen.products)) - float(given.counts @ self._plain.between @ given.counts) / max(n, 1)
        else:
            values, vectors = np.linalg.eigh(seen.scatter)
            self.scatter, self._directions = np.maximum(values, 0), vectors
            self._points = (seen.z - seen.origin) @ vectors  # the origin changes no distance
            self._means = (seen.means - seen.origin) @ vectors
            total = float(np.trace(seen.scatter) + np.trace(seen.scatter_of_means))
        self.size = max(total, 0.0) / max(min(n - 1, D), 1) or 1.0

    def solved(self, regularisation: float) -> tuple[np.ndarray, np.ndarray]:
        """Return the weights (D, N) and the intercepts (N,)."""
        seen = self._seen
        centred = (seen.means - seen.origin).T  # (D, N)
        if seen.by_examples:
            directions = seen.z.astype(np.float64).T @ self._of_examples  # (D, r), orthonormal
            part = self.scatter / (self.scatter + regularisation)
            weights = 2 / regularisation * (centred - directions @ (part[:, None] * (directions.T @ centred)))
        else:
            weights = 2 * self._directions @ ((self._directions.T @ centred) / (self.scatter + regularisation)[:, None])
        return weights, -np.einsum("dk,dk->k", centred, weights) / 2 - seen.origin @ weights

    def metric(self, regularisation: float) -> Metric:
        """Return the inner products under (W + λI)⁻¹."""
        plain = self._plain
        if self._seen.by_examples:
            weights = -self.scatter / (regularisation * (self.scatter + regularisation))
            pairs = Pairs(self._points, weights, self._seen.products, 1 / regularisation)
            scaled = self._means * weights
            means, between = plain.means / regularisation, plain.between / regularisation
            return Metric(pairs, means + self._points @ scaled.T, between + self._means @ scaled.T)
        weights = 1 / (self.scatter + regularisation)
        scaled = self._means * weights
        return Metric(Pairs(self._points, weights), self._points @ scaled.T, self._means @ scaled.T)

    def left_out(self, regularisation: float, group: np.ndarray) -> np.ndarray:
        """Return the logits of examples in blocks (b, s), each without its block, (b, s, N); no class is left without examples."""
        given = self._seen.given
        found = without(self.metric(regularisation), group, given.sample_y, given.counts)
        return _left_out(found)


def _left_out(found: Without) -> np.ndarray:
    k, n = found.labels, found.counts[found.labels].astype(np.float64)
    s = k.shape[1]
    of_own = np.take_along_axis(found.means, k[:, None].repeat(s, 1), 2)  # a_i · c_{k_j}, (b, s, s)
    between = found.between[k]  # c_{k_i} · c_j, (b, s, N)
    residuals_examples = found.among - of_own.transpose(0, 2, 1)  # e_i · a_j
    residuals_rest = found.rest - found.taken_out(between, of_own.transpose(0, 2, 1))  # e_i · r_j
    residuals = residuals_examples - np.take_along_axis(found.means - between, k[:, None].repeat(s, 1), 2)  # e_i · e_j
    system = -residuals
    system[:, np.arange(s), np.arange(s)] += (n - 1) / n
    right = np.concatenate([residuals_examples, residuals_rest], axis=2)
    if s == 1:
        whitened = right / np.sqrt(np.maximum(system, np.finfo(np.float64).tiny))
    else:
        whitened = np.linalg.solve(np.linalg.cholesky(system), right)
    of_examples, of_rest = whitened[:, :, :s], whitened[:, :, s:]
    further = np.square(of_examples).sum(1)[:, :, None] - 2 * of_examples.transpose(0, 2, 1) @ of_rest + np.square(of_rest).sum(1)[:, None]
    result: np.ndarray = -found.distances - np.maximum(further, 0)
    return result


class WithinClasses:
    """An orthonormal basis of what has the sum 0 over every class: the columns of H, (n, n - N) (F. R. Helmert, 1876).

    Column j of a class of k examples is 1 at its first j, -j at the next one, divided by √(j (j + 1)). Products with H are formed class by
    class: they cost n N k² operations where n³ would be needed for a full matrix.

    Args:
        labels: Of the n examples.
        counts: Examples of each class, (N,).
    """

    def __init__(self, labels: np.ndarray, counts: np.ndarray) -> None:
        order, starts = np.argsort(labels, kind="stable"), np.cumsum(counts) - counts
        self._n, self._columns = len(labels), int(np.maximum(counts - 1, 0).sum())
        self._parts: list[tuple[np.ndarray, slice, np.ndarray]] = []  # examples (c, k), columns c (k - 1), H of a class (k, k - 1)
        first = 0
        for k in np.unique(counts[counts > 1]):
            examples = order[starts[counts == k][:, None] + np.arange(k)]
            width = len(examples) * (k - 1)
            j = np.arange(1, k)
            basis = np.triu(np.ones((k, k - 1)))
            basis[j, j - 1] = -j
            self._parts.append((examples, slice(first, first + width), basis / np.sqrt(j * (j + 1))))
            first += width

    def of(self, rows: np.ndarray) -> np.ndarray:
        """Return rows H, (m, n) → (m, n - N), contiguous."""
        found = np.empty((len(rows), self._columns))
        for examples, columns, basis in self._parts:
            found[:, columns] = (rows[:, examples] @ basis).reshape(len(rows), -1)
        return found

    def spread(self, columns: np.ndarray) -> np.ndarray:
        """Return H columns, (n - N, m) → (n, m)."""
        found = np.zeros((self._n, columns.shape[1]))
        for examples, rows, basis in self._parts:
            of_classes = columns[rows].reshape(len(examples), -1, columns.shape[1])  # (c, k - 1, m)
            found[examples] = basis @ of_classes
        return found
