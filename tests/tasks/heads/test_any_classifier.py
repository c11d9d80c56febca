"""A classifier of scikit-learn as a head: fitted, left out in folds, and never saved."""

import numpy as np
import pytest
from sklearn.ensemble import RandomForestClassifier
from sklearn.svm import LinearSVC
from sklearn.tree import DecisionTreeClassifier

from kshot.errors import RecipeError
from kshot.tasks.heads.any_classifier import AnyClassifier


def examples() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    y = np.repeat(np.arange(3), 6)
    return (3 * rng.normal(size=(3, 4))[y] + rng.normal(size=(18, 4))).astype(np.float32), y


@pytest.mark.slow
def test_its_answers_are_its_own() -> None:
    x, y = examples()
    head = AnyClassifier(RandomForestClassifier(20, random_state=0))
    fitted = head.fit(x, y, 3)
    expected = RandomForestClassifier(20, random_state=0).fit(x, y).predict_proba(x)
    np.testing.assert_allclose(np.exp(fitted.log_probabilities(x)), expected, atol=1e-5)
    assert head.name == "RandomForestClassifier"
    found = head.left_out(x, y, 3)
    assert found.scored.all()
    assert found.how == "5 stratified folds, drawn 2 times"
    assert np.isfinite(found.log_likelihoods).all()


def test_its_left_out_answers_have_not_seen_the_example() -> None:
    rng = np.random.default_rng(1)
    y = np.arange(60) % 2
    found = AnyClassifier(DecisionTreeClassifier(random_state=0)).left_out(rng.normal(size=(60, 3)).astype(np.float32), y, 2)
    assert (found.log_probabilities.argmax(1) == y).mean() < 0.75  # a tree is right for all that it has seen


def test_a_class_with_one_example_is_not_scored() -> None:
    x, y = examples()
    x, y = np.concatenate([x, x[:1] + 9]), np.append(y, 3)
    found = AnyClassifier(DecisionTreeClassifier(random_state=0)).left_out(x, y, 4)
    assert found.scored.tolist() == [True] * 18 + [False]
    assert not AnyClassifier(DecisionTreeClassifier()).left_out(x[[0, 6]], np.array([0, 1]), 2).scored.any()


def test_it_needs_probabilities() -> None:
    with pytest.raises(RecipeError, match="LinearSVC lacks one"):
        AnyClassifier(LinearSVC())
