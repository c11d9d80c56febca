"""The temperature under which held-out answers are most likely.

    β = 1 / T minimises  -1/n Σ_i Σ_k t_ik log softmax(β logits_i)_k

The targets t are smoothed as J. C. Platt smooths those of two classes ("Probabilistic outputs for support vector machines", 1999, section
2.2): the right class has 1 - 1/(n + 2), and the others share the rest. So β is finite even where every answer is right. The loss is convex
in β; its minimum is found by Newton's method on log β, kept inside a bracket: first in float32, and from there in
float64. In: logits that did not see their own example. Out: T.
"""

import math

import numpy as np

_WIDEST = 16.0
"""β is sought from e^-16 to e^16 times 1 / (the spread of the logits)."""
_STEPS = 60
_CLOSE = 1e-4


def fit_temperature(logits: np.ndarray, y: np.ndarray, *, exact: bool = True) -> float:
    """Return T > 0.

    Args:
        logits: Finite numbers, or -∞ where a class was unknown, (n, N); the right class is never unknown.
        y: The right classes, int64 (n,), n ≥ 1.
        exact: Whether T is sought to 1e-8 of itself. Otherwise to about 1e-4, in half the time; the likelihood, which is flat there, then
            differs by about 1e-7: enough to compare settings.

    Returns:
        T. 1 if the logits of every example are equal, because then every T gives the same answers.
    """
    n = len(logits)
    values = logits.astype(np.float64) - logits.max(1, keepdims=True)  # at most 0
    known = np.isfinite(values)
    spread = float(-values.sum(where=known) / max(int(known.sum()), 1))
    if spread <= 0 or not math.isfinite(spread):
        return 1.0
    values = np.where(known, values / spread, -np.inf)
    others = np.where(known, values, 0.0)
    own = values[np.arange(n), y]
    counts = np.maximum(known.sum(1) - 1, 1)
    smoothing = 1 / (n + 2)
    target = float(((1 - smoothing) * own + smoothing * (others.sum(1) - own) / counts).sum())  # Σ t · logit
    near = _minimum(values.astype(np.float32), others.astype(np.float32), target, 0.0, close=1e-2)
    return spread / math.exp(_minimum(values, others, target, near, close=_CLOSE) if exact else near)


def _minimum(values: np.ndarray, others: np.ndarray, target: float, start: float, *, close: float) -> float:
    """Return log β where the loss is least, to within about `close` squared.

    Args:
        values: Logits, at most 0, -∞ where a class was unknown, (n, N).
        others: The same, with 0 there.
        target: Σ t · logit.
        start: Where the search begins.
        close: The step at which it ends.
    """
    squares, weights = np.square(others), np.empty_like(values)
    low, high, log_beta = -_WIDEST, _WIDEST, start
    for _ in range(_STEPS):
        beta = math.exp(log_beta)
        np.exp(np.multiply(values, beta, out=weights), out=weights)  # 0 where a class was unknown; 1 for the largest
        total = np.einsum("nk->n", weights)
        mean = np.einsum("nk,nk->n", weights, others) / total
        slope = float(mean.sum(dtype=np.float64)) - target  # dL/dβ
        bends = np.einsum("nk,nk->n", weights, squares) / total - np.square(mean)
        curvature = float(bends.sum(dtype=np.float64))  # d²L/dβ²
        low, high = (log_beta, high) if slope < 0 else (low, log_beta)
        along, bend = beta * slope, beta * slope + beta * beta * curvature  # by log β
        following = log_beta - along / bend if bend > 0 else math.nan
        if not low < following < high:
            following = (low + high) / 2
        if abs(following - log_beta) < close:
            return following
        log_beta = following
    return log_beta
