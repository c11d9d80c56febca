"""Answers of a fitted head: the only way in which predictions are computed. numpy alone.

    p(k | x) = softmax(logits(f(x)) / T)

In: a `FittedHead` and vectors (M, D). Out: logits and log-probabilities (M, N). Memory is bounded: vectors are taken in chunks.
"""

from collections.abc import Callable, Mapping

import numpy as np

from kshot.errors import DataError
from kshot.tasks.heads.feature_map import apply_map
from kshot.tasks.heads.head import FittedHead
from kshot.tasks.heads.in_context_network import ask, numbers_per_query

_CHUNK = 2**22
"""Numbers of the largest array that one chunk makes: 16 MB of float32."""


def features_of(fitted: FittedHead) -> int:
    """Return D, the number of features that a fitted head reads."""
    if fitted.form == "in_context":
        return len(fitted.arrays["scale"])
    return int(fitted.arrays["examples"].shape[1] if fitted.form == "nearest" else fitted.arrays["weights"].shape[0])


def classes_of(fitted: FittedHead) -> int:
    """Return N, the number of classes of a fitted head."""
    if fitted.form == "nearest":
        return int(fitted.arrays["labels"][-1]) + 1
    return len(fitted.arrays["bias"])


def logits(fitted: FittedHead, x: np.ndarray) -> np.ndarray:
    """Compute logits, divided by the temperature: their softmax is the probability of each class.

    Args:
        fitted: A fitted head.
        x: Finite vectors (M, D).

    Returns:
        float32 (M, N).

    Raises:
        DataError: The vectors have another number of features, or are not finite.
    """
    x = np.asarray(x, dtype=np.float32)
    D, N = features_of(fitted), classes_of(fitted)
    if x.ndim != 2 or x.shape[1] != D:
        raise DataError(f"this head reads vectors (M, {D}); found shape {x.shape}. Encode with the encoder that it was fitted with.")
    if not np.isfinite(x).all():
        row = int(np.flatnonzero(~np.isfinite(x).all(1))[0])
        raise DataError(f"every number must be finite; found NaN or infinity in vector {row}. Repair or drop it.")
    if fitted.form == "in_context":
        wide = numbers_per_query(fitted.arrays)
    else:
        wide = max(D, N if fitted.form == "affine" else len(fitted.arrays["examples"]))
    step = max(1, _CHUNK // wide)
    found = np.empty((len(x), N), dtype=np.float32)
    for start in range(0, len(x), step):
        mapped = apply_map(fitted.feature_map, fitted.arrays, x[start : start + step])
        found[start : start + step] = _FORMS[fitted.form](mapped, fitted.arrays)
    found /= fitted.temperature
    return found


def log_probabilities(fitted: FittedHead, x: np.ndarray) -> np.ndarray:
    """Compute the logarithm of the probability of each class: (M, D) → float64 (M, N). Errors are those of `logits`."""
    return log_softmax(logits(fitted, x))


def log_softmax(values: np.ndarray) -> np.ndarray:
    """Subtract from each row the logarithm of the sum of its exponentials: (M, N) → float64 (M, N). -∞ stays -∞."""
    values = values.astype(np.float64)
    values -= values.max(1, keepdims=True)
    values -= np.log(np.exp(values).sum(1, keepdims=True))
    return values


def _affine(z: np.ndarray, arrays: Mapping[str, np.ndarray]) -> np.ndarray:
    result: np.ndarray = z @ arrays["weights"] + arrays["bias"]
    return result


def _kernel(z: np.ndarray, arrays: Mapping[str, np.ndarray]) -> np.ndarray:
    result: np.ndarray = np.exp(-arrays["precision"] * squared_distances(z, arrays["examples"])) @ arrays["coefficients"]
    result += _affine(z, arrays)
    return result


def _nearest(z: np.ndarray, arrays: Mapping[str, np.ndarray]) -> np.ndarray:
    return -nearest_of_each_class(z, arrays["examples"], arrays["labels"])


_FORMS: dict[str, Callable[[np.ndarray, Mapping[str, np.ndarray]], np.ndarray]] = {
    "affine": _affine,
    "kernel": _kernel,
    "nearest": _nearest,
    "in_context": ask,
}


def nearest_of_each_class(x: np.ndarray, examples: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return the squared distance of each vector to the nearest example of each class.

    Args:
        x: (M, D).
        examples: (n, D).
        labels: Classes 0 … N - 1 of the examples, ascending; each occurs. (n,).

    Returns:
        (M, N) in the type of `x`, at least 0.
    """
    starts = np.flatnonzero(np.diff(labels, prepend=-1))
    result: np.ndarray = np.minimum.reduceat(squared_distances(x, examples), starts, axis=1)
    return result


def squared_distances(x: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return ‖x - o‖² for all pairs, (M, D) and (n, D) → (M, n), at least 0, as ‖x‖² - 2 x·o + ‖o‖²."""
    found: np.ndarray = np.einsum("md,md->m", x, x)[:, None] - 2 * (x @ others.T) + np.einsum("nd,nd->n", others, others)
    np.maximum(found, 0, out=found)
    return found
