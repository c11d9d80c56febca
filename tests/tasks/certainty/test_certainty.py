"""What a model has learnt of its sureness, and what it promises or refuses."""

from dataclasses import replace

import numpy as np
import pytest

from kshot.errors import RecipeError
from kshot.tasks.certainty.asked import Asked
from kshot.tasks.certainty.certainty import Certainty, Judge, certainty_from, learn_certainty
from kshot.tasks.certainty.unknown import Neighbours
from kshot.tasks.heads.class_means import ClassMeans

X = np.array([[1, 0], [2, 0.1], [0, 1], [0.1, 3]], np.float32)
Y = np.array([0, 0, 1, 1])
HEAD = ClassMeans(feature_maps=("unit length",))
NEAR = Neighbours(HEAD.fit(X, Y, 2), X, Y, 2)
LEARNT = learn_certainty(HEAD.left_out(X, Y, 2), Y, NEAR)


def test_what_is_learnt_comes_back_from_its_arrays() -> None:
    assert (LEARNT.own.shape, LEARNT.familiar.shape) == ((4,), (4,))
    back = certainty_from({f"certainty/{name}": array for name, array in LEARNT.arrays().items()})
    assert back is not None
    assert back.own is LEARNT.own
    assert certainty_from({}) is None


def test_sets_and_unknown_things_by_hand() -> None:
    own = np.log(np.arange(1, 20) / 20).astype(np.float32)
    judge = Judge(replace(LEARNT, own=own), NEAR, Asked(coverage=0.85, unknown=0.25))  # p ≥ 0.15; less familiar than the least of 4
    found = judge(np.log([[0.86, 0.14], [0.84, 0.16]]), np.array([[1, 0], [1, 1]], np.float32))
    assert found.sets is not None
    assert found.sets.tolist() == [[True, False], [True, True]]
    assert found.unknown.tolist() == [False, True]
    assert judge.notes == ()


def test_too_few_examples_say_what_they_can_promise() -> None:
    with pytest.raises(RecipeError, match=r"0\.9 needs 9 examples that are left out; this model has 4, which can promise 0\.8 at most"):
        Judge(LEARNT, NEAR, Asked(coverage=0.9))
    with pytest.raises(RecipeError, match=r"4 examples cannot tell a false-alarm rate of 0\.1, which needs 9; the least is 0\.2\. Ask"):
        Judge(LEARNT, NEAR, Asked(unknown=0.1))
    judge = Judge(LEARNT, NEAR, Asked())
    assert judge.notes == ("4 examples cannot tell a false-alarm rate of 0.05, which needs 19, so no thing is called unknown.",)
    assert not judge(np.zeros((1, 2)), np.array([[1, 1]], np.float32)).unknown.any()


def test_one_example_per_class_promises_no_sets() -> None:
    single = learn_certainty(HEAD.left_out(X[::2], Y[::2], 2), Y[::2], Neighbours(HEAD.fit(X[::2], Y[::2], 2), X[::2], Y[::2], 2))
    with pytest.raises(RecipeError, match=r"no class of this model has two\. Give a second example per class"):
        Judge(single, NEAR, Asked(coverage=0.5))


def test_a_model_of_an_older_kshot_says_so() -> None:
    assert "no thing is called unknown. Fit it again, or add an example to it." in Judge(None, NEAR, Asked()).notes[0]
    for asked in (Asked(coverage=0.9), Asked(unknown=0.1)):
        with pytest.raises(RecipeError, match=r"of an older kshot, which learnt nothing of how sure it is\. Fit it again"):
            Judge(None, NEAR, asked)


def test_nothing_is_learnt_without_examples() -> None:
    empty = Certainty(np.empty(0, np.float32), np.empty(0, np.float32))
    assert "0 examples cannot tell" in Judge(empty, NEAR, Asked()).notes[0]
