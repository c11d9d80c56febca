"""Scores and training against recorded values: what a change must not change unless it says so.

- The four scores of `omniglot-protonet` stand in the package, in `recipes/results.json`, each with the hash of its episodes.
- `recorded.json`, beside this file, holds under `scores` what the shipped `omniglot-maml` reaches on 200 of the tasks of its page
  (`kshot evaluate omniglot-maml --way 5 --shot 1 --query 1 --episodes 200 --augment quarter_turns`, and with `--transductive`).
- Under `updates` it holds 20 updates of every built-in recipe whose data are in the package: the loss of each update, and the norm of the
  parameters after the last. Networks and tasks are small here, and the numbers are in float64, so that what rounds otherwise (another
  processor, another number of threads) stays far below the tolerance.

Record again with `python tests/test_recorded.py`, which prints what has changed. That is legitimate after a change that is meant to change
training (another initialisation, other episodes, another default of a recipe) and says so in CHANGELOG.md, and for a new recipe. After a
change of structure or of speed it is not: the change has a fault.
"""

import json
import math
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from kshot.data.inputs import Inputs, map_inputs
from kshot.episodes.episode import EpisodeBatch
from kshot.episodes.item_stream import ItemBatch
from kshot.episodes.shape import EpisodeShape
from kshot.meta_train.loop import Stream, train
from kshot.results.score.evaluate import evaluate
from kshot.results.score.features import encode_used
from kshot.results.score.result import Results
from kshot.saved.shipped import open_saved
from kshot.workflows.experiment import prepare
from kshot.workflows.mann_protocol import answer_sequences
from kshot.workflows.question import Question, answer, ask
from kshot.workflows.recipe import read_recipe, recipe_names

pytestmark = pytest.mark.slow

TOLERANCE = 1e-5
UPDATES = 20
RECORDED = Path(__file__).with_name("recorded.json")
PUBLISHED = json.loads((resources.files("kshot") / "recipes" / "results.json").read_text(encoding="utf-8"))

MODES = ("inductive", "transductive")

Recorded = Mapping[str, Any]
"""Of a score: `accuracy`, `interval`, `episodes_hash`. Of 20 updates: `losses`, one per update, and `norm`, of all parameters."""


def read_recorded(kind: str) -> dict[str, Recorded]:
    return dict(json.loads(RECORDED.read_text(encoding="utf-8"))[kind])


# Scores.


SHAPES = [(5, 1), (5, 5), (20, 1), (20, 5)]


@pytest.fixture(scope="module")
def prototypical() -> dict[tuple[int, int], Results]:
    """The four scores of the shipped prototypical network, whose test items are encoded once for all."""
    saved = open_saved("omniglot-protonet")
    sets = [ask(saved, Question(shape=EpisodeShape(*shape, 15), episodes=1000, seed=0)) for shape in SHAPES]
    with torch.no_grad():
        features = encode_used(saved.learner.eval(), sets, torch.device("cpu"))
    assert features is not None
    return {shape: evaluate(saved.learner, episodes, features=features) for shape, episodes in zip(SHAPES, sets, strict=True)}


@pytest.mark.parametrize(("way", "shot"), SHAPES)
def test_the_shipped_prototypical_network_has_its_recorded_scores(
    way: int, shot: int, prototypical: dict[tuple[int, int], Results]
) -> None:
    (recorded,) = [one for one in PUBLISHED if (one["recipe"], one.get("way"), one.get("shot")) == ("omniglot-protonet", way, shot)]
    results = prototypical[way, shot]
    assert results.episodes_hash == recorded["episodes_hash"]
    assert results.mean == pytest.approx(recorded["accuracy"], rel=0, abs=TOLERANCE)
    assert results.interval == pytest.approx(recorded["interval"], rel=0, abs=TOLERANCE)


def maml_score(mode: Any) -> Recorded:
    saved = open_saved("omniglot-maml")
    shape = EpisodeShape(5, 1, 1, augment="quarter_turns")
    results = answer(saved, ask(saved, Question(shape=shape, episodes=200, seed=0)), mode)
    return {"accuracy": results.mean, "interval": results.interval, "episodes_hash": results.episodes_hash}


@pytest.mark.parametrize("mode", MODES)
def test_the_shipped_maml_has_its_recorded_scores(mode: str) -> None:
    recorded, found = read_recorded("scores")[f"omniglot-maml {mode}"], maml_score(mode)
    assert found["episodes_hash"] == recorded["episodes_hash"]
    assert found["accuracy"] == pytest.approx(recorded["accuracy"], rel=0, abs=TOLERANCE)
    assert found["interval"] == pytest.approx(recorded["interval"], rel=0, abs=TOLERANCE)


def test_the_shipped_learner_of_lakes_challenge_errs_seven_times_in_four_hundred() -> None:
    saved = open_saved("omniglot-lake")
    results = answer(saved, ask(saved, Question(protocol="lake")), "inductive")
    assert float((1 - results.scores).sum()) * 20 == pytest.approx(7)  # of 20 runs of 20 trials; people err 18 times


def test_the_shipped_memory_augmented_network_has_the_accuracies_of_its_page() -> None:
    saved = open_saved("omniglot-mann")
    found = answer_sequences(saved, ask(saved, Question(protocol="mann", episodes=500, seed=7))).accuracies
    recorded = {1: 0.3412, 2: 0.9156, 3: 0.9456, 5: 0.9688, 10: 0.9708}
    assert {number: float(found[number - 1]) for number in recorded} == pytest.approx(recorded, rel=0, abs=5 / 2500)  # of 2,500 answers


# Twenty updates.


class InDoubles:
    """A stream whose inputs and targets are in float64."""

    def __init__(self, stream: Stream) -> None:
        self.stream, self.source, self.dataset = stream, stream.source, stream.dataset

    def batches(self, update: int) -> list[Any]:
        return [widened(batch) for batch in self.stream.batches(update)]


def wide(value: Tensor) -> Tensor:
    return value.double() if value.is_floating_point() else value


def widened(batch: EpisodeBatch | ItemBatch) -> EpisodeBatch | ItemBatch:
    names = ("x",) if isinstance(batch, ItemBatch) else ("support_x", "support_y", "query_x", "query_y")
    found: dict[str, Inputs] = {name: map_inputs(wide, getattr(batch, name)) for name in names}
    return replace(batch, **found)  # type: ignore[arg-type]


def here(name: str) -> bool:
    """Does a recipe train a learner on data that are in the package?"""
    recipe = read_recipe(name)
    return recipe.trains == "learner" and recipe.data.name in ("omniglot", "sinusoids", "tables")


def shortened(name: str) -> list[str]:
    """Settings that make a recipe small and leave its learner, its rates and its schedule as they are."""
    recipe = read_recipe(name)
    tasks = ["episodes.tasks=2", "validation.episodes=1", f"training.updates={UPDATES}", "training.warmup=2"]
    if recipe.data.name == "sinusoids":
        return tasks
    if recipe.data.name == "tables":
        return [*tasks, "learner.width=16"]
    tasks += ["training.backbone_from=none", "training.start_from=none"]  # their classes would be others than these
    small = [*tasks, "data.rotations=none", "data.size=28", "episodes.way=5", "episodes.query=2", "items.batch=16", "validation.way=5"]
    backbones = {"conv_maps": ["backbone.widths=[4, 8]", "backbone.depths=[1, 1]"], "flat": []}
    small += backbones.get(recipe.backbone.name, ["backbone.width=8"])
    least = {"outputs": 5, "features": 8, "width": 16, "steps": 4, "inner_steps": 3, "hidden": 16}  # of the learner's arguments
    return small + [f"learner.{argument}={value}" for argument, value in least.items() if recipe.learner.arguments.get(argument, 0) > value]


def twenty_updates(name: str, folder: Path) -> Recorded:
    ready = prepare(read_recipe(name, shortened(name)), folder / "run", device="cpu")
    trained = ready.state.with_head or ready.state.learner
    trained.double()
    steps = train(ready.state, InDoubles(ready.stream), ready.plan)  # type: ignore[arg-type]  # of a stream it takes no more than this
    losses = [step.loss for step in steps]
    return {"losses": losses, "norm": math.sqrt(sum(float(value.detach().square().sum()) for value in trained.parameters()))}


@pytest.mark.parametrize("name", [name for name in recipe_names() if here(name)])
def test_twenty_updates_are_the_recorded_ones(name: str, tmp_path: Path) -> None:
    recorded = read_recorded("updates")
    assert name in recorded, f"a new recipe: record its updates with `python tests/{Path(__file__).name}`"
    found = twenty_updates(name, tmp_path)
    assert len(found["losses"]) == UPDATES
    assert found["losses"] == pytest.approx(recorded[name]["losses"], rel=TOLERANCE)
    assert found["norm"] == pytest.approx(recorded[name]["norm"], rel=TOLERANCE)


def test_nothing_is_recorded_of_recipes_that_are_gone() -> None:
    assert {*read_recorded("updates")} == {name for name in recipe_names() if here(name)}


def record() -> None:
    """Write `recorded.json` again, and say how far the new updates are from the old ones."""
    before = read_recorded("updates") if RECORDED.exists() else {}
    updates = {}
    for name in filter(here, recipe_names()):
        with tempfile.TemporaryDirectory() as folder:
            updates[name] = twenty_updates(name, Path(folder))
        new, old = (([*one["losses"], one["norm"]] if one else []) for one in (updates[name], before.get(name)))
        gap = max(abs(a - b) / abs(b) for a, b in zip(new, old, strict=True)) if old else math.nan
        print(f"{name:32} {'new' if not old else f'largest relative change {gap:.1e}'}", flush=True)
    scores = {f"omniglot-maml {mode}": maml_score(mode) for mode in MODES}
    RECORDED.write_text(json.dumps({"scores": scores, "updates": updates}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(record())
