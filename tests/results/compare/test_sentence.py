import pytest

from kshot.results.compare.paired import Difference, Standing
from kshot.results.compare.sentence import amount, joined, sentence


def standings(best: str, **others: tuple[float, float]) -> list[Standing]:
    """The best and the others, each with its difference and the interval of it."""
    away = [Standing(name, 0.9 + mean, 0.01, Difference(mean, interval, 600)) for name, (mean, interval) in others.items()]
    return [Standing(best, 0.9, 0.01, Difference(0, 0, 600)), *away]


def test_one_beats_the_other_at_one_shot() -> None:
    assert sentence({"1": standings("protonet", finetune=(-0.031, 0.004))}) == "protonet beats finetune by 3.1 ± 0.4 points at 1 shot."


def test_two_over_several_shots() -> None:
    curve = {
        "1": standings("protonet", finetune=(-0.031, 0.004)),
        "5": standings("protonet", finetune=(-0.0051, 0.0006)),
        "10": standings("protonet", finetune=(-0.0001, 0.004)),
        "20": standings("finetune", protonet=(-0.0001, 0.004)),
    }
    expected = (
        "protonet beats finetune by 3.1 ± 0.4 points at 1 shot and by 0.51 ± 0.06 points at 5 shots; at 10 and 20 shots they do not differ."
    )
    assert sentence(curve) == expected


def test_two_that_take_turns() -> None:
    curve = {"1": standings("a", b=(-0.02, 0.01)), "5": standings("b", a=(-0.03, 0.01))}
    assert sentence(curve) == "a beats b by 2.0 ± 1.0 points at 1 shot; b beats a by 3.0 ± 1.0 points at 5 shots."


def test_two_that_tie_whoever_stands_first() -> None:
    assert sentence({"1": standings("b", a=(-0.001, 0.01))}) == "a and b do not differ at 1 shot."
    assert sentence({"1": standings("b", a=(-0.001, 0.01)), "5": standings("a", b=(0, 0))}) == "a and b do not differ at 1 and 5 shots."


def test_many_learners_against_the_best() -> None:
    row = standings("ridge", protonet=(-0.001, 0.002), matching=(-0.02, 0.003), siamese=(-0.1, 0.02), maml=(-0.001, 0.001))
    assert sentence({"1": row}) == (
        "At 1 shot, ridge is the best: it beats matching by 2.0 ± 0.3 and siamese by 10.0 ± 2.0 points; "
        "maml and protonet do not differ from it."
    )
    assert sentence({"1": standings("a", b=(-0.02, 0.01), c=(0, 0))}) == (
        "At 1 shot, a is the best: it beats b by 2.0 ± 1.0 points; c does not differ from it."
    )
    assert sentence({"1": standings("a", b=(-0.02, 0.01), c=(-0.03, 0.01)), "1–5": standings("c", a=(0, 0.1), b=(0, 0.1))}) == (
        "At 1 shot, a is the best: it beats b by 2.0 ± 1.0 and c by 3.0 ± 1.0 points. "
        "At 1–5 shots, no learner differs from c, whose mean is the best."
    )


def test_scores_of_which_less_is_better_have_no_points() -> None:
    row = standings("maml", joint=(3.52, 0.31))
    assert sentence({"5": row}, "mean squared error") == "maml beats joint by 3.52 ± 0.31 in mean squared error at 5 shots."
    many = standings("maml", joint=(3.52, 0.31), reptile=(0.01, 0.02))
    assert sentence({"5": many}, "mean squared error") == (
        "At 5 shots, maml is the best: it beats joint by 3.52 ± 0.31 in mean squared error; reptile does not differ from it."
    )


def test_one_episode_tells_nothing() -> None:
    row = [Standing("a", 1.0, 0.0, Difference(0, 0, 1)), Standing("b", 0.0, 0.0, Difference(-1.0, 0.0, 1))]
    assert sentence({"1": row}) == "One episode cannot tell learners apart: it has no interval."


@pytest.mark.parametrize(
    ("mean", "interval", "words"),
    [
        (-0.031, 0.004, "3.1 ± 0.4"),
        (0.031, 0.00095, "3.1 ± 0.1"),
        (0.0312, 0.0009, "3.12 ± 0.09"),
        (0.25, 0.0, "25.00 ± 0.00"),
        (-0.4, 0.1234, "40.0 ± 12.3"),
    ],
)
def test_amounts_in_points(mean: float, interval: float, words: str) -> None:
    assert amount(Difference(mean, interval, 100)) == words


def test_lists_in_words() -> None:
    assert [joined(words) for words in (["a"], ["a", "b"], ["a", "b", "c"])] == ["a", "a and b", "a, b and c"]
