"""What a model has learnt of its sureness, and what it promises or refuses."""

from dataclasses import replace

import numpy as np
import pytest

from kshot.errors import RecipeError
from kshot.tasks.certainty.asked import Asked
from kshot.tasks.certainty.certainty import Certainty, Judge, certainty_from, learn_certainty, one_label_covers
from kshot.tasks.certainty.sets import SURE
from kshot.tasks.certainty.unknown import Surroundings, familiarity
from kshot.tasks.heads.answer import log_probabilities
from kshot.tasks.heads.choose import choose
from kshot.tasks.heads.given import Given

RNG = np.random.default_rng(0)
WAY, SHOT = 6, 4
CENTRES = RNG.normal(size=(WAY, 12))


def things(per_class: int, spread: float = 0.6) -> tuple[np.ndarray, np.ndarray]:
    y = np.repeat(np.arange(WAY), per_class)
    return (CENTRES[y] + RNG.normal(scale=spread, size=(len(y), 12))).astype(np.float32), y


X, Y = things(SHOT)
GIVEN = Given(X, Y, WAY)
CHOICE = choose(X, Y, WAY)
LEARNT = learn_certainty(CHOICE, GIVEN)
NEAR = Surroundings(X, Y, WAY)


def test_what_is_learnt_comes_back_from_its_arrays() -> None:
    assert (LEARNT.own.shape, LEARNT.familiar.shape, LEARNT.shot.tolist()) == ((24,), (24,), [4])
    assert LEARNT.fewer.shape == (4 * 3 * WAY,)  # each of 4 blocks left aside, each of the 3 others answered
    back = certainty_from(LEARNT.arrays())
    assert back is not None
    assert back.own is LEARNT.own
    assert certainty_from({"vectors": X}) is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"own": None}, r"certainty/own must be float32 \(m,\); found nothing"),
        ({"own": np.zeros(3)}, "certainty/own must be float32 .* found float64"),
        ({"familiar": np.array([1, 0], np.float32)}, "certainty/familiar must hold numbers that ascend"),
        ({"fewer": np.array([np.nan], np.float32)}, "certainty/fewer must hold numbers that ascend"),
        ({"scale": np.ones((3, 2), np.float32)}, r"certainty/scale must be float32 \(2, 3\); found float32 \(3, 2\)"),
        ({"scale": np.full((2, 3), np.inf, np.float32)}, "certainty/scale must hold finite numbers"),
        ({"shot": np.array([np.inf], np.float32)}, "certainty/shot must hold finite numbers"),
        ({"scale": np.zeros((2, 3), np.float32)}, "certainty/scale and certainty/shot must be above 0"),
        ({"shot": np.array([2], np.float32)}, "and above 2 where certainty/fewer holds numbers"),
    ],
)
def test_damaged_arrays_are_refused(changes: dict[str, np.ndarray | None], message: str) -> None:
    arrays = LEARNT.arrays() | {f"certainty/{name}": array for name, array in changes.items()}
    with pytest.raises(ValueError, match=message):
        certainty_from({name: array for name, array in arrays.items() if array is not None})


def test_sets_and_unknown_things_by_hand() -> None:
    own = np.append(np.log(np.arange(1, 10) / 20), [SURE] * 10).astype(np.float32)
    learnt = replace(LEARNT, own=own, fewer=np.empty(0, np.float32))
    judge = Judge(learnt, NEAR, Asked(coverage=0.85, unknown=0.25))  # p ≥ 0.15, the third of 19
    asked = np.stack([X[0], -X.mean(0) - 3])
    answers = np.log([[0.82, 0.16, 0.02], [0.84, 0.08, 0.08]])
    found = judge(answers, asked)
    assert found.sets is not None
    assert found.sets.tolist() == [[True, True, False], [True, False, False]]
    familiar = familiarity(np.column_stack([NEAR.nearness(asked), answers.max(1)]), learnt.scale)
    assert found.unknown.tolist() == (familiar < learnt.familiar[5]).tolist() == [False, True]  # ⌊0.25 · 25⌋ = 6
    assert judge.notes == ()


def test_where_the_label_alone_is_right_often_enough_every_set_is_one_label() -> None:
    own = np.array([-3, *[SURE] * 19], np.float32)
    learnt = replace(LEARNT, own=own, fewer=np.empty(0, np.float32))
    judge = Judge(learnt, NEAR, Asked(coverage=0.8, unknown=0.25))
    assert judge.notes == (
        "every set is one label: the label alone is right for about 0.905 of things, and a coverage of 0.8 is asked for.",
    )
    assert one_label_covers(learnt) == pytest.approx(1 - 2 / 21)
    found = judge(np.log([[0.5, 0.499, 0.001]]), X[:1])
    assert found.sets is not None
    assert found.sets.tolist() == [[True, False, False]]


def test_too_few_examples_say_what_they_can_promise() -> None:
    with pytest.raises(RecipeError, match=r"0\.99 needs 99 examples that are left out; this model has 24, which can promise 0\.96 at most"):
        Judge(LEARNT, NEAR, Asked(coverage=0.99))
    with pytest.raises(
        RecipeError, match=r"24 examples of classes with two cannot tell .* of 0\.01, which needs 99; the least is 0\.04\. Ask"
    ):
        Judge(LEARNT, NEAR, Asked(unknown=0.01))
    few = replace(LEARNT, familiar=LEARNT.familiar[:4])
    judge = Judge(few, NEAR, Asked())
    assert "4 examples of classes with two cannot tell a false-alarm rate of 0.05, which needs 19, so no" in judge.notes[0]
    assert not judge(np.zeros((1, WAY)), np.full((1, 12), 1e6, np.float32)).unknown.any()


def test_one_example_per_class_promises_nothing() -> None:
    x, y = X[::SHOT], Y[::SHOT]
    single = learn_certainty(choose(x, y, WAY), Given(x, y, WAY))
    near = Surroundings(x, y, WAY)
    with pytest.raises(RecipeError, match=r"no class of this model has two\. Give a second example per class"):
        Judge(single, near, Asked(coverage=0.5))
    with pytest.raises(RecipeError, match=r"--unknown 0\.3: 0 examples of classes with two cannot tell .* give a second example per class"):
        Judge(single, near, Asked(unknown=0.3))
    assert "so no thing is called unknown" in Judge(single, near, Asked()).notes[0]


def test_an_example_alone_in_its_class_is_not_learnt_from() -> None:
    x, y = X[:21], Y[:21]  # one of the last class
    learnt = learn_certainty(choose(x, y, WAY), Given(x, y, WAY))
    assert (learnt.own.shape, learnt.familiar.shape, learnt.fewer.shape) == ((20,), (20,), (0,))


def test_a_model_of_an_older_kshot_says_so() -> None:
    assert "no thing is called unknown. Fit it again, or add an example to it." in Judge(None, NEAR, Asked()).notes[0]
    for asked in (Asked(coverage=0.9), Asked(unknown=0.1)):
        with pytest.raises(RecipeError, match=r"of an older kshot, which learnt nothing of how sure it is\. Fit it again"):
            Judge(None, NEAR, asked)


def test_nothing_is_learnt_without_examples() -> None:
    nothing = np.empty(0, np.float32)
    empty = Certainty(nothing, nothing, np.zeros(1, np.float32), nothing, np.ones((2, 3), np.float32))
    assert "0 examples of classes with two cannot tell" in Judge(empty, NEAR, Asked()).notes[0]


@pytest.mark.slow
def test_coverage_and_false_alarms_are_those_that_were_asked_for() -> None:
    """Many draws: on average, sets cover 0.8, and 0.1 of known things are called unknown."""
    covered, alarms, found = [], [], []
    for _ in range(15):
        x, y = things(SHOT, spread=1.0)
        new, truth = things(40, spread=1.0)
        choice = choose(x, y, WAY)
        judge = Judge(learn_certainty(choice, Given(x, y, WAY)), Surroundings(x, y, WAY), Asked(0.8, 0.1))
        verdicts = judge(log_probabilities(choice.fitted, new), new)
        assert verdicts.sets is not None
        covered.append(verdicts.sets[np.arange(len(truth)), truth].mean())
        alarms.append(verdicts.unknown.mean())
        odd = RNG.normal(scale=3, size=(100, 12)).astype(np.float32)
        found.append(judge(log_probabilities(choice.fitted, odd), odd).unknown.mean())
    assert 0.77 < np.mean(covered) < 0.86
    assert 0.04 < np.mean(alarms) < 0.13
    assert np.mean(found) > 2 * np.mean(alarms)
