"""Answers for left-out examples, and the comparison of two encoders: worked by hand, and against a loop."""

from dataclasses import dataclass, field

import numpy as np
import pytest

from kshot.results.compare.paired import Difference
from kshot.tasks.heads.answer import log_probabilities, log_softmax
from kshot.tasks.heads.class_means import ClassMeans
from kshot.tasks.heads.given import Given
from kshot.tasks.heads.head import FittedHead, LeftOut, Settled, Settling
from kshot.tasks.heads.nearest import Nearest
from kshot.tasks.heads.temperature import fit_temperature
from kshot.tasks.tune.held_out import Comparison, Fold, compare, held_out

LABELS = np.array([0, 1, 0, 1, 0, 1])
HELD = [np.array([1, 1, 0, 0, 0, 0], bool), np.array([0, 0, 1, 1, 0, 0], bool)]


@dataclass
class Spy(Settling):
    """Answers class 0 with logit x and class 1 with 0, and keeps what it has learned from."""

    seen: list[tuple[list[float], list[int]]] = field(default_factory=list)
    name = "spy"

    def settle(self, given: Given) -> Settled:
        y, way = given.y, given.way
        self.seen.append((given.x[:, 0].tolist(), y.tolist()))
        head = FittedHead(
            "affine",
            "as they are",
            {"weights": np.array([[1, 0]], np.float32), "bias": np.zeros(2, np.float32), "centre": np.zeros(1, np.float32)},
            1.0,
            {},
        )
        empty = np.empty((0, 1))
        return Settled(
            LeftOut(np.full((len(y), way), np.nan), np.zeros(len(y), bool), "", np.empty(0, int), empty, empty > 0, 0), lambda: head
        )


def test_no_answer_has_seen_its_own_example() -> None:
    spy, vectors = Spy(), [np.arange(6, dtype=np.float32)[:, None] + 10 * number for number in (0, 1)]
    found = held_out([Fold(held, x, [spy]) for held, x in zip(HELD, vectors, strict=True)], LABELS, 2)
    assert spy.seen == [([2, 3, 4, 5], [0, 1, 0, 1]), ([10, 11, 14, 15], [0, 1, 0, 1])]
    answered = np.array([[0, 0], [1, 0], [12, 0], [13, 0]], float)  # x of the left-out rows 0, 1, 2, 3
    factor = fit_temperature(log_softmax(answered.copy()), LABELS[:4])
    assert found.factor == pytest.approx(factor)
    assert found.left_out.scored.tolist() == [True] * 4 + [False] * 2
    assert found.left_out.log_probabilities[:4] == pytest.approx(log_softmax(answered / factor))
    assert np.isnan(found.left_out.log_probabilities[4:]).all()
    assert found.left_out.how == "2 parts left out in turn, also while tuning"


def test_the_head_that_is_right_most_often_is_taken() -> None:
    random = np.random.default_rng(0)
    labels = np.repeat([0, 1, 2], 8)
    folds = [np.arange(24) % 3 == fold for fold in range(3)]
    x = (np.eye(3)[labels] + random.normal(0, 0.5, (24, 3))).astype(np.float32)
    heads = (ClassMeans(), Nearest())
    found = held_out([Fold(held, x, heads) for held in folds], labels, 3)
    likely, right = {}, {}
    for head in heads:  # the same with loops
        answers = np.empty((24, 3))
        for held in folds:
            for row in np.flatnonzero(held):
                answers[row] = log_probabilities(head.fit(x[~held], labels[~held], 3), x[row : row + 1])[0]
        answers = log_softmax(answers / fit_temperature(answers, labels))
        likely[head.name] = answers[np.arange(24), labels].mean()
        right[head.name] = (answers.argmax(1) == labels).mean()
    best = max(likely, key=lambda name: (right[name], likely[name]))
    assert found.name == best == found.standings[0].name
    assert {one.name: one.log_likelihood for one in found.standings} == pytest.approx(likely)
    assert {one.name: one.accuracy for one in found.standings} == right
    assert str(found).startswith(f"Head: {best}, which is right for the most left-out examples ({100 * right[best]:.1f} %; next ")
    assert found.left_out.right[:, found.left_out.kept].mean() == found.standings[0].accuracy


@dataclass
class Told(Spy):
    """Answers with the column `column` of x: above 0, class 0."""

    column: int = 0

    def settle(self, given: Given) -> Settled:
        settled = super().settle(given)
        weights = np.zeros((given.x.shape[1], 2), np.float32)
        weights[self.column, 0] = 1
        arrays = {"weights": weights, "bias": np.zeros(2, np.float32), "centre": np.zeros(given.x.shape[1], np.float32)}
        return Settled(settled.left_out, lambda: FittedHead("affine", "as they are", arrays, 1.0, {}))


@pytest.mark.parametrize(
    ("ahead", "chosen", "words"),
    [
        (6, "spy", "which is right for the most left-out examples (100.0 %; next blend, 94.0 %)."),
        (1, "blend", "an average of heads; no head is really right more often on left-out examples (99.0 %; spy, 100.0 %)."),
        (-1, "blend", "which is right for the most left-out examples (100.0 %; next spy, 99.0 %)."),
    ],
)
def test_the_average_of_heads_is_taken_unless_another_is_really_better(ahead: int, chosen: str, words: str) -> None:
    """Of 100 answers, 6 more are a difference of 0.06 ± 0.05; 1 more is 0.01 ± 0.02."""
    labels = np.arange(100) % 2
    truth = np.where(labels == 0, 1.0, -1.0)
    x = np.stack([truth, truth], 1).astype(np.float32)
    x[: abs(ahead), 1 if ahead > 0 else 0] *= -1
    heads = [Told(column=0), Told(column=1)]
    heads[1].name = "blend"
    found = held_out([Fold(np.arange(100) % 2 == fold, x, heads) for fold in range(2)], labels, 2)
    assert found.name == found.standings[0].name == chosen
    assert str(found) == f"Head: {chosen}, {words}"
    assert found.standings[0].behind == Difference(0.0, 0.0, 100)


def test_a_comparison_by_hand() -> None:
    fold = lambda *values: [Fold(np.ones(4, bool), np.array(values, np.float32)[:, None], [Spy()])]  # noqa: E731
    labels = np.array([0, 0, 1, 1])
    tuned, frozen = held_out(fold(2, 2, -2, -2), labels, 2), held_out(fold(2, -2, -2, -2), labels, 2)
    found = compare(tuned, frozen, labels, 1)
    assert (found.examples, found.tuned, found.frozen) == (4, 1.0, 0.75)
    assert found.accuracy.mean == 0.25  # right and wrong: 0, 1, 0, 0
    assert found.log_likelihood.mean == pytest.approx(
        tuned.left_out.log_likelihoods[:, 0].mean() - frozen.left_out.log_likelihoods[:, 0].mean()
    )
    assert "right for 100.0 % of 4 left-out examples, and 75.0 % without tuning (+25.0 ±" in str(found)


@pytest.mark.parametrize(
    ("accuracy", "likelihood", "better"),
    [
        ((0.02, 0.01), (0.2, 0.1), True),
        ((0.0, 0.01), (0.02, 0.1), True),
        ((0.02, 0.01), (0.0, 0.1), True),  # right more often, and as likely
        ((0.005, 0.01), (0.005, 0.001), False),  # nobody would notice it
        ((-0.01, 0.1), (0.2, 0.1), False),  # likelier, and less often right
        ((0.02, 0.01), (-0.01, 0.1), False),
    ],
)
def test_tuning_is_kept_only_if_the_left_out_examples_say_so(
    accuracy: tuple[float, float], likelihood: tuple[float, float], better: bool
) -> None:
    assert Comparison(100, 3, 0.9, 0.8, Difference(*accuracy, 100), Difference(*likelihood, 100)).better is better
