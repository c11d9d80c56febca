"""One head per class, each against the rest: is a thing of this class or not? Ridge regression on 0 and 1, and a threshold per class.

    W = argmin ‖X W - Y‖² + λ ‖W‖²,   X = [f(x), 1],   Y (n, N) of 0 and 1
    p_k(x) = 1 / (1 + exp(-(a · (X W)_k + b)));   a thing has the label k where p_k ≥ t_k

All N heads share the matrix, so one eigendecomposition serves them and all λ. Left out, example i is answered with y - (y - ŷ) / (1 - h_i)
(R. D. Cook, S. Weisberg, "Residuals and Influence in Regression", 1982), exactly as by heads fitted without it. From these answers come
f, λ, a and b, under which they are most likely (J. C. Platt, "Probabilistic outputs for support vector machines", 1999; one a and one b for
all classes, which few examples can tell); and the thresholds: t_k is the one of the largest F1, counted over the answers for class k and a
share of those for all classes, as many as `PRIOR` positive ones, so a class with few positive examples keeps nearly the common threshold.

In: vectors and which labels each has. Out: a `OneVsRest`. Next: `kshot.tasks.multi_label.fit`.

n is the number of examples, m that of the sample on which settings are compared, N the number of classes, D the number of features.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from kshot.tasks.heads.blas_threads import on_one_thread
from kshot.tasks.heads.feature_map import FeatureMap, fit_map, fitting_maps
from kshot.tasks.heads.given import MOST
from kshot.tasks.heads.head import FittedHead

STRENGTHS = tuple(float(one) for one in np.logspace(-3, 2, 11))
"""λ as a multiple of the mean squared length of the rows of X."""
THRESHOLDS = np.linspace(0.02, 0.98, 49)
PRIOR = 50.0
"""How many positive answers for all classes count beside those for a class, when its threshold is chosen. Of 5, 20, 50, 200 and one
threshold for all, 50 was chosen on training files: messages made of two texts, of CLINC150's domain `travel` and of BANKING77."""
FOLDS = 5
_ROWS_AT_ONCE = 2**14


@dataclass(frozen=True, eq=False)
class OneVsRest:
    """Heads that have seen their examples.

    Attributes:
        fitted: The heads as one, of the form `affine`: its logits are those of the probabilities p, by `probabilities_of`.
        thresholds: t, float32 (N,).
        sample: The numbers of the m examples that were answered, each left out, int64 (m,): all, or `MOST` of very many.
        left_out: p for them, each left out, float64 (m, N); NaN where the only example of a class was asked for that class.
        decided: Whether each has each label, with thresholds that were chosen on other examples, bool (m, N).
    """

    fitted: FittedHead
    thresholds: np.ndarray
    sample: np.ndarray
    left_out: np.ndarray
    decided: np.ndarray


@on_one_thread
def fit_one_vs_rest(x: np.ndarray, y: np.ndarray) -> OneVsRest:
    """Fit the heads.

    Args:
        x: Finite vectors, float32 (n, D).
        y: Which labels each example has, bool (n, N); every class has an example.
    """
    n = len(x)
    sample = np.arange(n) if n <= MOST else np.sort(np.random.default_rng(0).choice(n, MOST, replace=False))
    known = ~(y[sample] & (y.sum(0) == 1))  # without its only example, a class is unknown
    best: tuple[float, FeatureMap, np.ndarray, np.ndarray, tuple[float, float], float] | None = None
    for name in fitting_maps(x):
        mapped = fit_map(name, x)
        solve = _solver(mapped, x, y, sample)
        for strength in STRENGTHS:
            weights, answers, regularisation = solve(strength)
            a, b = fit_sigmoid(answers[known], y[sample][known])
            likely = _log_likelihood(a * answers[known] + b, y[sample][known])
            if best is None or likely > best[0]:
                best = (likely, mapped, weights(), answers, (a, b), regularisation)
    assert best is not None
    _, mapped, W, answers, (a, b), regularisation = best
    p = 1 / (1 + np.exp(-np.clip(a * answers + b, -500, 500)))
    p[~known] = np.nan
    arrays = {"weights": (a * W[:-1]).astype(np.float32), "bias": (a * W[-1] + b).astype(np.float32), **mapped.arrays}
    fitted = FittedHead("affine", mapped.name, arrays, 1.0, {"regularisation": regularisation})
    return OneVsRest(fitted, choose_thresholds(p, y[sample]).astype(np.float32), sample, p, _cross_decided(p, y[sample]))


def probabilities_of(logits: np.ndarray) -> np.ndarray:
    """Return the probability that each thing is of each class, by itself: (M, N) → float64 (M, N)."""
    found: np.ndarray = 1 / (1 + np.exp(-np.clip(logits.astype(np.float64), -500, 500)))
    return found


def choose_thresholds(p: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return the threshold of the largest F1 for each class, (N,).

    Args:
        p: Left-out answers, (m, N); NaN where there is none.
        y: Which labels each has, bool (m, N).
    """
    known = np.isfinite(p)
    said = np.where(known, p, -1.0)[None] >= THRESHOLDS[:, None, None]  # (T, m, N)
    positive = y & known
    right, told = (said & positive).sum(1).astype(np.float64), said.sum(1).astype(np.float64)  # (T, N)
    share = PRIOR / max(float(positive.sum()), 1.0)
    right += share * right.sum(1, keepdims=True)
    told += share * told.sum(1, keepdims=True)
    wanted = positive.sum(0) + PRIOR
    F1 = 2 * right / np.maximum(told + wanted, 1e-12)
    best = np.isclose(F1, F1.max(0), atol=1e-9)  # of equally good thresholds, the one in their middle
    found: np.ndarray = np.array([THRESHOLDS[np.flatnonzero(best[:, k])].mean() for k in range(p.shape[1])])
    return found


def fit_sigmoid(values: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """Return a > 0 and b under which 1 / (1 + exp(-(a v + b))) is the most likely for answers y, with Platt's smoothed targets."""
    positive, negative = int(y.sum()), int((~y).sum())
    target = np.where(y, (positive + 1) / (positive + 2), 1 / (negative + 2))
    spread = float(values.std()) or 1.0
    v = (values - values.mean()) / spread
    a, b = 1.0, float(np.log((positive + 1) / (negative + 1)))
    for _ in range(50):
        p = 1 / (1 + np.exp(-np.clip(a * v + b, -500, 500)))
        gap, curve = p - target, p * (1 - p) + 1e-9
        gradient = np.array([gap @ v, gap.sum()])
        hessian = np.array([[(curve * v) @ v, curve @ v], [curve @ v, curve.sum()]]) + 1e-9 * np.eye(2)
        step = np.linalg.solve(hessian, gradient)
        size = min(1.0, 2.0 / max(float(np.abs(step).max()), 1e-12))  # far steps are shortened
        a, b = a - size * step[0], b - size * step[1]
        if float(np.abs(step).max()) < 1e-8:
            break
    a = max(a, 1e-3)
    return a / spread, b - a / spread * float(values.mean())


def _cross_decided(p: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Decide each label with thresholds that were chosen on the other examples, in folds."""
    fold = np.random.default_rng(0).permutation(len(p)) % min(FOLDS, len(p))
    found = np.zeros(p.shape, dtype=bool)
    for one in np.unique(fold):
        held = fold == one
        found[held] = np.where(np.isfinite(p[held]), p[held], -1.0) >= choose_thresholds(p[~held], y[~held])
    return found


def _log_likelihood(logits: np.ndarray, y: np.ndarray) -> float:
    return float(-np.logaddexp(0, np.where(y, -logits, logits)).mean())


Solve = Callable[[float], tuple[Callable[[], np.ndarray], np.ndarray, float]]


def _solver(mapped: FeatureMap, x: np.ndarray, y: np.ndarray, sample: np.ndarray) -> Solve:
    """Return what solves the ridge for a strength: the weights, when they are asked for, (D + 1, N); left-out answers (m, N); λ."""
    n, D = x.shape
    if n <= D:
        X = _with_one(mapped(x))
        values, basis = np.linalg.eigh(X @ X.T)  # H = B diag(v / (v + λ)) Bᵀ
        along, size = basis.T @ y, float(np.einsum("nd,nd->", X, X)) / n
        rows, back, values = basis[sample], X.T @ basis, np.maximum(values, 0)
        weight = values
    else:
        crossed, sums, total = np.zeros((D + 1, D + 1)), np.zeros((D + 1, y.shape[1])), 0.0
        for start in range(0, n, _ROWS_AT_ONCE):
            X = _with_one(mapped(x[start : start + _ROWS_AT_ONCE]))
            crossed += X.T @ X
            sums += X.T @ y[start : start + _ROWS_AT_ONCE]
            total += float(np.einsum("nd,nd->", X, X))
        values, back = np.linalg.eigh(crossed)  # H = (X V) diag(1 / (v + λ)) (X V)ᵀ
        values = np.maximum(values, 0)
        along, rows, size = back.T @ sums, _with_one(mapped(x[sample])) @ back, total / n
        weight = np.ones_like(values)

    def solve(strength: float) -> tuple[Callable[[], np.ndarray], np.ndarray, float]:
        ridge = strength * size
        share = weight / (values + ridge)
        fitted = rows @ (share[:, None] * along)
        left = 1 - np.einsum("mr,r,mr->m", rows, share, rows)
        answers = y[sample] - (y[sample] - fitted) / np.maximum(left, 1e-12)[:, None]
        return (lambda: np.asarray(back @ (along / (values + ridge)[:, None]))), answers, ridge

    return solve


def _with_one(z: np.ndarray) -> np.ndarray:
    return np.concatenate([z.astype(np.float64), np.ones((len(z), 1))], axis=1)
