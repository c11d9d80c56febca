"""What an encoder reaches on examples that it has not learned from: the head for it, and whether it beats the frozen one.

    fold k:  encoder_k and a head learn from the examples outside fold k, and answer those in it

After tuning, an encoder puts its own examples close together, so heads that leave them out one by one are right too often and too sure.
Here no answer has seen its own example, neither in the encoder nor in the head. The head is `blend`, an average of several, unless another
is right really more often: the 95 % interval of their difference, example by example, does not hold 0. Then it is the one that is right
most often. Among heads that differ by chance alone, the luckiest one is no better on new things, and an average varies least. Likelihood
does not choose: after tuning, the likeliest head is often a cautious one, which is right less often. The temperature is multiplied by the
factor under which the left-out answers are the most likely. The frozen encoder is treated alike, on the same folds, so that the two can be
compared example by example. In: vectors per fold. Out: `HeldOut`s and a `Comparison`. Next: `kshot.tasks.tune.fit_tuned`.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from kshot.results.compare.paired import Difference, paired_difference
from kshot.tasks.heads.answer import log_probabilities, log_softmax
from kshot.tasks.heads.blas_threads import on_one_thread
from kshot.tasks.heads.blend import Blend
from kshot.tasks.heads.choose import Choice, Standing
from kshot.tasks.heads.given import Given
from kshot.tasks.heads.head import FittedHead, Head, LeftOut
from kshot.tasks.heads.temperature import fit_temperature

_AVERAGE = Blend.name
_LEAST_GAIN = 0.01
"""Gains of mean accuracy and of mean log-likelihood that are more than nothing."""


@dataclass(frozen=True, eq=False)
class Fold:
    """One part of the examples, and what an encoder makes of all of them that has not learned from this part.

    Attributes:
        held: Whether an example is in this part, bool (n,).
        vectors: The vectors of all examples, float32 (n, D).
        heads: The heads to try, with the descriptions of the classes under this encoder.
    """

    held: np.ndarray
    vectors: np.ndarray
    heads: Sequence[Head]


@dataclass(frozen=True, eq=False)
class HeldOut:
    """The answers for left-out examples under the best head.

    Attributes:
        name: Name of the head.
        factor: By which its temperature is multiplied, so that these answers are as likely as can be.
        left_out: The answers.
        standings: All heads, the chosen one first.
    """

    name: str
    factor: float
    left_out: LeftOut
    standings: tuple[Standing, ...]

    def __str__(self) -> str:
        """Say which head was chosen, and how close the next one is."""
        first, *others = self.standings
        if not others:
            return f"Head: {self.name}, the only one that was tried."
        ahead = max(others, key=lambda other: other.accuracy)
        if ahead.accuracy <= first.accuracy:
            why, other = "which is right for the most left-out examples", f"next {ahead.name}"
        else:
            why, other = "an average of heads; no head is really right more often on left-out examples", ahead.name
        return f"Head: {self.name}, {why} ({100 * first.accuracy:.1f} %; {other}, {100 * ahead.accuracy:.1f} %)."

    def choice(self, fitted: FittedHead) -> Choice:
        """Return the choice of the head, fitted to all examples."""
        n = len(self.left_out.scored)
        counts = len(self.left_out.rows), len(self.standings)
        return Choice(self.name, fitted, self.left_out, np.arange(n), n, self.standings, *counts, 0.0)


@dataclass(frozen=True)
class Comparison:
    """The tuned encoder and the frozen one on the same left-out examples.

    Attributes:
        examples: Their number.
        folds: Number of parts that were left out, one after another.
        tuned: Accuracy with the tuned encoder, a fraction.
        frozen: Accuracy with the frozen one.
        accuracy: Tuned less frozen, paired example by example; an example takes the place of an episode in its counts.
        log_likelihood: Likewise, of the logarithm of the probability of the right class.
    """

    examples: int
    folds: int
    tuned: float
    frozen: float
    accuracy: Difference
    log_likelihood: Difference

    @property
    def better(self) -> bool:
        """Whether the tuned encoder is kept: it is right no less often, its answers are no less likely, and one of the two has grown."""
        gains = self.accuracy.mean, self.log_likelihood.mean
        return min(gains) >= 0 and max(gains) > _LEAST_GAIN

    def as_dict(self) -> dict[str, Any]:
        """Return it in values that JSON has."""
        return {**asdict(self), "better": self.better}

    def __str__(self) -> str:
        """Say in one sentence what was found."""
        margin = f"{100 * self.accuracy.mean:+.1f} ± {100 * self.accuracy.interval:.1f} points"
        likelier = f"log-likelihood {self.log_likelihood.mean:+.3f} ± {self.log_likelihood.interval:.3f}"
        return (
            f"right for {100 * self.tuned:.1f} % of {self.examples:,} left-out examples, and {100 * self.frozen:.1f} % without tuning "
            f"({margin}; {likelier})"
        )


@on_one_thread
def held_out(folds: Sequence[Fold], labels: np.ndarray, way: int) -> HeldOut:
    """Answer the examples of each fold with heads that have not seen them, and choose the best head.

    Args:
        folds: The folds; each example is in one of them at most. All have heads of the same names.
        labels: int64 (n,).
        way: N.
    """
    names = [head.name for head in folds[0].heads]
    answers = np.full((len(names), len(labels), way), np.nan)
    for fold in folds:
        kept = ~fold.held
        given = Given(fold.vectors[kept], labels[kept], way)
        for place, head in enumerate(fold.heads):
            fitted = head.settle(given).fit()
            answers[place, fold.held] = log_probabilities(fitted, fold.vectors[fold.held])
    scored = np.any([fold.held for fold in folds], axis=0)
    rows = np.flatnonzero(scored)
    factors = []
    for one in answers:
        factors.append(fit_temperature(one[rows], labels[rows]))
        one[rows] = log_softmax(one[rows] / factors[-1])
    likely = answers[:, rows, labels[rows]].T  # (m, heads)
    right = labels[rows, None] == answers[:, rows].argmax(2).T
    order = sorted(range(len(names)), key=lambda place: (-right[:, place].mean(), -likely[:, place].mean()))
    best = _chosen(names, right, order[0])
    order.insert(0, order.pop(order.index(best)))
    standings = tuple(
        Standing(
            names[place],
            float(right[:, place].mean()),
            float(likely[:, place].mean()),
            paired_difference(right[:, best].astype(float), right[:, place].astype(float)),
        )
        for place in order
    )
    how = f"{len(folds)} parts left out in turn, also while tuning"
    left_out = LeftOut(answers[best], scored, how, rows, likely, right, best)
    return HeldOut(names[best], factors[best], left_out, standings)


def _chosen(names: Sequence[str], right: np.ndarray, first: int) -> int:
    """Return the place of the average of heads, unless the head that is right most often is really better.

    Args:
        names: Names of the heads.
        right: Which answers are right, bool (m, heads).
        first: Place of the head that is right most often.
    """
    if _AVERAGE not in names:
        return first
    average = names.index(_AVERAGE)
    ahead = paired_difference(right[:, first].astype(float), right[:, average].astype(float))
    return first if ahead.mean > ahead.interval else average


def compare(tuned: HeldOut, frozen: HeldOut, labels: np.ndarray, folds: int) -> Comparison:
    """Compare two encoders on the same left-out examples."""
    rows = tuned.left_out.rows
    picked: Callable[[HeldOut], tuple[np.ndarray, np.ndarray]] = lambda one: (  # noqa: E731
        one.left_out.right[:, one.left_out.kept].astype(float),
        one.left_out.log_likelihoods[:, one.left_out.kept],
    )
    (right, likely), (others_right, others_likely) = picked(tuned), picked(frozen)
    return Comparison(
        len(rows),
        folds,
        float(right.mean()),
        float(others_right.mean()),
        paired_difference(right, others_right),
        paired_difference(likely, others_likely),
    )
