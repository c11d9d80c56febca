"""Lake's challenge asked of saved learners: who may answer, and what the score says."""

from dataclasses import replace

import numpy as np
import pytest
from typer.testing import CliRunner

from kshot.cli import app
from kshot.data.pictures.ink import Ink
from kshot.data.pictures.omniglot import Omniglot
from kshot.data.pictures.picture import Picture
from kshot.errors import DataError
from kshot.saved.class_names import fold
from kshot.saved.folder import Saved
from kshot.saved.shipped import open_saved
from kshot.workflows.lake_challenge import in_words
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
    assert in_words(results).startswith(f"{wrong} of 400 trials are wrong: an error of {wrong / 4:.2f} %.")
    assert 0 < wrong < 40  # it has seen many of the characters: this is no score, only a sign that the trials are asked rightly


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


def test_the_command_refuses_in_one_message() -> None:
    for flags, message in ((["--protocol", "lake"], "30 background alphabets"), (["--protocol", "lakes"], "no protocol 'lakes'")):
        result = CliRunner().invoke(app, ["evaluate", "omniglot-protonet", *flags])
        assert message in str(result.exception)
