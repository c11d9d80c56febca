"""Lake's challenge asked of saved learners: who may answer, and what the score says."""

import json
from dataclasses import replace

import numpy as np
import pytest
from typer.testing import CliRunner

from kshot.cli import app
from kshot.data.pictures.ink import Ink
from kshot.data.pictures.lake_runs import lake_runs
from kshot.data.pictures.omniglot import Omniglot
from kshot.data.pictures.picture import Picture
from kshot.errors import DataError
from kshot.results.score.result import Results
from kshot.saved.class_names import fold
from kshot.saved.folder import Saved
from kshot.saved.shipped import open_saved
from kshot.workflows.lake_challenge import error_counts, in_words, random_in_words, random_lake_episodes
from kshot.workflows.named_learners import open_learner
from kshot.workflows.question import Question, answer, ask

LAKE = Question(protocol="lake")


@pytest.fixture(scope="module")
def background_only(omniglot: Omniglot) -> Saved:
    """The shipped learner, as if it had been trained on the background alphabets."""
    saved = open_saved("omniglot-protonet")
    names = omniglot.split("alphabets").part("trainval").names
    return replace(saved, record={**saved.record, "classes_seen": fold(names), "split": "alphabets"})


@pytest.mark.slow
def test_the_trials_are_twenty_runs_of_twenty(background_only: Saved) -> None:
    episodes = ask(background_only, LAKE)
    results = answer(background_only, episodes, "inductive")
    assert results.scores.shape == (20,)
    assert results.split == "lake"
    assert results.episodes_hash.startswith("35fc1a673ac86f4c")  # of the published runs
    wrong = round(float((1 - results.scores).sum()) * 20)
    assert in_words(results).startswith(f"{wrong} of 400 trials are wrong: an error of {wrong / 4:.2f} % (exact 95 % interval")
    assert 0 < wrong < 40  # it has seen many of the characters: this is no score, only a sign that the trials are asked rightly


@pytest.mark.slow
def test_random_trials_are_of_one_alphabet_by_one_drawer_and_another(omniglot: Omniglot) -> None:
    episodes = random_lake_episodes(omniglot, 40, 3)
    (drawn,) = episodes.drawn
    runs = lake_runs(omniglot)
    assert len(set(episodes.index.groups or ())) == 10
    assert {name for names in runs.classes for name in names} <= set(episodes.index.names)
    drawers = []
    for episode in range(40):
        names = [episodes.index.names[position] for position in drawn.classes[episode]]
        assert len(set(names)) == 20
        assert len({name.partition("/")[0] for name in names}) == 1
        support = {
            omniglot.index.items_of(name).tolist().index(item) for name, item in zip(names, drawn.support_items[episode], strict=True)
        }
        query = {omniglot.index.items_of(name).tolist().index(item) for name, item in zip(names, drawn.query_items[episode], strict=True)}
        assert len(support) == len(query) == 1
        assert support != query
        drawers.append((support.pop(), query.pop()))
    assert len(set(drawers)) > 20
    assert random_lake_episodes(omniglot, 40, 3).hash == episodes.hash != random_lake_episodes(omniglot, 40, 4).hash


@pytest.mark.slow
def test_random_trials_are_asked_by_the_command(background_only: Saved) -> None:
    results = answer(background_only, ask(background_only, Question(protocol="lake_random", episodes=30)), "inductive")
    assert (results.split, results.scores.shape) == ("lake_random", (30,))
    error = f"{100 * (1 - results.mean):.2f} ± {100 * results.interval:.2f}"
    assert random_in_words(results).startswith(f"{error} % of 600 trials are wrong, ±")
    output = CliRunner().invoke(app, ["evaluate", "omniglot-lake", "--protocol", "lake_random", "--way", "5"])
    assert "20 ways, one shot and one query" in str(output.exception)


def scored(wrong: int) -> Results:
    """A score of 400 trials."""
    scores = np.ones(20)
    scores[: wrong // 20] = 0
    scores[wrong // 20] -= wrong % 20 / 20
    return Results(scores, "accuracy", "omniglot", "lake", 20, 1, 1, 0, "hash", "inductive", "running", 0.0)


def test_the_counts_are_plain_values_with_an_exact_interval_and_two_tests() -> None:
    counts = json.loads(json.dumps(error_counts(scored(7))))
    assert (counts["wrong"], counts["trials"]) == (7, 400)
    assert counts["error"] == 0.0175
    assert counts["error_interval"] == pytest.approx([0.0071, 0.0357], abs=5e-5)
    assert counts["p_people"] == pytest.approx(0.040, abs=5e-4)
    assert counts["p_bpl"] == pytest.approx(0.257, abs=5e-4)


@pytest.mark.parametrize(
    ("wrong", "interval", "told"),
    [
        (7, "0.7 to 3.6 %", "smaller than that of people (p = 0.04) and not different from that of Bayesian program learning (p = 0.26)"),
        (
            18,
            "2.7 to 7.0 %",
            "not different from that of people (p = 1) and not different from that of Bayesian program learning (p = 0.46)",
        ),
        (56, "10.8 to 17.8 %", "larger than that of people (p = 4.1e-06) and larger than that of Bayesian program learning (p = 4.8e-08)"),
    ],
)
def test_the_sentence_says_what_is_significant(wrong: int, interval: str, told: str) -> None:
    sentence = in_words(scored(wrong))
    assert f"(exact 95 % interval {interval})" in sentence
    assert f"this error is {told}." in sentence
    assert "recursive cortical network 7.3 %" in sentence
    assert "on another division of the alphabets, attentive recurrent comparators 1.5 %" in sentence


@pytest.mark.slow
def test_each_trial_is_judged_alone(background_only: Saved) -> None:
    episodes = ask(background_only, LAKE)
    together = answer(background_only, episodes, "inductive").scores
    alone = []
    for query in range(20):
        (drawn,) = episodes.drawn
        one = replace(drawn, query_items=drawn.query_items[:, [query]], query_y=drawn.query_y[:, [query]])
        alone.append(answer(background_only, replace(episodes, drawn=(one,)), "inductive").scores)
    assert np.mean(alone, axis=0).tolist() == pytest.approx(together.tolist())


@pytest.mark.slow
def test_what_has_learnt_nothing_gets_the_full_size() -> None:
    episodes = ask(open_learner("hausdorff"), LAKE)
    assert episodes.dataset.preprocess == Ink(105)


def test_a_learner_that_has_seen_the_evaluation_alphabets_is_refused_and_they_are_named() -> None:
    with pytest.raises(DataError, match=r"has seen 944 classes of 8 others: Angelic/character01/rot000, .* or use omniglot-lake"):
        ask(open_saved("omniglot-protonet"), LAKE)


def test_a_learner_of_photographs_is_refused(background_only: Saved) -> None:
    with pytest.raises(DataError, match="ink on paper; this learner reads Picture"):
        ask(replace(background_only, preprocess=Picture(84, 3)), LAKE)


@pytest.mark.slow
def test_the_command_refuses_in_one_message() -> None:
    for flags, message in ((["--protocol", "lake"], "30 background alphabets"), (["--protocol", "lakes"], "no protocol 'lakes'")):
        result = CliRunner().invoke(app, ["evaluate", "omniglot-protonet", *flags])
        assert message in str(result.exception)


@pytest.mark.slow
def test_the_command_prints_the_counts_with_the_score() -> None:
    result = CliRunner().invoke(app, ["evaluate", "omniglot-lake", "--protocol", "lake", "--json"])
    answered = json.loads(result.stdout)
    assert (answered["wrong"], answered["trials"], answered["accuracy"]) == (7, 400, pytest.approx(0.9825))
    assert answered["error_interval"] == pytest.approx([0.0071, 0.0357], abs=5e-5)
