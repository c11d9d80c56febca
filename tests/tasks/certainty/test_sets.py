"""Sets of classes: never empty, and those above the threshold."""

import numpy as np

from kshot.tasks.certainty.sets import own_scores, sets_of


def test_scores_are_those_of_the_right_class_where_there_is_one() -> None:
    left_out = np.log([[0.5, 0.5], [0.1, 0.9], [np.nan, np.nan], [0.3, 0.7]])
    found = own_scores(left_out, np.array([0, 1, 1, 0]), np.array([True, True, False, True]))
    np.testing.assert_allclose(np.exp(found), [0.3, 0.5, 0.9], rtol=1e-6)
    assert found.dtype == np.float32


def test_a_set_is_never_empty() -> None:
    answers = np.log([[0.2, 0.5, 0.3], [0.8, 0.15, 0.05], [1 / 3, 1 / 3, 1 / 3]])
    assert sets_of(answers, 0.0).sum(1).tolist() == [1, 1, 1]
    assert sets_of(answers, 0.0).argmax(1).tolist() == [1, 0, 0]
    assert sets_of(answers, np.log(0.25)).tolist() == [[False, True, True], [True, False, False], [True, True, True]]
    assert sets_of(answers, -np.inf).all()
