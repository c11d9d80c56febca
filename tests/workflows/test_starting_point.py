"""A run that starts from the parameters of a saved learner: what it takes, what its record says, and what is refused."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from kshot.errors import RecipeError, SavedError
from kshot.saved.folder import load_folder, read_record, save
from kshot.workflows.experiment import prepare, run, save_best
from kshot.workflows.recipe import Recipe, parse_recipe


@pytest.fixture(scope="module")
def pets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight classes of four pictures."""
    root = tmp_path_factory.mktemp("data") / "pets"
    random = np.random.default_rng(0)
    for number in range(8):
        (root / f"pet{number}").mkdir(parents=True)
        for item in range(4):
            Image.fromarray(random.integers(0, 255, (16, 16, 3), dtype=np.uint8)).save(root / f"pet{number}" / f"{item}.png")
    return root


def recipe_of(
    pets: Path, *, seed: int = 0, split_seed: int = 0, width: int = 3, learner: str = "protonet", **training: Path | str
) -> Recipe:
    parts: dict[str, Any] = {
        "seed": seed,
        "data": {"name": str(pets), "split": "fractions", "split_seed": split_seed, "size": 16, "fractions": [0.5, 0.25, 0.25]},
        "backbone": {"name": "conv4", "width": width},
        "episodes": {"way": 2, "query": 2},
        "validation": {"way": 2, "query": 2, "episodes": 3, "every": 2},
        "learner": {"name": learner},
        "training": {"updates": 4, **{name: str(value) for name, value in training.items()}},
    }
    return parse_recipe(parts, "made")


def trained(pets: Path, folder: Path, **other: Any) -> Path:
    saved = run(prepare(recipe_of(pets, **other), folder, device="cpu"))
    assert saved is not None
    assert saved.folder is not None
    return saved.folder


@pytest.mark.slow
def test_a_run_starts_from_the_parameters_and_its_record_says_so(pets: Path, tmp_path: Path) -> None:
    first = trained(pets, tmp_path / "first")
    ready = prepare(recipe_of(pets, start_from=first, seed=1), tmp_path / "second", device="cpu")
    for name, value in load_folder(first).learner.state_dict().items():
        assert torch.equal(ready.state.learner.state_dict()[name], value), name
    assert ready.state.optimizer.state_dict()["state"] == {}
    assert ready.state.learner.training
    saved = run(ready)
    assert saved is not None
    origin = {"learner": str(first), "sha256": read_record(first)["tensors"]["sha256"], "updates": 4, "seed": 0}
    assert saved.record["started_from"] == origin
    third = run(prepare(recipe_of(pets, start_from=tmp_path / "second", seed=2), tmp_path / "third", device="cpu"))
    assert third is not None
    assert third.record["started_from"]["started_from"] == origin
    assert third.record["recipe"]["training"]["start_from"] == str(tmp_path / "second")


@pytest.mark.slow
def test_it_is_resumed_to_the_same_bits(pets: Path, tmp_path: Path) -> None:
    first = trained(pets, tmp_path / "first")
    whole = trained(pets, tmp_path / "whole", start_from=first, seed=1)
    ready = prepare(recipe_of(pets, start_from=first, seed=1), tmp_path / "halves", device="cpu")
    assert run(ready, stop=lambda: ready.state.update == 1) is None
    again = run(prepare(recipe_of(pets, start_from=first, seed=1), tmp_path / "halves", resume=True, device="cpu"))
    assert again is not None
    for name, value in load_folder(whole).learner.state_dict().items():
        assert torch.equal(again.learner.state_dict()[name], value), name


@pytest.mark.slow
def test_a_resume_from_other_parameters_is_refused(pets: Path, tmp_path: Path) -> None:
    first = trained(pets, tmp_path / "first")
    recipe = recipe_of(pets, start_from=first, seed=1)
    ready = prepare(recipe, tmp_path / "halves", device="cpu")
    run(ready, stop=lambda: ready.state.update == 1)
    held = load_folder(first)
    save(first, held.learner, spec=held.spec, preprocess=held.preprocess, record=held.record, dtype=torch.float16)
    with pytest.raises(SavedError, match="belongs to a run with another recipe: started_from was"):
        prepare(recipe, tmp_path / "halves", resume=True, device="cpu")


def test_a_recipe_without_it_is_recorded_as_before(pets: Path) -> None:
    assert "start_from" not in recipe_of(pets).as_dict()["training"]
    assert recipe_of(pets, start_from="x").as_dict()["training"]["start_from"] == "x"


@pytest.mark.slow
def test_an_unfinished_run_leaves_its_parameters_from_which_another_goes_on(pets: Path, tmp_path: Path) -> None:
    ready = prepare(recipe_of(pets), tmp_path / "run", device="cpu")
    run(ready, stop=lambda: ready.state.update == 3)
    kept = save_best(prepare(recipe_of(pets), tmp_path / "run", resume=True, device="cpu"), tmp_path / "kept", dtype=torch.float16)
    assert (kept.record["updates"], kept.record["best_update"]) == (3, 2)
    best = ready.state.best
    for name, value in load_folder(tmp_path / "kept").learner.state_dict().items():
        rounded = best[name].half().to(value.dtype) if value.is_floating_point() else best[name]
        assert torch.equal(value, rounded), name
    going_on = run(prepare(recipe_of(pets, start_from=tmp_path / "kept", seed=1), tmp_path / "goes-on", device="cpu"))
    assert going_on is not None
    assert going_on.record["started_from"]["updates"] == 3


# The backbone alone, and what does not learn.


@pytest.mark.slow
def test_a_run_takes_the_backbone_of_another_kind_of_learner(pets: Path, tmp_path: Path) -> None:
    first = trained(pets, tmp_path / "first")
    ready = prepare(recipe_of(pets, learner="ridge", backbone_from=first, seed=1), tmp_path / "second", device="cpu")
    theirs = load_folder(first).learner.backbone.state_dict()
    ours = ready.state.learner.backbone.state_dict()
    assert ours.keys() == theirs.keys()
    for name, value in theirs.items():
        assert torch.equal(ours[name], value), name
    assert ready.started_from is not None
    assert ready.started_from["part"] == "backbone"
    assert ready.started_from["sha256"] == read_record(first)["tensors"]["sha256"]


@pytest.mark.slow
def test_a_frozen_backbone_keeps_every_bit_and_the_rest_learns(pets: Path, tmp_path: Path) -> None:
    first = trained(pets, tmp_path / "first")
    recipe = recipe_of(pets, learner="ridge", backbone_from=first, frozen="backbone", seed=1)
    saved = run(prepare(recipe, tmp_path / "second", device="cpu"))
    assert saved is not None
    before, after = load_folder(first).learner.backbone.state_dict(), saved.learner.backbone.state_dict()
    for name, value in before.items():
        assert torch.equal(after[name], value), name  # running statistics, too
    new = prepare(replace(recipe, seed=1), tmp_path / "third", device="cpu").state.learner.state_dict()
    assert any(not torch.equal(new[name], value) for name, value in saved.learner.state_dict().items() if not name.startswith("backbone."))


@pytest.mark.slow
def test_the_last_blocks_learn_where_the_early_ones_are_frozen(pets: Path, tmp_path: Path) -> None:
    recipe = recipe_of(pets, frozen="early")
    recipe = replace(recipe, backbone=replace(recipe.backbone, name="efficientnet_lite0", arguments={}))
    learner = prepare(recipe, tmp_path / "first", device="cpu").state.learner
    learning = {name for name, parameter in learner.named_parameters() if parameter.requires_grad}
    assert "backbone.network.head.conv.weight" in learning
    assert "backbone.network.stem.conv.weight" not in learning
    assert 0 < len(learning) < len(dict(learner.named_parameters()))
    assert not learner.backbone.network.stem.norm.training  # its statistics stay
    assert learner.backbone.network.head.norm.training


# What is refused.


def test_two_starts_are_refused(pets: Path, tmp_path: Path) -> None:
    refused(pets, tmp_path, RecipeError, "a run has one start", start_from="omniglot-maml", backbone_from="omniglot-protonet")


@pytest.mark.slow
def test_the_backbone_of_another_form_is_refused(pets: Path, tmp_path: Path) -> None:
    first = trained(pets, tmp_path / "first")
    refused(pets, tmp_path, SavedError, "the backbone of .* does not fit the learner's", backbone_from=first, width=4, learner="ridge")


def test_a_backbone_without_last_blocks_is_refused(pets: Path, tmp_path: Path) -> None:
    refused(pets, tmp_path, RecipeError, "names its last blocks, such as efficientnet_lite0; found Conv4", frozen="early")


def test_nothing_left_to_learn_is_refused(pets: Path, tmp_path: Path) -> None:
    refused(pets, tmp_path, RecipeError, "frozen", frozen="backbone")


def refused(pets: Path, tmp_path: Path, kind: type[Exception], message: str, **other: Any) -> None:
    with pytest.raises(kind, match=message):
        prepare(recipe_of(pets, **other), tmp_path / "new", device="cpu")
    assert not (tmp_path / "new").exists()


@pytest.mark.slow
def test_other_training_classes_are_refused(pets: Path, tmp_path: Path) -> None:
    first = trained(pets, tmp_path / "first")
    refused(
        pets, tmp_path, RecipeError, "trained on classes that are not training classes of this run: 'pet", start_from=first, split_seed=1
    )


@pytest.mark.slow
def test_another_network_is_refused(pets: Path, tmp_path: Path) -> None:
    first = trained(pets, tmp_path / "first")
    refused(pets, tmp_path, SavedError, "does not fit the learner", start_from=first, width=4)


def test_a_learner_that_does_not_say_what_it_has_seen_is_refused(pets: Path, tmp_path: Path) -> None:
    first = trained(pets, tmp_path / "first")
    file = first / "learner.json"
    content = json.loads(file.read_text())
    del content["record"]["classes_seen"]
    file.write_text(json.dumps(content))
    refused(pets, tmp_path, RecipeError, "does not say on which classes it was trained", start_from=first)


def test_a_learner_that_is_not_there_is_refused(pets: Path, tmp_path: Path) -> None:
    refused(pets, tmp_path, SavedError, "no saved learner 'nowhere'", start_from="nowhere")


@pytest.mark.slow
def test_the_recipe_that_a_run_wrote_names_its_start(pets: Path, tmp_path: Path) -> None:
    first = trained(pets, tmp_path / "first")
    trained(pets, tmp_path / "second", start_from=first)
    written = parse_recipe(json.loads((tmp_path / "second" / "recipe.json").read_text()), "back")
    assert written == recipe_of(pets, start_from=first)
    assert replace(written, training=replace(written.training, start_from="none")) == recipe_of(pets)
