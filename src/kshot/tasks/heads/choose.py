"""The choice of a head: by its left-out answers, not by taste.

In: examples and heads. Out: a `Choice`: the fitted winner, what each head reached on the same examples, and whether it matters. Next:
`kshot.tasks.estimate`, `kshot.tasks.fit`.

The winner is the head whose left-out answers are most likely; an answer that is wrong and sure costs more than one that is wrong and
unsure. Only a head that is right more often, by a difference that is real, is preferred to it: the likelihood of scores that were fitted
by least squares is low for their accuracy. Being the best of several, it looks a little better than it is. How much is measured as by I.
Tsamardinos, E. Greasidou, G. Borboudakis, "Bootstrapping the out-of-sample predictions for efficient and accurate cross-validation",
Machine Learning 107, 2018: choose among all settings of all heads on a resample of the examples, and score the choice on the examples
that are not in it.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import numpy as np

from kshot.errors import RecipeError
from kshot.results.compare.paired import Difference, paired_difference
from kshot.tasks.heads.blas_threads import on_one_thread
from kshot.tasks.heads.blend import Blend
from kshot.tasks.heads.discriminant import Discriminant
from kshot.tasks.heads.given import MOST, Given
from kshot.tasks.heads.head import FittedHead, Head, LeftOut
from kshot.tasks.heads.in_context import InContext, fits
from kshot.tasks.heads.nearest import Nearest
from kshot.tasks.heads.ridge import Ridge
from kshot.tasks.heads.shrunken_means import ShrunkenMeans
from kshot.tasks.heads.side_by_side import side_by_side

DEFAULT_HEADS: tuple[Head, ...] = (Blend(), Discriminant(), ShrunkenMeans(), Nearest(), Ridge())
"""The heads that are tried unless others are named: those with a closed form. Where no example can be scored, the first one is taken.
Class means are both shrunken means that are not pulled and a discriminant of no covariance."""
_RESAMPLES = 200


@dataclass(frozen=True)
class Standing:
    """What one head reached.

    Attributes:
        name: Name of the head.
        accuracy: Share of the examples that it answers rightly without having seen them.
        log_likelihood: Mean logarithm of the probability that it gives to the right class; at most 0.
        behind: How far its accuracy is behind that of the chosen head, paired example by example; 0 ± 0 for the chosen one. An example
            takes the place of an episode in its counts.
    """

    name: str
    accuracy: float
    log_likelihood: float
    behind: Difference


@dataclass(frozen=True, eq=False)
class Choice:
    """The chosen head.

    Attributes:
        name: Its name.
        fitted: The head, fitted to all examples.
        left_out: Its left-out answers, for the examples of `sample`.
        sample: The numbers of the m examples that heads were compared on, int64 (m,): all n, unless there are very many.
        total: n.
        standings: All heads: the chosen one, then the others, the most likely first. Empty if no example can be scored.
        examples: Number of examples that all heads were compared on; an example that is alone in its class is none of them.
        settings: Number of settings of all heads together.
        optimism: By how much the accuracy of the chosen head is too high because it was chosen, a fraction, at least 0.
        again: As `Settled.again` of the chosen head.
    """

    name: str
    fitted: FittedHead
    left_out: LeftOut
    sample: np.ndarray
    total: int
    standings: tuple[Standing, ...]
    examples: int
    settings: int
    optimism: float
    again: Callable[[Given], np.ndarray] | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return what a record holds, in values that JSON has."""
        standings = [asdict(one) for one in self.standings]
        return {
            "name": self.name,
            "standings": standings,
            "examples": self.examples,
            "total": self.total,
            "settings": self.settings,
            "optimism": self.optimism,
        }

    def __str__(self) -> str:
        """Say in a sentence which head was chosen, and whether the next one differs; and of very many examples, on which."""
        return self._reason() + self._part()

    def _part(self) -> str:
        """Say which examples were used, if not all were."""
        if len(self.sample) == self.total:
            return ""
        told = f" It was chosen on {len(self.sample):,} of {self.total:,} examples"
        held = self.fitted.arrays.get("examples") if isinstance(self.fitted, FittedHead) else None
        if held is None:
            return f"{told}, and learned from all of them."
        if "weights" in self.fitted.arrays and self.fitted.arrays["weights"].any():
            return f"{told}; its kernel holds these, and its discriminant learned from all."
        return f"{told}, and holds these alone."

    def _reason(self) -> str:
        if not self.standings:
            return f"Head: {self.name}, by default: with one example per class, heads cannot be compared."
        first, *others = self.standings
        if not others:
            return f"Head: {self.name}, the only one that was tried."
        second = others[0]
        likeliest = max(others, key=lambda one: one.log_likelihood)
        if likeliest.log_likelihood > first.log_likelihood:
            behind = likeliest.behind
            return (
                f"Head: {self.name}, which is right for more of the left-out examples than {likeliest.name}, whose answers are the most "
                f"likely ({100 * behind.mean:+.1f} ± {100 * behind.interval:.1f} points of accuracy, a real difference)."
            )
        margin = f"{100 * second.behind.mean:+.1f} ± {100 * second.behind.interval:.1f} points of accuracy"
        real = "a real difference" if second.behind.differs else "no real difference"
        return (
            f"Head: {self.name}, whose left-out answers are the most likely ({first.log_likelihood:.3f} per example, next {second.name} "
            f"{second.log_likelihood:.3f}; {margin}, {real})."
        )


@on_one_thread
def choose(x: np.ndarray, y: np.ndarray, way: int, heads: Sequence[Head] = ()) -> Choice:
    """Choose a head by its left-out answers, and fit it to all examples.

    Args:
        x: Finite vectors, float32 (n, D).
        y: Labels 0 … way - 1, int64 (n,).
        way: N ≥ 2.
        heads: The heads to try; if there are none, `usual_heads`. One head is fitted without a contest.

    Returns:
        The choice. If no example can be scored, it is the first head.

    Raises:
        DataError: The examples are not such arrays.
        RecipeError: Two heads have one name.
    """
    given = Given(x, y, way)
    heads = tuple(heads) or usual_heads(given)
    names = [head.name for head in heads]
    if len(set(names)) < len(names):
        raise RecipeError(f"heads that are compared need different names; found {', '.join(names)}. Name each once.")
    pieces = [partial(head.settle, given) for head in heads]
    settled = side_by_side(pieces) if all(head.side_by_side for head in heads) else [piece() for piece in pieces]
    answers = [one.left_out for one in settled]
    rows = answers[0].rows
    for one in answers[1:]:
        rows = np.intersect1d(rows, one.rows)
    if not len(rows):
        return Choice(names[0], settled[0].fit(), answers[0], given.sample, len(given.y), (), 0, 0, 0.0, settled[0].again)
    tables = [_on(one, rows) for one in answers]
    means = [float(likely[:, one.kept].mean()) for one, (likely, _) in zip(answers, tables, strict=True)]
    order = sorted(range(len(heads)), key=lambda place: -means[place])
    rights = [right[:, one.kept].astype(np.float64) for one, (_, right) in zip(answers, tables, strict=True)]
    first = order[0]
    ahead = [place for place in order[1:] if _clearly_ahead(rights[place], rights[first])]
    best = max(ahead, key=lambda place: float(rights[place].mean()), default=first)
    order.remove(best)
    order.insert(0, best)
    standings = tuple(
        Standing(names[place], float(rights[place].mean()), means[place], paired_difference(rights[best], rights[place])) for place in order
    )
    likely = np.concatenate([one for one, _ in tables], axis=1)
    optimism = _optimism(likely, np.concatenate([one for _, one in tables], axis=1))
    fitted, n = settled[best].fit(), len(given.y)
    return Choice(names[best], fitted, answers[best], given.sample, n, standings, len(rows), likely.shape[1], optimism, settled[best].again)


def usual_heads(given: Given) -> tuple[Head, ...]:
    """Return the heads that are tried unless others are named: `DEFAULT_HEADS`, without the blend where there are very many classes."""
    return DEFAULT_HEADS if len(given.sample) <= MOST + given.anchors else DEFAULT_HEADS[1:]


def heads_of_rows(examples: int, features: int, way: int) -> tuple[Head, ...]:
    """Return the heads that are tried on rows of numbers: `DEFAULT_HEADS`, and `InContext` where the table is as small as it takes.

    Args:
        examples: n.
        features: D.
        way: N.
    """
    return (*DEFAULT_HEADS, InContext()) if fits(examples, features, way) else DEFAULT_HEADS


def _clearly_ahead(right: np.ndarray, other: np.ndarray) -> bool:
    difference = paired_difference(right, other)
    return difference.mean > 0 and difference.differs


def _on(answers: LeftOut, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the log-likelihoods and the right answers of some of the compared examples, (m, S) each."""
    places = np.searchsorted(answers.rows, rows)
    return answers.log_likelihoods[places], answers.right[places]


def _optimism(log_likelihoods: np.ndarray, right: np.ndarray) -> float:
    """Return by how much the accuracy of the most likely of S settings is too high for having been chosen.

    Args:
        log_likelihoods: (m, S).
        right: bool (m, S).

    Returns:
        The accuracy of the choice on the examples that it was made on, less that on the others, averaged over resamples and at least 0.
        A resample holds 63 % of the examples; what they overstate is about what the whole set does.
    """
    m, S = right.shape
    if S < 2 or m < 2:
        return 0.0
    rng = np.random.default_rng(0)
    chosen = int(log_likelihoods.mean(0).argmax())
    found = []
    for _ in range(_RESAMPLES):
        counts = np.bincount(rng.integers(0, m, m), minlength=m)
        outside = counts == 0
        if outside.any():
            found.append(right[outside, int((counts @ log_likelihoods).argmax())].mean())
    return max(0.0, float(right[:, chosen].mean() - np.mean(found))) if found else 0.0
