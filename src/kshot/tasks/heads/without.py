"""Means of classes without a block of examples, known by inner products alone.

    r_j = (n_j c_j - b_j) / (n_j - 1)   for a class j of which the block holds the example b_j, and c_j for the others

Heads that compare an example with class means need a · r_j and r_j · r_j. Both follow from the inner products of the examples with each
other and with the means, so no mean is formed again, and no vector is touched again, whatever the strength. The inner product may be that
of any metric. In: inner products. Out: a `Without`. Next: the heads of means, and `kshot.tasks.heads.discriminant`.
"""

from dataclasses import dataclass

import numpy as np

from kshot.tasks.heads.given import Seen


@dataclass(frozen=True, eq=False)
class Metric:
    """Inner products of m examples and N class means.

    Attributes:
        examples: Of the examples of a block with each other, given their places (b, s): (b, s, s).
        means: Of examples with class means, (m, N).
        between: Of class means with each other, (N, N).
    """

    examples: "Pairs"
    means: np.ndarray
    between: np.ndarray


@dataclass(frozen=True, eq=False)
class Pairs:
    """Inner products of examples with each other: Σ_r w_r p_ir p_jr, plus a share of other inner products.

    Attributes:
        points: Coordinates p, (m, r).
        weights: w, (r,).
        products: Other inner products, (m, m); None: none.
        share: What they are multiplied by.
    """

    points: np.ndarray
    weights: np.ndarray
    products: np.ndarray | None = None
    share: float = 1.0

    def __call__(self, group: np.ndarray) -> np.ndarray:
        """Return the inner products in blocks, (b, s) → (b, s, s)."""
        part = self.points[group]
        found: np.ndarray = (part * self.weights) @ part.transpose(0, 2, 1)
        if self.products is not None:
            found += self.share * self.products[group[:, :, None], group[:, None, :]]
        return found


@dataclass(frozen=True, eq=False)
class Without:
    """Inner products with the means of the classes without a block, for b blocks of s examples.

    Attributes:
        among: Of the examples a of a block with each other, (b, s, s).
        means: Of a with the means c of whole classes, (b, s, N).
        between: Of c with each other, (N, N).
        rest: Of a with the means r without the block, (b, s, N).
        sizes: r · r, (b, N).
        labels: The classes of the examples, (b, s).
        counts: Examples of each class, the block's included, (N,).
    """

    among: np.ndarray
    means: np.ndarray
    between: np.ndarray
    rest: np.ndarray
    sizes: np.ndarray
    labels: np.ndarray
    counts: np.ndarray

    @property
    def own(self) -> np.ndarray:
        """A · a, (b, s)."""
        found: np.ndarray = np.einsum("bii->bi", self.among)
        return found

    @property
    def distances(self) -> np.ndarray:
        """‖a - r‖², (b, s, N), at least 0."""
        found: np.ndarray = np.maximum(self.own[:, :, None] - 2 * self.rest + self.sizes[:, None], 0)
        return found

    def taken_out(self, whole: np.ndarray, examples: np.ndarray) -> np.ndarray:
        """Return what is linear in the means, without the block.

        Args:
            whole: Its values at c, (b, …, N).
            examples: Its values at the examples of the block, (b, …, s).
        """
        found = whole.copy()
        b = np.arange(len(self.labels))
        at = (b[:, None], self.labels) if whole.ndim == 2 else (b[:, None, None], np.arange(whole.shape[1])[:, None], self.labels[:, None])
        n = self.counts[self.labels].reshape(len(b), *[1] * (whole.ndim - 2), -1)
        found[at] = (n * whole[at] - examples) / np.maximum(n - 1, 1)
        return found


def without(metric: Metric, group: np.ndarray, labels: np.ndarray, counts: np.ndarray) -> Without:
    """Take blocks of examples out of the means of their classes.

    Args:
        metric: The inner products.
        group: The places of the examples in blocks, at most one of each class in a block, (b, s).
        labels: The class of each of the m examples, (m,).
        counts: Examples of each class, (N,).
    """
    among, means, k = metric.examples(group), metric.means[group], labels[group]
    b = len(group)
    n = counts[k].astype(np.float64)
    left = np.maximum(n - 1, 1)
    own_mean = np.take_along_axis(means, k[:, :, None], 2)[:, :, 0]  # a_i · c_{k_i}
    sizes = np.repeat(np.diag(metric.between)[None], b, 0)
    at = np.arange(b)[:, None], k
    sizes[at] = (n**2 * sizes[at] - 2 * n * own_mean + np.einsum("bii->bi", among)) / left**2
    found = Without(among, means, metric.between, means, sizes, k, counts)
    return Without(among, means, metric.between, found.taken_out(means, among), sizes, k, counts)


def euclidean(seen: Seen) -> Metric:
    """Return the inner products of examples and class means under a feature map."""
    return seen.given.once(("euclidean", seen.feature_map.name), lambda: _euclidean(seen))


def _euclidean(seen: Seen) -> Metric:
    if seen.by_examples:
        no_points = np.empty((len(seen.z), 0))
        share = averaging(seen.given.sample_y, seen.given.counts)
        means = seen.products @ share.T
        return Metric(Pairs(no_points, np.empty(0), seen.products), means, share @ means)
    wide = seen.z.astype(np.float64)
    return Metric(Pairs(wide, np.ones(wide.shape[1])), wide @ seen.means.T, seen.means @ seen.means.T)


def averaging(labels: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Return the matrix that averages examples by class, float64 (N, n)."""
    result: np.ndarray = (np.arange(len(counts))[:, None] == labels) / np.maximum(counts, 1)[:, None]
    return result
