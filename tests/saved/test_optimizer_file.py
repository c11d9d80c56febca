"""A learned optimiser on disk: there and back, damage, and where a learner is wanted."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

import kshot
from kshot.errors import RecipeError, SavedError
from kshot.learners.learned_updates.learned_optimizer import LearnedOptimizer
from kshot.learners.table import LearnerSpec
from kshot.running import evaluate_optimizer
from kshot.saved.optimizer_file import FILE, load_optimizer, save_optimizer
from kshot.saved.shipped import open_saved
from kshot.workflows.description import describe_saved, validation_chance
from kshot.workflows.named_learners import find_entrants, open_learner


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    record = {"recipe": {"optimizer": {"functions": {"quadratics": 3}, "estimator": "truncated", "truncation": 20}}, "updates": 7}
    save_optimizer(tmp_path / "optimizer", LearnedOptimizer("coordinate_lstm", hidden=3, horizon=50, seed=4), record)
    return tmp_path


@pytest.mark.parametrize("inner", ["", "optimizer"])
def test_there_and_back(folder: Path, inner: str) -> None:
    again = kshot.load(folder / inner)
    assert isinstance(again, LearnedOptimizer)
    assert again.arguments == {"rule": "coordinate_lstm", "hidden": 3, "layers": 2, "horizon": 50}
    first = LearnedOptimizer("coordinate_lstm", hidden=3, horizon=50, seed=4)
    for name, value in first.state_dict().items():
        assert torch.equal(value, again.state_dict()[name])
    again.optimizer([torch.nn.Parameter(torch.zeros(2))])


@pytest.mark.parametrize("place", [20, -3])
def test_damage_is_found(folder: Path, place: int) -> None:
    file = folder / "optimizer" / FILE
    data = bytearray(file.read_bytes())
    data[place] ^= 1
    file.write_bytes(bytes(data))
    with pytest.raises(SavedError, match=r"is damaged|is not a whole learned optimiser"):
        load_optimizer(folder / "optimizer")
    file.write_bytes(bytes(data[:-5]))
    with pytest.raises(SavedError, match="is not a whole learned optimiser"):
        load_optimizer(folder / "optimizer")


def test_a_newer_format_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kshot.saved.optimizer_file.FORMAT", 0)
    with pytest.raises(SavedError, match="has format 1; this kshot reads up to 0"):
        load_optimizer(folder / "optimizer")


@pytest.mark.parametrize("wanted", [kshot.open_saved, open_learner, lambda source: kshot.Classifier(source, Path())])
def test_where_a_learner_is_wanted_the_message_says_what_it_is(folder: Path, wanted: object) -> None:
    with pytest.raises(SavedError, match=r"is a learned optimiser, not a learner.*in place of Adam.*kshot evaluate"):
        wanted(str(folder))  # type: ignore[operator]


def test_a_comparison_refuses_it_trained_or_not(folder: Path) -> None:
    with pytest.raises(SavedError, match="is a learned optimiser, not a learner"):
        find_entrants([str(folder), "nearest"], folder)
    toml = folder / "mine.toml"
    toml.write_text('trains = "optimizer"\n')
    with pytest.raises(RecipeError, match="trains a learned optimiser, not a learner"):
        find_entrants([str(toml), "nearest"], folder)


def test_it_is_described(folder: Path) -> None:
    rows = dict(describe_saved(folder).rows)
    assert rows["horizon"] == "50 steps"
    assert rows["trained on quadratics"] == "quadratics ‖Wθ - y‖² of 10 numbers, 3 at a time"
    assert rows["updates"] == "7"
    with pytest.raises(SavedError, match="no course of training"):
        describe_saved(folder).required_history()


@pytest.mark.parametrize(
    ("recipe", "message"),
    [
        (7, "record.recipe must be a table; found 7"),
        ({"optimizer": None}, "record.recipe.optimizer must be a table; found None"),
        ({"optimizer": {"functions": {"quadratics": 3}}}, "record.recipe.optimizer.estimator, .*truncation is missing"),
        ({"optimizer": {"functions": [], "estimator": "truncated", "truncation": 20}}, "optimizer.functions must be a table; found"),
    ],
)
def test_a_record_of_another_form_is_damage(tmp_path: Path, recipe: object, message: str) -> None:
    save_optimizer(tmp_path, LearnedOptimizer("coordinate_lstm", hidden=3, horizon=50, seed=4), {"recipe": recipe})
    with pytest.raises(SavedError, match=f"is not a whole learned optimiser .*{message}"):
        load_optimizer(tmp_path)


def test_functions_are_asked_for_where_the_record_names_none(tmp_path: Path) -> None:
    save_optimizer(tmp_path, LearnedOptimizer("coordinate_lstm", hidden=3, horizon=50, seed=4), {})
    with pytest.raises(RecipeError, match=r"does not say what it was trained on\. Name kinds of functions: --data quadratics"):
        evaluate_optimizer(tmp_path, None, None, 0, as_json=True, plot=None)


def test_a_learner_is_described() -> None:
    description = describe_saved("omniglot-maml")
    assert dict(description.rows)["learner"] == "maml"
    assert description.score == "accuracy"
    assert description.required_history()
    assert description.trained_on == "omniglot, split characters"
    assert description.chance == 1 / saved_way("omniglot-maml")


@pytest.mark.parametrize("updates", ["7", None, [7], {}, 2**400])
@pytest.mark.parametrize(
    "validation", [None, 7, "x", [7, None, [], {"update": 3}], [{"update": 3, "mean": "a", "interval": 0.1, "loss": {}}]]
)
def test_a_record_of_another_form_is_described_as_far_as_it_can_be(tmp_path: Path, updates: object, validation: object) -> None:
    best = {"update": 5, "mean": 0.25, "interval": 0.01, "loss": 2}
    more = [best, {**best, "mean": 1e39}] if isinstance(validation, list) else []
    record = {"updates": updates, "best_update": 5, "validation": [*validation, *more] if isinstance(validation, list) else validation}
    kshot.save(tmp_path, LearnerSpec("protonet", "mlp", {}, {"inputs": 2}).build(), record=record)
    description = describe_saved(tmp_path)
    assert "updates" not in dict(description.rows)
    assert description.history == ([best] if more else [])
    assert dict(description.rows).get("best accuracy") == ("25.00 ± 1.00 %, at update 5" if more else None)


def saved_way(name: str) -> int:
    way: int = open_saved(name).record["recipe"]["validation"]["way"]
    return way


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        ({"recipe": {"validation": {"way": 20}}}, 1 / 20),
        ({"recipe": {"validation": {"way": [2, 4]}}}, (1 / 2 + 1 / 3 + 1 / 4) / 3),
        ({"recipe": {"validation": {"way": 0}}, "division": {"val": ["a", "b", "c"]}}, 1 / 3),
        ({"recipe": {"validation": {"way": 0}}, "division": {"val": list("abcdefgh")}}, 1 / 5),
        ({"recipe": {"validation": {"way": 0}}}, None),
        ({"recipe": {"validation": {"way": [2]}}}, None),
        ({"recipe": {"validation": {"way": "5"}}}, None),
        ({"recipe": []}, None),
        ({}, None),
    ],
)
def test_chance_in_validation_is_read_from_the_record_or_unknown(record: dict[str, Any], expected: float | None) -> None:
    found = validation_chance(replace(open_saved("omniglot-maml"), record=record))
    assert found == (None if expected is None else pytest.approx(expected))
