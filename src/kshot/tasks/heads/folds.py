"""Folds of examples that keep the shares of the classes, for heads that must be fitted again to leave an example out.

In: labels. Out: fold numbers. The only example of a class is in no fold: it always helps to fit, and is never scored.
"""

from collections.abc import Callable, Iterator

import numpy as np


def fold_count(y: np.ndarray, most: int) -> int:
    """Return how many folds the examples allow: as many as the smallest class of two or more has examples, at most `most`; 0 for none."""
    counts = np.bincount(y)
    counts = counts[counts > 1]
    return min(most, int(counts.min())) if len(counts) else 0


def stratified_folds(y: np.ndarray, folds: int, seed: int) -> np.ndarray:
    """Deal the examples of each class into folds of nearly equal sizes, in a random order.

    Args:
        y: Labels, int64 (n,).
        folds: Number of folds, ≥ 2.
        seed: Seed of the order.

    Returns:
        The fold of each example, int64 (n,); -1 for the only example of a class.
    """
    rng = np.random.default_rng(seed)
    found = np.full(len(y), -1)
    start = 0
    for label in np.unique(y):
        rows = rng.permutation(np.flatnonzero(y == label))
        if len(rows) > 1:
            found[rows] = (start + np.arange(len(rows))) % folds
            start += len(rows)
    return found


def by_folds(
    y: np.ndarray, way: int, most: int, repeats: int, answers: Callable[[np.ndarray, np.ndarray], np.ndarray]
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Answer every example that can be scored, by a head that was fitted without its fold, once per repeat.

    Args:
        y: Labels, int64 (n,).
        way: N.
        most: The most folds.
        repeats: How often the examples are divided anew.
        answers: Rows to fit on, and rows to answer (m,) → an array whose first dimension is m.

    Yields:
        Rows, and what `answers` gives for them, fold by fold.
    """
    folds = fold_count(y, most)
    for seed in range(repeats if folds else 0):
        fold = stratified_folds(y, folds, seed)
        for number in range(folds):
            rows = np.flatnonzero(fold == number)
            if len(rows):
                yield rows, answers(np.flatnonzero(fold != number), rows)
