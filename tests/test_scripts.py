"""What the scripts promise: recipes that train alike go through the same parameters."""

import importlib.util
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from kshot.data.pictures.ink import Ink
from kshot.episodes.shape import EpisodeShape
from kshot.errors import RecipeError, SavedError
from kshot.saved.shipped import open_saved
from kshot.workflows.experiment import prepare, run
from kshot.workflows.question import Question, answer, ask
from kshot.workflows.recipe import Recipe, parse_recipe


def script(name: str) -> ModuleType:
    """A script as a module."""
    spec = importlib.util.spec_from_file_location(name, Path(__file__).parents[1] / "scripts" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def recipe_of(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("pets")
    random = np.random.default_rng(0)
    for number in range(8):
        (folder / f"pet{number}").mkdir()
        for item in range(5):
            Image.fromarray(random.integers(0, 255, (16, 16, 3), dtype=np.uint8)).save(folder / f"pet{number}" / f"{item}.png")

    def made(learner: str, updates: int = 4, **arguments: Any) -> Recipe:
        parts = {
            "data": {"name": str(folder), "split": "fractions", "size": 16},
            "learner": {"name": learner, **arguments},
            "backbone": {"width": 3},
            "items": {"batch": 6},
            "validation": {"way": 2, "query": 2, "episodes": 3, "every": 4},
            "training": {"updates": updates},
        }
        return parse_recipe(parts, "of this test")

    return made


@pytest.mark.slow
def test_sharing_gives_what_training_would_have_given(recipe_of: Any, tmp_path: Path) -> None:
    share = script("share_training").share
    run(prepare(recipe_of("baseline"), tmp_path / "baseline", device="cpu"))
    for name in ("finetune", "simple_shot"):
        shared = share(tmp_path / "baseline", recipe_of(name), tmp_path / f"shared-{name}", "the command")
        alone = run(prepare(recipe_of(name), tmp_path / name, device="cpu"))
        assert shared is not None
        assert alone is not None
        assert shared.record["command"] == "the command"
        assert shared.record["updates"] == 4
        expected, found = alone.learner.state_dict(), shared.learner.state_dict()
        assert expected.keys() == found.keys()
        expected.pop("batches", None)  # SimpleShot's count of the batches that moved its mean, which is taken anew after training
        assert [key for key in expected if not torch.equal(expected[key], found[key])] == []


def test_what_does_not_train_alike_is_refused(recipe_of: Any, tmp_path: Path) -> None:
    share = script("share_training").share
    run(prepare(recipe_of("baseline", 2), tmp_path / "baseline", device="cpu"))
    with pytest.raises(RecipeError, match=r"do not train alike: training\.updates was 2, is 4"):
        share(tmp_path / "baseline", recipe_of("finetune", 4), tmp_path / "other")
    with pytest.raises(RecipeError, match=r"baseline and baseline\+\+ do not train alike: only baseline, finetune, simple_shot do"):
        share(tmp_path / "baseline", recipe_of("baseline++", 2), tmp_path / "third")


def test_an_ensemble_is_a_saved_learner_like_any_other(tmp_path: Path) -> None:
    shipped, views = open_saved("omniglot-protonet"), 2
    script("assemble").together(tmp_path / "both", [shipped, shipped], views)
    both = open_saved(tmp_path / "both")
    assert both.spec is not None
    assert both.spec.learner == "ensemble"
    assert both.record["classes_seen"] == shipped.record["classes_seen"]
    assert len(both.record["members"]) == 2
    question = Question(shape=EpisodeShape(5, 1, 3), episodes=5)
    results = answer(both, ask(both, question), "inductive")
    assert results.mean > 0.8


def test_members_that_read_differently_are_refused(tmp_path: Path) -> None:
    shipped = open_saved("omniglot-protonet")
    with pytest.raises(SavedError, match="member 1 reads other data, or reads them in another way"):
        script("assemble").together(tmp_path / "both", [shipped, replace(shipped, preprocess=Ink(32))], 1)
