"""Sets of classes that hold the right one at a stated rate: conformal prediction from left-out examples. numpy alone.

    set(x) = {k : log p(k | x) ≥ t}, and the most probable class

t is the threshold (`kshot.tasks.certainty.ranks`) below which a share 1 - coverage of the examples scored when they were left out. The
score of an example is the log-probability of its own class (J. Lei, J. Robins, L. Wasserman, "Distribution-free prediction sets", Journal
of the American Statistical Association 108, 2013; M. Sadinle, J. Lei, L. Wasserman, "Least ambiguous set-valued classifiers with bounded
error levels", ibid. 114, 2019: no other score gives smaller sets on average). In: left-out answers. Out: scores, and sets from them. Next:
`kshot.tasks.certainty.certainty`.
"""

import numpy as np


def own_scores(log_probabilities: np.ndarray, y: np.ndarray, scored: np.ndarray) -> np.ndarray:
    """Return the log-probability of the right class of each scored example, ascending, float32 (m,).

    Args:
        log_probabilities: Left-out answers, (n, N).
        y: The right classes, int64 (n,).
        scored: Which examples are scored, bool (n,).
    """
    rows = np.flatnonzero(scored)
    result: np.ndarray = np.sort(log_probabilities[rows, y[rows]]).astype(np.float32)
    return result


def sets_of(log_probabilities: np.ndarray, threshold: float) -> np.ndarray:
    """Return which classes are in the set of each thing, bool (M, N): those above a threshold, and the most probable one.

    Args:
        log_probabilities: Answers, (M, N).
        threshold: t.

    Example:
        >>> sets_of(np.log([[0.7, 0.2, 0.1], [0.4, 0.35, 0.25]]), np.log(0.3)).tolist()
        [[True, False, False], [True, True, False]]
    """
    found: np.ndarray = log_probabilities >= threshold
    found[np.arange(len(found)), log_probabilities.argmax(1)] = True
    return found
