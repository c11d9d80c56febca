"""Sets of classes that hold the right one at a stated rate: conformal prediction from left-out examples. numpy alone.

    set(x) = {k : log p(k | x) ≥ t}, and the most probable class

t is the threshold (`kshot.tasks.certainty.ranks`) below which a share 1 - coverage of the examples scored when they were left out. The
score of an example is the log-probability of its own class (J. Lei, J. Robins, L. Wasserman, "Distribution-free prediction sets", Journal
of the American Statistical Association 108, 2013; M. Sadinle, J. Lei, L. Wasserman, "Least ambiguous set-valued classifiers with bounded
error levels", ibid. 114, 2019: no other score gives smaller sets on average), or `SURE` if that is the most probable one: it is in the set
whatever t is. In: left-out answers. Out: scores, and sets from them. Next: `kshot.tasks.certainty.certainty`.
"""

import numpy as np

SURE = 1.0
"""The score of an example whose own class is the most probable one, above every log-probability."""


def own_scores(log_probabilities: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return the scores of the examples that are scored, ascending, float32 (m,).

    Args:
        log_probabilities: Left-out answers, (n, N); NaN in the rows of examples that are not scored.
        y: The right classes, int64 (n,).
    """
    rows = np.flatnonzero(~np.isnan(log_probabilities[np.arange(len(y)), y]))
    answers = log_probabilities[rows]
    found: np.ndarray = answers[np.arange(len(rows)), y[rows]].astype(np.float32)
    found[answers.argmax(1) == y[rows]] = SURE
    found.sort()
    return found


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
