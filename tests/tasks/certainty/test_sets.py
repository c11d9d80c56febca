"""Sets of classes: never empty, and those above the threshold."""

import numpy as np

from kshot.tasks.certainty.sets import SURE, own_scores, sets_of


def test_scores_are_those_of_the_right_class_where_there_is_one() -> None:
    left_out = np.log([[0.5, 0.3, 0.2], [0.1, 0.6, 0.3], [np.nan, np.nan, np.nan], [0.3, 0.6, 0.1], [0.3, 0.3, 0.4]])
    found = own_scores(left_out, np.array([0, 2, 1, 2, 0]))
    np.testing.assert_allclose(np.exp(found), [0.1, 0.3, 0.3, np.exp(SURE)], rtol=1e-6)
    assert found.dtype == np.float32


def test_a_set_is_never_empty() -> None:
    answers = np.log([[0.2, 0.5, 0.3], [0.8, 0.15, 0.05], [1 / 3, 1 / 3, 1 / 3]])
    assert sets_of(answers, SURE).sum(1).tolist() == [1, 1, 1]
    assert sets_of(answers, SURE).argmax(1).tolist() == [1, 0, 0]
    assert sets_of(answers, np.log(0.25)).tolist() == [[False, True, True], [True, False, False], [True, True, True]]
    assert sets_of(answers, -np.inf).all()


def test_an_example_is_in_its_set_exactly_if_its_score_reaches_the_threshold() -> None:
    rng = np.random.default_rng(0)
    answers = np.log(rng.dirichlet(np.ones(5), 200)).astype(np.float32)
    y = rng.integers(0, 5, 200)
    scores = own_scores(answers, y)
    for threshold in scores[::7]:
        assert sets_of(answers, float(threshold))[np.arange(200), y].sum() == (scores >= threshold).sum()
