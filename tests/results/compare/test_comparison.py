import json
from collections.abc import Mapping
from dataclasses import replace
from xml.etree import ElementTree

import numpy as np
import pytest

from kshot.errors import RecipeError
from kshot.results.compare.comparison import Comparison, Round
from kshot.results.compare.cost import Cost
from kshot.results.score.result import Results

COST = Cost(0.0123, 0.5, 20, 75, 111_936, 449_824, 1285, 18_000_000)


def results(scores: list[float] | np.ndarray, shot: int = 1, name: str = "accuracy", **other: object) -> Results:
    made = Results(np.array(scores), name, "omniglot", "vinyals/test", 5, shot, 15, 3, "ab" * 32, "inductive", "running", 1.0)
    return replace(made, **other)  # type: ignore[arg-type]


def comparison(*rounds: Mapping[str, Results], higher: bool = True) -> Comparison:
    return Comparison(tuple(Round(one, dict.fromkeys(one, COST), higher) for one in rounds), "on cpu with 2 threads")


HAND = {"b|ar": results([0.5, 0.7, 0.6, 0.2]), "foo": results([0.9, 0.7, 0.8, 0.4]), "near": results([0.9, 0.7, 0.8, 0.39])}


def test_the_table_is_that_of_a_case_worked_by_hand() -> None:
    heading, empty, top, rule, *rows = comparison(HAND).table().splitlines()
    assert heading == (
        f"5-way 1-shot, 15 queries per class, chance 20 %, 4 episodes of omniglot vinyals/test, seed 3, inductive, episodes {'ab' * 32}"
    )
    assert empty == ""
    cells = [[cell.strip() for cell in row.strip("|").split(" | ")] for row in (top, *rows)]
    costs = ["12.3", "500", "1.28", "18.4", "111,936", "running"]
    heads = ["adapt, ms", "predict 75, ms", "kept, kB", "peak, MB", "meta-parameters", "norm statistics"]
    assert cells == [
        ["learner", "accuracy, %", "difference, points", *heads],
        ["foo", "70.00 ± 21.17", "best", *costs],
        ["near", "69.75 ± 21.62", "-0.25 ± 0.49 ≈", *costs],
        ["b\\|ar", "50.00 ± 21.17", "-20.00 ± 16.00", *costs],
    ]
    assert len({len(line) for line in (top, rule, *rows)}) == 1  # aligned
    assert set(rule) == set("|-: ")


def test_a_notebook_shows_the_tables_the_sentence_and_the_notes() -> None:
    named = {"b|<a>": HAND["b|ar"], "foo": HAND["foo"]}
    shown = comparison(named, {name: replace(one, shot=5) for name, one in named.items()})
    root = ElementTree.fromstring(shown._repr_html_())  # well formed
    assert [one.tag for one in root] == ["table", "table", "p", "details"]
    assert [cell.text for cell in root.findall("table/tbody/tr/th")] == ["foo", "b|<a>"] * 2
    assert [cell.text for cell in root[0].findall("tbody/tr/td")][:2] == ["70.00 ± 21.17", "best"]
    assert "".join(root.find("p").itertext()) == shown.sentence()  # type: ignore[union-attr]
    assert [item.text for item in root.findall("details/ul/li")] == list(shown.notes())


def test_a_table_a_number_of_shots() -> None:
    curve = comparison({"a": results([0.5, 0.6]), "b": results([0.4, 0.6])}, {"a": results([0.5, 0.6], 5), "b": results([0.9, 0.8], 5)})
    tables = curve.table().split("\n\n")
    assert len(tables) == 4
    assert tables[0].startswith("5-way 1-shot")
    assert tables[2].startswith("5-way 5-shot")
    assert [line.split(" | ")[0] for line in tables[3].splitlines()[2:]] == ["| b      ", "| a      "]  # best first
    assert curve.sentence() == "b beats a by 30.0 ± 19.6 points at 5 shots; at 1 shot they do not differ."


def test_less_is_better_where_the_score_says_so() -> None:
    scores = {"maml": [0.5, 0.7, 0.6], "joint": [4.0, 4.0, 4.5]}  # differences 3.5, 3.3, 3.9
    one = comparison({name: results(values, name="mean squared error") for name, values in scores.items()}, higher=False)
    assert one.sentence() == "maml beats joint by 3.567 ± 0.35 in mean squared error at 1 shot."
    cells = [[cell.strip() for cell in line.strip("|").split(" | ")][:3] for line in one.table().splitlines()[2:]]
    assert [cells[0], *cells[2:]] == [
        ["learner", "mean squared error", "difference"],
        ["maml", "0.6 ± 0.11", "best"],
        ["joint", "4.167 ± 0.33", "+3.567 ± 0.35"],
    ]
    assert "points" not in one.table()


def test_memory_that_was_not_measured_is_a_dash() -> None:
    one = Round(HAND, dict.fromkeys(HAND, replace(COST, working_bytes=None)), True)
    assert " – | " in Comparison((one,), "on mps with 2 threads").table()


def test_the_notes_say_once_what_the_numbers_do_not() -> None:
    three, two = comparison(HAND), comparison({name: HAND[name] for name in ("foo", "near")})
    text = " ".join(three.notes())
    assert text.count("training seeds") + text.count("other seeds") == 1
    assert "picked on these same episodes" in text
    assert "2 differences" in text
    assert "picked" not in " ".join(two.notes())
    assert "fewer than 30 episodes" in text
    many = np.random.default_rng(0).random(30)
    assert "fewer" not in " ".join(comparison({"a": results(many), "b": results(many)}).notes())
    assert "± 0 stands for none" in " ".join(comparison({"a": results([1.0]), "b": results([0.5])}).notes())
    assert "on cpu with 2 threads" in text
    assert replace(three, remarks=("Mind the gap.",)).notes()[-1] == "Mind the gap."


def test_as_a_dictionary_it_is_plain_json() -> None:
    plain = json.loads(json.dumps(comparison(HAND).as_dict(), allow_nan=False))
    (one,) = plain["rounds"]
    assert plain["sentence"].startswith("At 1 shot, foo is the best: it beats b|ar by 20.0 ± 16.0 points; near does not differ")
    assert (one["best"], one["shot"], one["episodes"], one["episodes_hash"]) == ("foo", 1, 4, "ab" * 32)
    assert [learner["name"] for learner in one["learners"]] == ["foo", "near", "b|ar"]
    assert {learner["episodes_hash"] for learner in one["learners"]} == {"ab" * 32}
    last = one["learners"][-1]
    assert last["accuracy"] == pytest.approx(0.5)
    assert last["difference_to_best"]["mean"] == pytest.approx(-0.2)
    assert last["difference_to_best"]["differs"] is True
    assert (last["adapt_seconds"], last["task_bytes"], last["working_bytes"], last["meta_parameters"]) == (
        0.0123,
        1285,
        18_000_000,
        111_936,
    )
    assert plain["notes"] == list(comparison(HAND).notes())


def test_shown_as_text_it_is_all_of_it() -> None:
    one = comparison(HAND)
    assert str(one) == "\n\n".join([one.table(), one.sentence(), *one.notes()])


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"episodes_hash": "cd" * 32}, r"episodes_hash is abab.* for a and cdcd.* for b. Evaluate both on one EpisodeSet"),
        ({"score_name": "mean squared error"}, r"score_name is accuracy for a and mean squared error for b"),
        ({"mode": "transductive"}, r"mode is inductive for a and transductive for b"),
    ],
)
def test_results_of_different_tests_are_not_put_side_by_side(other: dict[str, str], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        comparison({"a": results([0.5]), "b": results([0.5], **other)})


def test_scores_without_a_mistake_are_not_left_with_an_interval_of_nothing() -> None:
    one = {"a": results(np.ones(30)), "b": results([0.5, 0.6] * 15)}
    (told,) = (note for note in comparison(one).notes() if note.startswith("a:"))
    assert told.startswith("a: ± 0 stands for no interval, because all 30 episodes have no mistake; the exact 95 % interval")
    assert told.endswith("is 88.43 to 100.00 %.")
    several = comparison(one, {name: replace(each, shot=5) for name, each in one.items()}).notes()
    assert [note[:9] for note in several if "no mistake" in note] == ["a, 1-shot", "a, 5-shot"]
