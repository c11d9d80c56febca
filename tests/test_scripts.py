"""What the scripts promise: recipes that train alike go through the same parameters; the pages hold the recorded numbers."""

import importlib.util
import json
import sys
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
    """A script as a module. It finds its neighbours, as it does where it is run."""
    folder = Path(__file__).parents[1] / "scripts"
    spec = importlib.util.spec_from_file_location(name, folder / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(folder))
    try:
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(folder))
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
            "episodes": {"query": 2},
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


def test_the_weights_of_an_unfinished_run_are_kept(recipe_of: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ready = prepare(recipe_of("protonet"), tmp_path / "run", device="cpu")
    assert run(ready, stop=lambda: ready.state.update == 2) is None
    monkeypatch.setattr("sys.argv", ["keep_weights.py", str(tmp_path / "run"), str(tmp_path / "kept")])
    script("keep_weights").main()
    kept = open_saved(tmp_path / "kept")
    assert kept.record["updates"] == 2
    for name, value in kept.learner.state_dict().items():
        mine = ready.state.learner.state_dict()[name]
        assert torch.equal(value, mine.half().to(mine.dtype) if mine.is_floating_point() else mine), name


@pytest.mark.slow
def test_what_does_not_train_alike_is_refused(recipe_of: Any, tmp_path: Path) -> None:
    share = script("share_training").share
    run(prepare(recipe_of("baseline", 2), tmp_path / "baseline", device="cpu"))
    with pytest.raises(RecipeError, match=r"do not train alike: training\.updates was 2, is 4"):
        share(tmp_path / "baseline", recipe_of("finetune", 4), tmp_path / "other")
    with pytest.raises(RecipeError, match=r"baseline and baseline\+\+ do not train alike: only baseline, finetune, simple_shot do"):
        share(tmp_path / "baseline", recipe_of("baseline++", 2), tmp_path / "third")


@pytest.mark.slow
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


ENTRIES = json.loads((Path(__file__).parents[1] / "src" / "kshot" / "recipes" / "results.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("page", script("fill_tables").PAGES, ids=lambda page: page.name)
def test_the_tables_of_the_readme_and_the_pages_are_those_of_the_results(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert script("fill_tables").filled(text, ENTRIES) == text, "run `python scripts/fill_tables.py`"


def test_the_results_hold_the_published_numbers_of_the_script() -> None:
    published_of = script("published").published_of
    for entry in ENTRIES:
        expected = published_of(entry["recipe"], entry["setting"])
        assert {name: entry[name] for name in expected} == expected, "run `python scripts/published.py`"


def entry_of(recipe: str, setting: str, **fields: Any) -> dict[str, Any]:
    """An entry of two settings' worth of fields, without a published number."""
    plain = {"data": "omniglot", "split": "vinyals/test", "published": "none", "source": None, "published_updates": None, "updates": None}
    return {"recipe": recipe, "setting": setting, "measured": "1.00 ± 0.10", "command": "kshot …", **plain, **fields}


def test_a_table_of_recipes_shows_what_is_published_and_where_a_run_is_short() -> None:
    told = {"source": "Ab 2020, Table 1", "published_updates": 60_000}
    entries = [
        entry_of("short", "5-way 1-shot", published="98.8 (Ab 2020)", updates=1_500, **told),
        entry_of("short", "5-way 5-shot", published="99.7 (Ab 2020)", updates=1_500, **told),
        entry_of("long", "5-way 1-shot", published="97.0 (Cd 2021)", source="Cd 2021, page 3", published_updates=60_000, updates=60_000),
        entry_of("none", "5-way 1-shot"),
        entry_of("further", "5-way 1-shot", updates=800, started_from="short", published_updates=60_000),
        entry_of("omniglot-boil", "5-way 1-shot", updates=1_500),  # the recipe in the package has 15,000
    ]
    assert script("fill_tables").overview(entries, "vinyals").splitlines() == [
        "| recipe | 5-way 1-shot | 5-way 5-shot | published | updates (of the authors') |",
        "| --- | --- | --- | --- | --- |",
        "| `short` | 1.00 ± 0.10 | 1.00 ± 0.10 | 98.8 / 99.7 [1] | **1,500 of 60,000** |",
        "| `long` | 1.00 ± 0.10 | – | 97.0 [2] | 60,000 of 60,000 |",
        "| `none` | 1.00 ± 0.10 | – | – | – |",
        "| `further` | 1.00 ± 0.10 | – | – | **800 of 60,000**, from `short` |",
        "| `omniglot-boil` | 1.00 ± 0.10 | – | – | **1,500 of the recipe's 15,000** |",
        "",
        "Published: [1] Ab 2020, Table 1; [2] Cd 2021, page 3.",
    ]


def test_a_page_keeps_everything_but_its_tables() -> None:
    entries = [entry_of("a", "5-way 1-shot", published="98.8 (Ab 2020)", source="Ab 2020, Table 1")]
    text = "before\n<!-- measured: a -->\nold\n<!-- end -->\nafter \\1\n"
    assert script("fill_tables").filled(text, entries) == (
        "before\n<!-- measured: a -->\n"
        "| Omniglot, accuracy % | published | measured here | command |\n| --- | --- | --- | --- |\n"
        "| 5-way 1-shot | 98.8 (Ab 2020) | **1.00 ± 0.10** | `kshot …` |\n\n"
        "Published: Ab 2020, Table 1.\n<!-- end -->\nafter \\1\n"
    )


def test_the_updates_of_a_result_are_those_of_all_runs_that_it_goes_on_from() -> None:
    course = script("record_results").course
    assert course({"updates": 7}) == {"updates": 7, "started_from": None}
    shipped = {"learner": "omniglot-maml", "updates": 15000}
    assert course({"updates": 7, "started_from": shipped}) == {"updates": 7, "started_from": "omniglot-maml"}
    first = {"learner": "runs/first", "updates": 30, "started_from": shipped}
    assert course({"updates": 7, "started_from": first}) == {"updates": 37, "started_from": "omniglot-maml"}
    assert course({"updates": 7, "started_from": {"learner": "runs/first", "updates": 30}}) == {"updates": 37, "started_from": None}
