"""The settings of a head: those under which its left-out answers are most likely.

A head with a closed form answers all examples, each without itself, for any feature map and strength at little cost. `search` tries all of
them; for each, the temperature is fitted to the same answers. In: examples, and a function that gives left-out logits. Out: a `Found`.

The settings are compared on at most `MOST_ANSWERS` / N examples, taken evenly from the classes; the winner then answers all of them.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from kshot.tasks.heads.answer import log_softmax, logits
from kshot.tasks.heads.blocks import LEAVE_ONE_OUT, Blocks
from kshot.tasks.heads.feature_map import FeatureMap
from kshot.tasks.heads.given import Given, Seen
from kshot.tasks.heads.head import FittedHead, LeftOut
from kshot.tasks.heads.temperature import fit_temperature

MOST_ANSWERS = 300_000
"""Logits that one setting is judged by."""

Strength = tuple[float, ...]
"""How strongly a head is regularised: one number, or two for a head that has two such settings."""
LeftOutLogits = Callable[[Strength, np.ndarray], np.ndarray]
"""A strength, and blocks of examples (b, s) → their logits (b, s, N), each without the examples of its own block."""
Prepare = Callable[[Seen], LeftOutLogits]


@dataclass(frozen=True)
class Settings:
    """What a head may choose from.

    Attributes:
        feature_maps: Names of feature maps.
        strengths: Strengths, whatever they mean to the head.
        refined: Whether the strengths half-way between the best one and its neighbours are tried too; only for single positive numbers.
        default: The feature map and the strength where no example can be scored.
        default_temperature: T there, as a share of the mean margin by which an example's own class leads in its own answer.
    """

    feature_maps: Sequence[str]
    strengths: tuple[Strength, ...]
    default: tuple[str, Strength]
    default_temperature: float
    refined: bool = False


@dataclass(frozen=True, eq=False)
class Found:
    """The setting of a head.

    Attributes:
        seen: The examples under the feature map.
        strength: The strength.
        temperature: T; None if no example can be scored. The setting is then the head's default, and `with_temperature` gives T.
        left_out: The left-out answers.
        prepare: As `search` took it.
    """

    seen: Seen
    strength: Strength
    temperature: float | None
    left_out: LeftOut
    prepare: Prepare

    @property
    def feature_map(self) -> FeatureMap:
        """The feature map."""
        return self.seen.feature_map

    def again(self, other: Given, known: np.ndarray | None = None) -> np.ndarray:
        """Answer other examples, each without itself, with this setting and this temperature.

        Args:
            other: The examples.
            known: As for `Given.blocks`.

        Returns:
            Log-probabilities, float64 (m, N); NaN in the row of an example that cannot be scored.
        """
        blocks = other.blocks(known)
        found = np.full((len(other.sample_y), other.way), np.nan)
        if self.temperature is not None and blocks.groups:
            logits_of = self.prepare(other.seen_through(self.feature_map.name))
            found[np.sort(blocks.rows())] = log_softmax(_answers(logits_of, self.strength, blocks) / self.temperature)
        return found


def search(given: Given, settings: Settings, prepare: Prepare, blocks: Blocks) -> Found:
    """Find the setting whose left-out answers are most likely.

    Args:
        given: The examples.
        settings: What to try.
        prepare: Gives the left-out logits under a feature map, of any examples.
        blocks: Which examples of the sample are left out together, by their places in it.
    """
    y, way = given.sample_y, given.way
    scored = np.zeros(len(y), dtype=bool)
    scored[blocks.rows()] = True
    compared = blocks.at_most(compared_rows(y, scored, way)) if blocks.how == LEAVE_ONE_OUT else blocks
    rows = np.sort(compared.rows())
    if not len(rows):
        name, strength = settings.default
        empty = np.empty((0, 1))
        left_out = LeftOut(np.full((len(y), way), np.nan), scored, blocks.how, rows, empty, empty.astype(bool), 0)
        return Found(given.seen_through(name), strength, None, left_out, prepare)
    log_likelihoods: list[np.ndarray] = []
    right: list[np.ndarray] = []
    tried: list[tuple[Seen, LeftOutLogits, Strength]] = []

    means: list[float] = []
    likeliest: list[np.ndarray] = []  # the logits of the best setting so far

    def attempt(seen: Seen, logits_of: LeftOutLogits, strength: Strength) -> None:
        found = _answers(logits_of, strength, compared)
        answers = log_softmax(found / fit_temperature(found, y[rows], exact=False))
        log_likelihoods.append(answers[np.arange(len(rows)), y[rows]])
        right.append(answers.argmax(1) == y[rows])
        tried.append((seen, logits_of, strength))
        means.append(float(log_likelihoods[-1].mean()))
        if best() == len(means) - 1:
            likeliest[:] = [found]

    def best() -> int:
        return int(np.argmax(means))

    for name in settings.feature_maps:
        seen = given.seen_through(name)
        logits_of = prepare(seen)
        for strength in settings.strengths:
            attempt(seen, logits_of, strength)
    if settings.refined:
        seen, logits_of, (middle,) = tried[best()]
        place = settings.strengths.index((middle,))
        for (other,) in settings.strengths[max(place - 1, 0) : place] + settings.strengths[place + 1 : place + 2]:
            attempt(seen, logits_of, (math.sqrt(middle * other),))
    seen, logits_of, strength = tried[best()]
    every = np.flatnonzero(scored)
    found = likeliest[0] if compared is blocks else _answers(logits_of, strength, blocks)
    T = fit_temperature(found, y[every])
    answers = log_softmax(found / T)
    log_probabilities = np.full((len(y), way), np.nan)
    log_probabilities[every] = answers
    tables = np.stack(log_likelihoods, axis=1), np.stack(right, axis=1)
    return Found(seen, strength, T, LeftOut(log_probabilities, scored, blocks.how, rows, *tables, best()), prepare)


def _answers(logits_of: LeftOutLogits, strength: Strength, blocks: Blocks) -> np.ndarray:
    """Return the logits of the examples of blocks, in ascending order of their numbers, (m, N)."""
    found = [logits_of(strength, group) for group in blocks.groups]
    result: np.ndarray = np.concatenate([one.reshape(-1, one.shape[-1]) for one in found])[np.argsort(blocks.rows())]
    return result


def compared_rows(y: np.ndarray, scored: np.ndarray, way: int) -> np.ndarray:
    """Choose the examples on which settings are compared: all that are scored, or evenly many of each class. int64 (m,), ascending."""
    every = np.flatnonzero(scored)
    most = max(MOST_ANSWERS // way, way)
    if len(every) <= most:
        return every
    by_class = every[np.argsort(y[every], kind="stable")]
    return np.sort(by_class[np.linspace(0, len(by_class) - 1, most).round().astype(np.int64)])


def not_alone(y: np.ndarray, way: int) -> np.ndarray:
    """Say which examples are not the only ones of their classes, bool (n,): those that can be scored without themselves."""
    result: np.ndarray = np.bincount(y, minlength=way)[y] > 1
    return result


def with_temperature(fitted: FittedHead, x: np.ndarray, y: np.ndarray, found: Found, settings: Settings) -> FittedHead:
    """Give a fitted head its temperature: that of the left-out answers, or the head's default share of its margin on the examples."""
    if found.temperature is not None:
        return replace(fitted, temperature=found.temperature)
    answers = logits(fitted, x).astype(np.float64)
    N = answers.shape[1]
    own = answers[np.arange(len(y)), y]
    margin = float((own - (answers.sum(1) - own) / (N - 1)).mean())
    return replace(fitted, temperature=settings.default_temperature * margin if margin > 0 else 1.0)
