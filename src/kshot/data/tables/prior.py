"""The prior over tables: what a table of numbers and classes may look like before one is seen.

A table is drawn from one of four families, as for prior-fitted networks (Müller et al. 2022, "Transformers Can Do Bayesian Inference",
arXiv 2112.10510; Hollmann et al. 2023, "TabPFN", arXiv 2207.01848, section 4 and appendix C, where networks are the larger part):

    clusters   every class is a mixture of Gaussians in a latent space, which is mixed into the features
    network    features and scores are units of one random network, with noise on each unit; a feature may be cause or effect of the class
    forest     scores are sums of random trees over a few of the features
    linear     scores are weighted sums of a few of the features, with noise

Scores become classes by cutting the order of one score into intervals of unequal sizes, or by the largest of one score per class. Then
some features are made irrelevant, bent, made discrete, shifted and scaled, and some rows change their class.

In: a seed and a number. Out: rows of each class. Next: `kshot.data.tables.synthetic_tables`.

The weights and ranges below are choices, not the papers'. There are no missing values: the contract of a learner takes finite numbers.
"""

from collections.abc import Callable

import numpy as np

from kshot.data.tables.draws import Draws

COLUMNS, CLASSES = 32, 10
"""The most features and classes of a table."""
_FAMILIES = {"clusters": 0.5, "network": 0.27, "forest": 0.08, "linear": 0.15}
_ACTIVATIONS: tuple[Callable[[np.ndarray], np.ndarray], ...] = (
    np.tanh,
    lambda x: x,
    lambda x: np.maximum(x, 0),
    np.sin,
    np.abs,
    lambda x: (x > 0).astype(np.float64),
    lambda x: np.exp(-x * x),
)
_LIKELY = (4.0, 3.0, 3.0, 1.0, 1.0, 1.0, 1.0)
_BENDS: tuple[Callable[[np.ndarray], np.ndarray], ...] = (
    lambda x: np.exp(np.minimum(x, 6)),
    lambda x: x**3,
    lambda x: np.tanh(2 * x),
    lambda x: np.sign(x) * np.sqrt(np.abs(x)),
    lambda x: x * x,
)


def draw_table(seed: int, number: int, classes: int, rows: int) -> np.ndarray:
    """Draw a table, a function of the arguments alone.

    Args:
        seed: Seed of the prior.
        number: Which table.
        classes: 2 … 10.
        rows: Rows of each class.

    Returns:
        float32 (classes, rows, F) with F = 1 … 32 features, all finite.
    """
    draws = Draws(seed, number)
    F = draws.whole(1, COLUMNS) if draws.chance(0.5) else int(draws.magnitude(1.8, COLUMNS + 1))
    family = list(_FAMILIES)[draws.place(list(_FAMILIES.values()))]
    if family == "clusters":
        table = _clusters(draws, classes, rows, F)
    else:
        x, scores = {"network": _network, "forest": _forest, "linear": _linear}[family](draws, 2 * classes * rows, F, classes)
        noise = draws.magnitude(0.01, 0.5) if draws.chance(0.6) else 0.0
        scores = _standard(scores) + noise * draws.normal(*scores.shape)
        table = x[_rows_of_classes(draws, scores, classes, rows)]
    table = _measured(draws, table.reshape(classes * rows, F))
    return _mistaken(draws, table).reshape(classes, rows, F).astype(np.float32)


def _scores_wanted(draws: Draws, classes: int) -> int:
    """Return 1, for intervals of one score, or the number of classes, for the largest score."""
    return 1 if draws.chance(0.7 if classes == 2 else 0.3) else classes


def _clusters(draws: Draws, classes: int, rows: int, F: int) -> np.ndarray:
    """Draw every class from Gaussians in a latent space of k dimensions: (classes, rows, F)."""
    k = draws.whole(1, F) if draws.chance(0.6) else F
    components = draws.whole(2, 3) if draws.chance(0.25) else 1
    distance = draws.magnitude(1.0, 8.0) / k**0.35  # in more dimensions the classes lie a little further apart
    distance = distance * np.exp(draws.number() * draws.normal(k))  # some dimensions tell more than others
    means = distance * draws.normal(classes, 1, k) + (distance * draws.normal(classes, components, k) if components > 1 else 0)
    own = draws.magnitude(0.1, 1.5) if draws.chance(0.5) else 0.0  # how far the spreads of the classes differ
    widths = np.exp(0.5 * draws.normal(k)) * np.exp(own * draws.normal(classes, 1, k))
    turn: np.ndarray = np.eye(k) + draws.magnitude(0.05, 1.0) * draws.normal(k, k) / np.sqrt(k)  # correlation
    member = (draws.uniform(classes, rows) * components).astype(np.int64)
    z: np.ndarray = np.take_along_axis(means, member[..., None], axis=1) + (draws.normal(classes, rows, k) * widths) @ turn
    if k == F and draws.chance(0.5):
        return z  # features that are nearly independent within a class
    x: np.ndarray = z @ draws.normal(k, F) / np.sqrt(k)
    if draws.chance(0.3):
        x = np.tanh(x / draws.magnitude(0.5, 3.0))
    x += draws.magnitude(0.01, 0.5) * x.std() * draws.normal(classes, rows, F)
    return x


def _inputs(draws: Draws, n: int, F: int) -> np.ndarray:
    """Draw correlated features: normal, uniform or in clusters, (n, F)."""
    x = (draws.normal(n, F), draws.uniform(n, F) * 3.4 - 1.7)[draws.place((0.7, 0.3))]
    if draws.chance(0.3):
        centres = draws.normal(draws.whole(2, 8), F)
        x = 0.5 * x + 1.5 * centres[(draws.uniform(n) * len(centres)).astype(np.int64)]
    if draws.chance(0.6):  # a few common causes
        causes = draws.whole(1, max(1, F // 2))
        x = x + draws.magnitude(0.3, 3.0) * draws.normal(n, causes) @ draws.normal(causes, F) / np.sqrt(causes)
    return _standard(x)


def _network(draws: Draws, n: int, F: int, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw features and scores as units of a random network: (n, F), (n, 1 or classes)."""
    wanted = _scores_wanted(draws, classes)
    units, activation = _inputs(draws, n, draws.whole(1, 12)), _ACTIVATIONS[draws.place(_LIKELY)]
    layers, width = [units], max(F, wanted, 6) + draws.whole(0, 12)
    kept, noise = draws.magnitude(0.2, 1.0), draws.magnitude(0.01, 0.3)
    for _ in range(1 + draws.place((4.0, 2.0, 1.0, 1.0))):
        weights = draws.normal(units.shape[1], width) * (draws.uniform(units.shape[1], width) < kept)
        units = _standard(activation(_standard(units @ weights) + 0.5 * draws.normal(width))) + noise * draws.normal(n, width)
        layers.append(units)
    every = np.concatenate(layers, axis=1)
    order = draws.order(every.shape[1])
    x, rest = every[:, order[:F]], every[:, order[F:]]
    if wanted == 1 and draws.chance(0.5):
        return x, rest[:, :1]
    few = rest[:, : draws.whole(1, min(rest.shape[1], 12))]
    return x, few @ draws.normal(few.shape[1], wanted)


def _forest(draws: Draws, n: int, F: int, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw features, and scores as sums of trees that ask one question per level: (n, F), (n, 1 or classes)."""
    x, wanted = _inputs(draws, n, F), _scores_wanted(draws, classes)
    relevant = draws.order(F)[: draws.whole(1, F)]
    scores = np.zeros((n, wanted))
    for _ in range(draws.whole(1, 10)):
        depth = draws.whole(1, 4)
        asked = relevant[(draws.uniform(depth) * len(relevant)).astype(np.int64)]
        thresholds = np.array([np.quantile(x[:, one], 0.15 + 0.7 * draws.number()) for one in asked])
        leaf = (x[:, asked] > thresholds) @ (2 ** np.arange(depth))
        scores += draws.normal(2**depth, wanted)[leaf]
    return x, scores + 1e-3 * draws.normal(n, wanted)  # no two rows are equal


def _linear(draws: Draws, n: int, F: int, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw features, and scores as weighted sums of some of them: (n, F), (n, 1 or classes)."""
    x, wanted = _inputs(draws, n, F), _scores_wanted(draws, classes)
    weights = draws.normal(F, wanted) * (draws.uniform(F, 1) < draws.magnitude(0.1, 1.0))
    weights[draws.whole(0, F - 1)] += 1.0
    return x, x @ weights


def _rows_of_classes(draws: Draws, scores: np.ndarray, classes: int, rows: int) -> np.ndarray:
    """Choose the rows of each class, int64 (classes, rows): by intervals of the one score, or by the largest score of each row."""
    n = len(scores)
    if scores.shape[1] == 1:
        share = draws.uniform(classes) ** 2 + 0.05
        ends = np.floor(np.cumsum(share) / share.sum() * (n - classes * rows)).astype(np.int64) + rows * np.arange(1, classes + 1)
        ends[-1] = n
        blocks = np.split(np.argsort(scores[:, 0], kind="stable"), ends[:-1])
        return np.stack([block[draws.order(len(block))[:rows]] for block in blocks])
    owner = scores.argmax(1)
    free = np.ones(n, dtype=bool)
    for one in draws.order(classes):  # each class keeps its best rows, whatever its share
        lead = scores[:, one] - np.delete(scores, one, axis=1).max(1)
        best = np.argsort(np.where(free, -lead, np.inf), kind="stable")[:rows]
        owner[best], free[best] = one, False
    order = draws.order(n)
    return np.stack([order[owner[order] == one][:rows] for one in range(classes)])


def _measured(draws: Draws, x: np.ndarray) -> np.ndarray:
    """Make some features irrelevant, bent or discrete, and give each its unit: (n, F) → (n, F)."""
    x, (n, F) = _standard(x), x.shape
    irrelevant = 0.6 * draws.number() if draws.chance(0.35) else 0.0
    bent = draws.number() if draws.chance(0.4) else 0.0
    discrete = draws.number() if draws.chance(0.25) else 0.0
    lots = draws.uniform(3, F)
    for column in range(F):
        values = x[:, column]
        if lots[0, column] < irrelevant and column > 0:
            values = values[draws.order(n)] if draws.chance(0.5) else draws.normal(n)
        if lots[1, column] < bent:
            values = _BENDS[draws.whole(0, len(_BENDS) - 1)](values)
        if lots[2, column] < discrete:
            levels = draws.whole(2, 8)
            edges = np.quantile(values, np.sort(draws.uniform(levels - 1)))
            values = np.searchsorted(edges, values).astype(np.float64)
            if draws.chance(0.4):  # a category, whose numbers mean nothing
                values = draws.order(levels)[values.astype(np.int64)].astype(np.float64)
        x[:, column] = values
    unit = np.exp(2 * draws.normal(F))
    measured: np.ndarray = np.clip(x[:, draws.order(F)] * unit + 3 * unit * draws.normal(F), -1e6, 1e6)
    return measured


def _mistaken(draws: Draws, x: np.ndarray) -> np.ndarray:
    """Let some rows exchange their places, and with them their classes: (n, F) → (n, F)."""
    share = 0.15 * draws.number() if draws.chance(0.2) else 0.0
    places = np.flatnonzero(draws.uniform(len(x)) < share)
    x[places] = x[places[draws.order(len(places))]]
    return x


def _standard(x: np.ndarray) -> np.ndarray:
    """Bring each column to mean 0 and standard deviation 1; a constant one becomes 0."""
    spread = x.std(axis=0)
    standard: np.ndarray = (x - x.mean(axis=0)) / np.where(spread > 1e-9, spread, 1.0)
    return standard
