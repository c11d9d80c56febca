"""Which examples a step learns from: a function of (seed, stage, step) alone, so that a resumed run sees what it would have seen.

In each pass, the examples are shuffled, and eight batches at a time are sorted by what they cost, so that short texts are not filled up to
the length of long ones. Then the batches are shuffled. In: costs. Out: row numbers. Next: `kshot.tasks.tune.learning`.
"""

import numpy as np

_SORTED_TOGETHER = 8


def batches_of_pass(costs: np.ndarray, batch: int, *key: int) -> list[np.ndarray]:
    """Divide all examples into batches.

    Args:
        costs: What each example costs, (n,).
        batch: Examples per batch; the last one of a group may have fewer.
        key: The seed, the stage and the number of the pass.

    Returns:
        The numbers of the examples of each batch, int64. Together, they are 0 … n - 1, each once.
    """
    random = np.random.default_rng(key)
    order, group = random.permutation(len(costs)), batch * _SORTED_TOGETHER
    batches = []
    for start in range(0, len(order), group):
        some = order[start : start + group]
        some = some[np.argsort(costs[some], kind="stable")]
        batches += [some[place : place + batch] for place in range(0, len(some), batch)]
    return [batches[place] for place in random.permutation(len(batches))]


def parts_of(costs: np.ndarray, most: int) -> list[np.ndarray]:
    """Cut a batch into parts that fit into memory: a part's costliest example times its number of examples is at most `most`.

    Args:
        costs: What each example costs, at least 1, (m,). One that alone costs more is a part of its own.
        most: What a part may cost.

    Returns:
        The places of the examples of each part, the cheapest first.
    """
    order = np.argsort(costs, kind="stable")
    parts: list[list[int]] = [[]]
    for place in order.tolist():
        if parts[-1] and (len(parts[-1]) + 1) * int(costs[place]) > most:
            parts.append([])
        parts[-1].append(place)
    return [np.array(part) for part in parts if part]
