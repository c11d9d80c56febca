"""Choosing things one after another so that, together, they cover what is not known yet. numpy alone.

    s(i, j) = exp(-‖z_i - z_j‖² / h)              how much knowing j says about i, 0 … 1
    F(A)    = Σ_i w_i max_{j in A or known} s(i, j)   what the chosen things A cover, with those that are known

Things are chosen greedily: next is the one that adds most to F. F is the facility location function: monotone and submodular, so the greedy
choice of any number of things reaches at least 1 - 1/e of the most that so many can add (G. L. Nemhauser, L. A. Wolsey, M. L. Fisher, "An
analysis of approximations for maximizing submodular set functions", Mathematical Programming 14, 1978), and what a thing adds never grows,
so most of it need not be computed again (M. Minoux, "Accelerated greedy algorithms for maximizing submodular set functions", 1978).

A thing like one that is covered adds little, so no two choices are alike; a thing unlike all others covers only itself, so the typical ones
come first. In: vectors and weights. Out: places and gains. Next: `kshot.tasks.labels.suggest`.

m is the number of things, n that of known ones, D the number of features.
"""

import heapq
from dataclasses import dataclass

import numpy as np

from kshot.tasks.heads.answer import squared_distances

_AT_ONCE = 256
"""Things whose similarities are compared at once."""
_ROUNDING = 1e-6
"""Squared distances below this share of the mean squared length are rounding errors: the things are alike."""


@dataclass(frozen=True)
class Gain:
    """A thing that was chosen.

    Attributes:
        place: Which one, 0 … m - 1.
        gain: What it adds, as a share of all that was not covered before the first choice, 0 … 1.
    """

    place: int
    gain: float


def cover(z: np.ndarray, known: np.ndarray, weights: np.ndarray, count: int) -> list[Gain]:
    """Choose things that cover the others.

    Args:
        z: The things, finite, float32 (m, D); they are compared by their distances. Memory grows with m².
        known: The things that are known, (n, D); n may be 0.
        weights: How much each thing counts, (m,), at least 0.
        count: How many to choose, at least 1.

    Returns:
        At most `count` of them, what adds most first. Fewer where nothing that is left would add anything: what equals a thing that is
        known or chosen covers nothing more.
    """
    m = len(z)
    if not m:
        return []
    least = _ROUNDING * float(np.einsum("md,md->", z, z, dtype=np.float64)) / m
    nearest = _nearest(z, known)
    nearest[nearest < least] = 0
    similar = squared_distances(z, z)  # (m, m), becomes s
    similar[similar < least] = 0
    np.fill_diagonal(similar, 0)
    h = float(nearest.mean()) if len(known) else float(similar.mean(dtype=np.float64))
    if h <= 0:  # all things are alike, or equal to known ones
        h = 1.0
    similar /= -h
    np.exp(similar, out=similar)
    covered = np.exp(-nearest / h) if len(known) else np.zeros(m, dtype=np.float32)
    weights = weights.astype(np.float32)
    total = float(weights @ (1 - covered))
    if not total > 0:
        return []
    gains = np.concatenate([np.maximum(similar[k : k + _AT_ONCE] - covered, 0) @ weights for k in range(0, m, _AT_ONCE)])  # s is symmetric
    waiting = [(-float(gain), place, 0) for place, gain in enumerate(gains) if gain > 0]
    heapq.heapify(waiting)
    chosen: list[Gain] = []
    while waiting and len(chosen) < count:
        gain, place, asked = heapq.heappop(waiting)
        if asked == len(chosen):
            chosen.append(Gain(place, min(-gain / total, 1.0)))
            np.maximum(covered, similar[place], out=covered)
        elif (now := float(np.maximum(similar[place] - covered, 0) @ weights)) > 0:
            heapq.heappush(waiting, (-now, place, len(chosen)))
    return chosen


def _nearest(z: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Return the squared distance of each thing to the nearest known one, float32 (m,); infinite without one."""
    found = np.full(len(z), np.inf, dtype=np.float32)
    for start in range(0, len(known), len(z)):
        np.minimum(found, squared_distances(z, known[start : start + len(z)]).min(1), out=found)
    return found
