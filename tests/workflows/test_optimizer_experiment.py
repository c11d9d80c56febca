"""A training run of a learned optimiser: what it writes, that a stopped run goes on bit-identically, and what it refuses."""

import json
from pathlib import Path

import pytest
import torch

from kshot.errors import RecipeError, SavedError
from kshot.saved.optimizer_file import FILE, load_optimizer
from kshot.workflows.optimizer_experiment import prepare_optimizer, run_optimizer
from kshot.workflows.recipe import Recipe, parse_recipe, read_recipe


def small(**optimizer: object) -> Recipe:
    table = {"functions": {"quadratics": 2}, "horizon": 6, "truncation": 2, "hidden": 4, "pairs": 1, **optimizer}
    training = {"updates": 7, "save_every": 2, "lr": 0.01}
    return parse_recipe(
        {"trains": "optimizer", "optimizer": table, "training": training, "validation": {"episodes": 2, "every": 3}}, "small"
    )


@pytest.mark.slow
@pytest.mark.parametrize(("estimator", "second_order"), [("truncated", False), ("truncated", True), ("persistent", False)])
@pytest.mark.parametrize("rule", ["tensor_lstm", "coordinate_lstm"])
def test_a_stopped_run_goes_on_bit_identically(tmp_path: Path, estimator: str, second_order: bool, rule: str) -> None:
    recipe = small(estimator=estimator, rule=rule, second_order=second_order)
    whole = run_optimizer(prepare_optimizer(recipe, tmp_path / "whole"))
    done: list[int] = []
    ready = prepare_optimizer(recipe, tmp_path / "parts")
    assert run_optimizer(ready, on_step=lambda step: done.append(step.update), stop=lambda: done[-1] == 4) is None  # inside a trajectory
    resumed = run_optimizer(prepare_optimizer(recipe, tmp_path / "parts", resume=True))
    assert whole is not None
    assert resumed is not None
    assert (tmp_path / "whole/state.safetensors").read_bytes() == (tmp_path / "parts/state.safetensors").read_bytes()
    assert (tmp_path / "whole/optimizer" / FILE).read_bytes() == (tmp_path / "parts/optimizer" / FILE).read_bytes()
    lines = [json.loads(line) for line in (tmp_path / "parts/metrics.jsonl").read_text().splitlines()]
    assert [line["update"] for line in lines] == list(range(1, 8))


def test_what_is_saved_is_the_best_state(tmp_path: Path) -> None:
    saved = run_optimizer(prepare_optimizer(small(), tmp_path), command="kshot train small")
    assert saved is not None
    again = load_optimizer(tmp_path / "optimizer")
    assert again.record == saved.record
    assert again.record["command"] == "kshot train small"
    assert len(again.record["validation"]) == 3
    for name, value in again.optimizer.state_dict().items():
        assert torch.equal(value, saved.optimizer.state_dict()[name])


def test_another_recipe_is_refused(tmp_path: Path) -> None:
    run_optimizer(prepare_optimizer(small(), tmp_path))
    with pytest.raises(SavedError, match=r"optimizer\.sigma was 0\.01, is 0\.1"):
        prepare_optimizer(small(sigma=0.1), tmp_path, resume=True)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"functions": {}}, "at least one kind"),
        ({"functions": {"quadratics": 0}}, "at least one kind"),
        ({"functions": {"quadratic": 2}}, "no kind of objective 'quadratic'. Did you mean 'quadratics'"),
        ({"horizon": 7}, "multiple of optimizer.truncation; found 7 and 2"),
        ({"rule": "lstm"}, "no learned rule 'lstm'"),
        ({"functions": {"quadratics": "two"}}, "a table of names, each with a whole number; found"),
    ],
)
def test_a_recipe_that_asks_for_the_impossible(tmp_path: Path, settings: dict[str, object], words: str) -> None:
    with pytest.raises(RecipeError, match=words):
        prepare_optimizer(small(**settings), tmp_path)


def test_sections_of_the_other_kind_are_refused() -> None:
    with pytest.raises(RecipeError, match=r"trains a learned optimiser; it has no use for \[learner\]"):
        parse_recipe({"trains": "optimizer", "learner": {"name": "maml"}}, "mixed")
    with pytest.raises(RecipeError, match=r"trains a learner; it has no use for \[optimizer\]"):
        parse_recipe({"optimizer": {"rule": "tensor_lstm"}}, "mixed")


def test_a_start_from_a_learner_is_refused(tmp_path: Path) -> None:
    recipe = parse_recipe({"trains": "optimizer", "training": {"start_from": "omniglot-maml"}}, "started")
    with pytest.raises(RecipeError, match=r"learns whole; found training\.start_from='omniglot-maml'"):
        prepare_optimizer(recipe, tmp_path)


def test_another_device_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kshot.workflows.optimizer_experiment.pick_device", lambda name: torch.device(name))
    with pytest.raises(RecipeError, match="trained on the CPU"):
        prepare_optimizer(small(), tmp_path, device="cuda")


def test_the_built_in_recipe_trains_an_optimizer() -> None:
    recipe = read_recipe("learned-optimizer")
    assert recipe.trains == "optimizer"
    assert recipe.optimizer.horizon >= 100
    assert set(recipe.as_dict()) == {"description", "trains", "seed", "optimizer", "validation", "training"}
