"""Heads asked again about other examples, and scores with one example less of each class."""

import numpy as np
import pytest

from kshot.tasks.certainty.sets import own_scores
from kshot.tasks.certainty.thinned import thinned
from kshot.tasks.descriptions import Described
from kshot.tasks.heads.answer import log_probabilities
from kshot.tasks.heads.choose import choose
from kshot.tasks.heads.class_means import ClassMeans
from kshot.tasks.heads.given import Given
from kshot.tasks.heads.head import Head
from kshot.tasks.heads.nearest import Nearest
from kshot.tasks.heads.table import HEADS, head_named

WAY, SHOT = 4, 4


def examples(shot: int = SHOT, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    y = np.repeat(np.arange(WAY), shot)
    return (rng.normal(size=(WAY, 8))[y] + 0.8 * rng.normal(size=(len(y), 8))).astype(np.float32), y


X, Y = examples()
DESCRIPTIONS = np.stack([X[label == Y].mean(0) for label in range(WAY)])
DESCRIPTIONS /= np.linalg.norm(DESCRIPTIONS, axis=1, keepdims=True)
CLOSED = [*(head_named(name) for name in HEADS if name != "logistic"), Described(ClassMeans(), DESCRIPTIONS.astype(np.float32))]


@pytest.mark.parametrize("head", CLOSED, ids=lambda head: f"{type(head).__name__}-{head.name}")
def test_asked_again_about_its_own_examples_a_head_answers_as_before(head: Head) -> None:
    found = head.settle(Given(X, Y, WAY))
    assert found.again is not None
    np.testing.assert_allclose(found.again(Given(X, Y, WAY)), found.left_out.log_probabilities, atol=1e-9)


@pytest.mark.parametrize("head", [Nearest(feature_maps=("unit length",)), ClassMeans(feature_maps=("unit length",))])
def test_thinned_scores_are_those_of_heads_that_saw_two_less(head: Head) -> None:
    choice = choose(X, Y, WAY, [head])
    found = thinned(choice, Given(X, Y, WAY))
    assert found.shot == SHOT
    (group,) = Given(X, Y, WAY).blocks().groups
    T, expected = choice.fitted.temperature, []
    for place, block in enumerate(group):
        for number, other in enumerate(group):
            if number != place:
                rest = np.setdiff1d(np.arange(len(Y)), np.concatenate([block, other]))
                fitted = head.fit(X[rest], Y[rest], WAY)
                answers = log_probabilities(fitted, X[other]) * fitted.temperature / T
                answers -= np.log(np.exp(answers).sum(1, keepdims=True))
                expected.append(own_scores(answers, Y[other]))
    np.testing.assert_allclose(found.scores, np.sort(np.concatenate(expected)), rtol=1e-4)


@pytest.mark.parametrize("shot", [1, 2])
def test_with_two_examples_per_class_there_is_nothing_to_thin(shot: int) -> None:
    x, y = examples(shot)
    assert not len(thinned(choose(x, y, WAY), Given(x, y, WAY)).scores)


def test_unequal_classes_and_heads_without_a_closed_form_are_not_thinned() -> None:
    x, y = examples(20)
    kept = np.flatnonzero((y > 0) | (np.arange(len(y)) < 3))
    assert not len(thinned(choose(x[kept], y[kept], WAY), Given(x[kept], y[kept], WAY)).scores)
    pytest.importorskip("sklearn")
    assert not len(thinned(choose(X, Y, WAY, [head_named("logistic")]), Given(X, Y, WAY)).scores)
