"""The protocol mann asked of saved learners, from Python and on the command line."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from kshot.cli import app
from kshot.data.pictures.omniglot import Omniglot
from kshot.errors import RecipeError
from kshot.learners.table import LearnerSpec
from kshot.saved.folder import Saved, save
from kshot.saved.shipped import open_saved
from kshot.workflows.mann_protocol import answer_sequences
from kshot.workflows.question import Question, ask

MANN = Question(protocol="mann", episodes=6, seed=7)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, omniglot: Omniglot) -> Path:
    """An untrained learner, as if it had been trained on the split of the recipe."""
    spec = LearnerSpec("mann", "flat", {"features": 784, "outputs": 5, "hidden": 8, "heads": 2, "slots": 10, "width": 4})
    folder = tmp_path_factory.mktemp("mann") / "learner"
    record = {"recipe": {"data": {"name": "omniglot", "split": "characters"}}, "fingerprint": omniglot.fingerprint, "classes_seen": {}}
    save(folder, spec.build().eval(), spec=spec, preprocess=omniglot.preprocess, record=record)
    return folder


def opened(folder: Path) -> Saved:
    return open_saved(folder)


@pytest.mark.slow
def test_episodes_are_ten_presentations_of_five_classes(folder: Path) -> None:
    episodes = ask(opened(folder), MANN)
    (drawn,) = episodes.drawn
    assert (drawn.way, drawn.support_y.shape[1] + drawn.query_y.shape[1]) == (5, 50)
    assert episodes.split == "characters/test"
    assert len(episodes.index) == 4 * 423
    assert answer_sequences(opened(folder), episodes, "cpu").scores.shape == (6, 10)


@pytest.mark.slow
def test_the_command_prints_ten_fractions(folder: Path) -> None:
    arguments = ["evaluate", str(folder), "--protocol", "mann", "--episodes", "6", "--seed", "7", "--device", "cpu"]
    done = CliRunner().invoke(app, [*arguments, "--json"])
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert len(found["accuracies"]) == 10
    assert all(0 <= value <= 1 for value in found["accuracies"])
    assert found["ideal_first"] == pytest.approx(137 / 300)
    words = CliRunner().invoke(app, arguments).stdout
    assert "presentation 10" in words
    assert "an ideal learner: 45.67 %" in words


def test_other_learners_are_told_what_the_protocol_is() -> None:
    with pytest.raises(RecipeError, match="each with the label of the item before it; ProtoNet reads a whole support set at once"):
        ask(open_saved("omniglot-protonet"), MANN)


@pytest.mark.slow
def test_flags_that_change_nothing_and_too_many_classes_are_refused(folder: Path) -> None:
    cases = (
        (["--shot", "5"], "shows each class ten times in a sequence: --shot would change nothing"),
        (["--transductive"], "--transductive would change nothing"),
        (["--way", "6", "--episodes", "2"], "at most 5 classes (outputs=5, characters=1); found way=6"),
    )
    for flags, message in cases:
        result = CliRunner().invoke(app, ["evaluate", str(folder), "--protocol", "mann", "--device", "cpu", *flags])
        assert message in str(result.exception)
