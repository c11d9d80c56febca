"""Softmax regression on the support sets of B tasks at once: the linear head of the transfer baselines.

    minimise over W, b:  1/S Σ_i -log softmax(x_iᵀ W + b)_{y_i}  +  λ/2 (‖W‖² + ‖b‖²)

For λ > 0 the problem is strictly convex. It has one solution for any features (equal items, fewer items than features), and the starting
point does not matter. The method is accelerated gradient descent (Nesterov 1983) with restarts (O'Donoghue, Candès, "Adaptive restart for
accelerated gradient schemes", 2015), in coordinates where the upper bound of the curvature (Böhning, "Multinomial logistic regression
algorithm", 1992: ½ XᵀX/S + λ I) is the identity, so that a step of length 1 is right. The coordinates come from the singular vectors of X,
because W has no component outside the span of the items. In: features and labels. Out: `LinearHeads`.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from kshot.learners.heads.linear import LinearHeads, with_ones

STEPS = 300


def fit_softmax_regression(features: Tensor, y: Tensor, way: int, regularisation: float) -> LinearHeads:
    """Solve each task in `STEPS` steps from W = 0, b = 0.

    Args:
        features: Finite numbers (B, S, D).
        y: Labels 0 … way - 1, int64 (B, S); classes need not be balanced.
        way: N. A class without items is left out of the problem.
        regularisation: λ > 0.

    Returns:
        Weights (B, D + 1, N) in at least float32, detached. The last row is b.
    """
    narrow = torch.promote_types(features.dtype, torch.float32)
    wide = torch.float32 if features.device.type == "mps" else torch.float64
    with torch.autocast(features.device.type, enabled=False), torch.no_grad():
        labels = F.one_hot(y, way)  # (B, S, N)
        known = labels.any(1)  # (B, N)
        # (B, S, r), (B, r) and (B, r, D + 1) with r = min(S, D + 1): W = Vᵀ C, X W = U diag(s) C
        U, s, V = torch.linalg.svd(with_ones(features).to(wide), full_matrices=False)
        C = _minimise(U * s.unsqueeze(1), labels.to(wide), known, s, regularisation)
        return LinearHeads((V.mT @ C).to(narrow), known)


def answers_of(adapted: LinearHeads, features: Tensor) -> Tensor:
    """Compute X W + b: (B, Q, D) → logits (B, Q, N); -∞ for a class without support items."""
    with torch.autocast(features.device.type, enabled=False):
        return (with_ones(features) @ adapted.weights).masked_fill(~adapted.known.unsqueeze(1), -math.inf)


def _minimise(Z: Tensor, labels: Tensor, known: Tensor, s: Tensor, regularisation: float) -> Tensor:
    """Return the C (B, r, N) that minimises the mean loss of Z C plus λ/2 ‖C‖², where ZᵀZ = diag(s²)."""
    S = Z.shape[1]
    absent = ~known.unsqueeze(1)  # (B, 1, N)
    length = 1 / (s.square() / (2 * S) + regularisation).unsqueeze(2)  # (B, r, 1)
    now = torch.zeros(Z.shape[0], Z.shape[2], labels.shape[2], dtype=Z.dtype, device=Z.device)
    ahead, momentum = now, torch.ones(len(Z), 1, 1, dtype=Z.dtype, device=Z.device)
    for _ in range(STEPS):
        excess = (Z @ ahead).masked_fill(absent, -math.inf).softmax(-1) - labels  # (B, S, N)
        gradient = Z.mT @ excess / S + regularisation * ahead  # (B, r, N)
        after = ahead - length * gradient
        uphill = (gradient * (after - now)).sum((1, 2), keepdim=True) > 0
        momentum = momentum.masked_fill(uphill, 1.0)
        following = (1 + (1 + 4 * momentum.square()).sqrt()) / 2
        ahead = after + (momentum - 1) / following * (after - now)
        now, momentum = after, following
    return now
