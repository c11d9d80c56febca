"""A whole run on made pictures: what it writes, how it is refused, stopped and resumed."""

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import kshot.errors
from cases.folders import fill
from kshot.episodes.shape import EpisodeShape
from kshot.errors import DataError, EpisodeError, KshotError, RecipeError, SavedError, SetupError, TrainingError
from kshot.learners.learner import with_steps
from kshot.saved.class_names import unfold
from kshot.saved.folder import load_folder
from kshot.tasks.classifier import Classifier
from kshot.workflows import experiment
from kshot.workflows.experiment import prepare, run
from kshot.workflows.question import Question, ask, cautions
from kshot.workflows.recipe import Recipe, parse_recipe, read_recipe

SOURCE = Path(kshot.errors.__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def pets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Nine classes of four pictures."""
    root = tmp_path_factory.mktemp("data") / "pets"
    random = np.random.default_rng(0)
    for number in range(9):
        (root / f"pet{number}").mkdir(parents=True)
        colour = random.integers(0, 255, 3)
        for item in range(4):
            noisy = (colour + random.integers(-30, 30, (16, 16, 3))).clip(0, 255).astype(np.uint8)
            Image.fromarray(noisy).save(root / f"pet{number}" / f"{item}.png")
    return root


def recipe_of(pets: Path, **training: Any) -> Recipe:
    return parse_recipe(
        {
            "data": {"name": str(pets), "split": "fractions", "size": 16, "fractions": [0.5, 0.25, 0.25]},
            "backbone": {"name": "conv4", "width": 3},
            "episodes": {"way": 0, "query": 2},
            "validation": {"query": 2, "episodes": 5, "every": 4},
            "training": {"updates": 6, "save_every": 2, **training},
        },
        "made",
    )


def files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def losses(folder: Path) -> list[tuple[int, float]]:
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [(line["update"], line["loss"]) for line in lines]


def test_a_run_writes_all_that_it_promises(pets: Path, tmp_path: Path) -> None:
    recipe = recipe_of(pets)
    steps = []
    saved = run(prepare(recipe, tmp_path / "run", device="cpu"), command="kshot train made", on_step=steps.append)
    assert saved is not None
    assert [step.update for step in steps] == [1, 2, 3, 4, 5, 6]
    assert [step.update for step in steps if step.validation] == [4, 6]
    names = set(files(tmp_path / "run"))
    assert {"recipe.json", "division.json", "state.safetensors", "metrics.jsonl", "learner/learner.json"} <= names
    assert parse_recipe(json.loads((tmp_path / "run" / "recipe.json").read_text()), "back") == recipe
    division = json.loads((tmp_path / "run" / "division.json").read_text())
    assert sorted(name for part in division.values() for name in part) == [f"pet{number}" for number in range(9)]
    back = load_folder(tmp_path / "run" / "learner")
    assert unfold(back.record["classes_seen"]) == division["train"]
    assert back.record["division"] == division
    assert back.record["command"] == "kshot train made"
    assert back.record["updates"] == 6
    assert [entry["update"] for entry in back.record["validation"]] == [4, 6]
    assert losses(tmp_path / "run") == [(step.update, step.loss) for step in steps]


def test_way_zero_is_all_classes(pets: Path, tmp_path: Path) -> None:
    ready = prepare(recipe_of(pets), tmp_path / "run", device="cpu")
    assert ready.stream.shape.way == len(ready.split.part("train")) == 5
    assert ready.validation.shape.way == len(ready.split.part("val")) == 2
    assert not (tmp_path / "run").exists()


def test_the_same_seed_gives_the_same_run(pets: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        run(prepare(recipe_of(pets), tmp_path / name, device="cpu"))
    run(prepare(replace(recipe_of(pets), seed=1), tmp_path / "c", device="cpu"))
    assert (tmp_path / "a" / "state.safetensors").read_bytes() == (tmp_path / "b" / "state.safetensors").read_bytes()
    assert losses(tmp_path / "a") == losses(tmp_path / "b") != losses(tmp_path / "c")


def test_a_stopped_run_goes_on_to_the_same_bits(pets: Path, tmp_path: Path) -> None:
    run(prepare(recipe_of(pets), tmp_path / "whole", device="cpu"))
    folder = tmp_path / "stopped"
    ready = prepare(recipe_of(pets), folder, device="cpu")
    assert run(ready, stop=lambda: ready.state.update == 3) is None
    assert not (folder / "learner").exists()
    again = prepare(recipe_of(pets, save_every=1, tensorboard=False), folder, resume=True, device="cpu")  # how often it saves may change
    assert again.state.update == 3
    assert again.notes == ready.notes
    assert run(again) is not None
    assert (folder / "state.safetensors").read_bytes() != b""
    assert losses(folder) == losses(tmp_path / "whole")
    for (name, mine), (other, theirs) in zip(
        load_folder(folder / "learner").learner.state_dict().items(),
        load_folder(tmp_path / "whole" / "learner").learner.state_dict().items(),
        strict=True,
    ):
        assert name == other
        assert torch.equal(mine, theirs)


def test_a_stop_at_the_last_update_is_a_finished_run(pets: Path, tmp_path: Path) -> None:
    ready = prepare(recipe_of(pets), tmp_path / "run", device="cpu")
    assert run(ready, stop=lambda: ready.state.update == 6) is not None


@pytest.mark.slow
def test_a_finished_run_may_be_resumed_and_changes_nothing(pets: Path, tmp_path: Path) -> None:
    run(prepare(recipe_of(pets), tmp_path / "run", device="cpu"))
    before = files(tmp_path / "run")
    assert run(prepare(recipe_of(pets), tmp_path / "run", resume=True, device="cpu")) is not None
    assert files(tmp_path / "run") == before


def test_a_run_whose_learner_could_not_be_saved_is_not_resumed(pets: Path, tmp_path: Path) -> None:
    ready = prepare(recipe_of(pets), tmp_path / "run", device="cpu")
    assert run(ready, stop=lambda: ready.state.update == 3) is None
    (tmp_path / "run" / "learner").touch()
    before = files(tmp_path / "run")
    with pytest.raises(SavedError, match=r"learner is a file; a learner is saved as a folder"):
        prepare(recipe_of(pets), tmp_path / "run", resume=True, device="cpu")
    assert files(tmp_path / "run") == before


@pytest.mark.slow
def test_a_resume_with_another_recipe_names_the_difference(pets: Path, tmp_path: Path) -> None:
    run(prepare(recipe_of(pets), tmp_path / "run", device="cpu"))
    before = files(tmp_path / "run")
    with pytest.raises(SavedError, match=r"another recipe: training\.lr was 0\.001, is 0\.5\. Resume with the recipe of the run"):
        prepare(recipe_of(pets, lr=0.5), tmp_path / "run", resume=True, device="cpu")
    with pytest.raises(SavedError, match=r"seed was 0, is 4"):
        prepare(replace(recipe_of(pets), seed=4), tmp_path / "run", resume=True, device="cpu")
    assert files(tmp_path / "run") == before


@pytest.mark.slow
def test_a_resume_with_other_pictures_is_refused(pets: Path, tmp_path: Path) -> None:
    shutil.copytree(pets, tmp_path / "pets")
    recipe = recipe_of(tmp_path / "pets")
    run(prepare(recipe, tmp_path / "run", device="cpu"))
    Image.new("RGB", (16, 16)).save(tmp_path / "pets" / "pet0" / "9.png")
    with pytest.raises(SavedError, match=r"another recipe: fingerprint was"):
        prepare(recipe, tmp_path / "run", resume=True, device="cpu")


@pytest.mark.parametrize("content", ["thesis.txt", "division.json", "recipe.json"])
@pytest.mark.parametrize("resume", [False, True])
def test_a_folder_of_something_else_is_refused_and_untouched(pets: Path, tmp_path: Path, content: str, resume: bool) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / content).write_text('{"flour": "500 g"}')
    with pytest.raises(SavedError, match=r"its contents are not a run of kshot|has no run to resume: there is no state"):
        prepare(recipe_of(pets), tmp_path / "run", resume=resume, device="cpu")
    assert files(tmp_path / "run") == {content: b'{"flour": "500 g"}'}


def test_a_run_in_the_way_is_refused_and_untouched(pets: Path, tmp_path: Path) -> None:
    run(prepare(recipe_of(pets), tmp_path / "run", device="cpu"))
    before = files(tmp_path / "run")
    with pytest.raises(SavedError, match=r"run is not empty\. Continue its run with --resume, or choose another --out"):
        prepare(recipe_of(pets), tmp_path / "run", device="cpu")
    assert files(tmp_path / "run") == before


def test_out_that_is_a_file_and_resume_of_nothing(pets: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(SavedError, match=r"file is a file; a run writes a folder"):
        prepare(recipe_of(pets), tmp_path / "file", device="cpu")
    for name in ("none", "empty"):
        with pytest.raises(SavedError, match=r"has no run to resume: there is no state\.safetensors\. Start it without --resume"):
            prepare(recipe_of(pets), tmp_path / name, resume=True, device="cpu")
        (tmp_path / "empty").mkdir(exist_ok=True)


class Killed(BaseException):
    """Ends a process from inside: nothing of ours catches it."""


@pytest.mark.slow
@pytest.mark.parametrize("at", [1, 2, 3])
@pytest.mark.parametrize("resume", [False, True])
def test_a_run_killed_before_its_first_state_can_be_started_again(
    pets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int, resume: bool
) -> None:
    folder, calls = tmp_path / "run", []
    replace_file = os.replace

    def kill(source: str, target: str) -> None:
        calls.append(target)
        if len(calls) == at:
            (folder / f".{Path(target).name}.left.part").write_bytes(b"half")  # a kill tidies nothing up
            raise Killed
        replace_file(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", kill)
        with pytest.raises(Killed):
            run(prepare(recipe_of(pets), folder, device="cpu"))
    assert not (folder / "state.safetensors").exists()
    if at > 1 and resume:  # the recipe is there: another one is told, and nothing is written over
        with pytest.raises(SavedError, match=r"another recipe: training\.lr was 0\.001, is 0\.5.*Start it without --resume"):
            prepare(recipe_of(pets, lr=0.5), folder, resume=True, device="cpu")
    if at == 1 and resume:  # nothing is there but unfinished_files
        with pytest.raises(SavedError, match=r"no run to resume.*Start it without --resume"):
            prepare(recipe_of(pets), folder, resume=True, device="cpu")
        resume = False
    assert run(prepare(recipe_of(pets), folder, resume=resume, device="cpu")) is not None
    assert [name for name in files(folder) if name.endswith(".part")] == []
    run(prepare(recipe_of(pets), tmp_path / "whole", device="cpu"))
    assert losses(folder) == losses(tmp_path / "whole")


@pytest.mark.slow
def test_a_full_disk_stops_the_run_and_leaves_a_state_that_goes_on(pets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "run"
    ready = prepare(recipe_of(pets), folder, device="cpu")
    sync = os.fsync

    def full(descriptor: int) -> None:
        if ready.state.update == 4:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        sync(descriptor)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(SavedError, match=r"cannot write .*state\.safetensors .*No space left on device; the earlier file is untouched"):
            run(ready)
    again = prepare(recipe_of(pets), folder, resume=True, device="cpu")
    assert again.state.update == 2
    assert run(again) is not None
    assert [update for update, _ in losses(folder)] == [1, 2, 3, 4, 5, 6]


@pytest.mark.slow
def test_a_loss_that_is_not_a_number_keeps_the_last_good_state(pets: Path, tmp_path: Path) -> None:
    recipe = recipe_of(pets, lr=1e30, schedule="constant", save_every=100, updates=50)
    ready = prepare(recipe, tmp_path / "run", device="cpu")
    with pytest.raises(TrainingError, match=r"is not a number at update \d+, episode.*last good state is kept") as first:
        run(ready)
    done = ready.state.update
    again = prepare(recipe, tmp_path / "run", resume=True, device="cpu")
    assert again.state.update == done
    assert all(bool(torch.isfinite(value).all()) for value in again.state.learner.state_dict().values())
    assert [update for update, _ in losses(tmp_path / "run")] == list(range(1, done + 1))
    with pytest.raises(TrainingError) as second:
        run(again)
    assert str(second.value) == str(first.value)


@pytest.mark.slow
def test_a_task_of_validation_that_diverges_is_named_and_keeps_the_state(tmp_path: Path) -> None:
    settings = ["learner.inner_lr=0.2", "learner.inner_steps=0", "validation.every=20", "validation.episodes=30", "training.updates=40"]
    recipe = read_recipe("sinusoid-maml", settings)
    ready = prepare(recipe, tmp_path / "run", device="cpu")
    with pytest.raises(DataError, match=r"episode \d+ cannot be learned: the inner loop of task \d+ of the batch diverged"):
        run(ready)
    assert prepare(recipe, tmp_path / "run", resume=True, device="cpu").state.update == 20


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_no_gpu_where_one_was_asked_for(pets: Path, tmp_path: Path) -> None:
    with pytest.raises(SetupError, match=r"there is no device 'cuda' here; this machine has cpu"):
        prepare(recipe_of(pets), tmp_path / "run", device="cuda")
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "kind", "message"),
    [
        ({"episodes": {"way": 6}}, EpisodeError, r"way=6 needs at least 6 classes; found 5"),
        ({"episodes": {"way": 1}}, EpisodeError, r"way must be at least 2"),
        ({"episodes": {"shot": 3, "query": 2}}, EpisodeError, r"has 4 items; .* needs 5 \(5 classes are too small\)"),
        ({"episodes": {"way": [5, 2]}}, EpisodeError, r"the smaller value first"),
        ({"episodes": {"augment": "blur"}}, EpisodeError, r"no augmentation 'blur'"),
        ({"validation": {"way": 3}}, EpisodeError, r"way=3 needs at least 3 classes; found 2"),
        ({"data": {"split": "vinyal"}}, DataError, r"found 'vinyal'"),
        ({"data": {"fractions": [0.9, 0.2, 0.1]}}, DataError, r"add up to 1"),
        ({"data": {"size": 8}}, RecipeError, r"the backbone cannot read one item of shape \(1, 3, 8, 8\)"),
        ({"learner": {"name": "maml9000"}}, RecipeError, r"no learner 'maml9000'\. Did you mean 'maml'\? The known ones are protonet"),
        ({"learner": {"temperature": 3}}, RecipeError, r"temperature"),
        ({"backbone": {"name": "vgg"}}, RecipeError, r"no backbone 'vgg'\. The known ones are adapter, conv4"),
        ({"backbone": {"depth": 3}}, RecipeError, r"depth"),
        ({"backbone": {"width": -3}}, RecipeError, r"width must be at least 1; found -3"),
        ({"backbone": {"width": "wide"}}, RecipeError, r"'wide'"),
        ({"learner": {"name": "maml", "outputs": 4}}, RecipeError, r"the head of this learner has 4 outputs, and the tasks have 5 classes"),
        ({"learner": {"name": "maml", "outputs": 5}, "episodes": {"way": 5}}, RecipeError, r"has 5 outputs, and the tasks have 2 classes"),
        ({"learner": {"name": "maml", "inner_steps": 1.5}}, RecipeError, r"inner_steps must be a whole number; found 1\.5"),
        ({"learner": {"name": "maml", "adapt_steps": True}}, RecipeError, r"adapt_steps must be a whole number; found True"),
        ({"training": {"lr": -1.0}}, RecipeError, r"lr must be a positive number"),
        ({"training": {"momentum": 2.0}}, RecipeError, r"momentum must be"),
    ],
)
def test_what_cannot_be_had_is_refused_before_anything_is_written(
    pets: Path, tmp_path: Path, change: dict[str, Any], kind: type[KshotError], message: str
) -> None:
    table = recipe_of(pets).as_dict()
    for section, values in change.items():
        table[section] = {**table[section], **values}
    with pytest.raises(kind, match=message):
        prepare(parse_recipe(table, "made"), tmp_path / "run", device="cpu")
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_a_damaged_division_is_an_error_in_words(pets: Path, tmp_path: Path) -> None:
    run(prepare(recipe_of(pets), tmp_path / "run", device="cpu"))
    for text in ("", "[1]", '{"train": 5}'):
        (tmp_path / "run" / "division.json").write_text(text)
        with pytest.raises(DataError, match=r"division\.json"):
            prepare(recipe_of(pets), tmp_path / "run", resume=True, device="cpu")


def test_the_command_is_written_as_it_would_be_typed() -> None:
    assert experiment.command_line(["train", "my recipe.toml", "--set", "seed=1"]) == "kshot train 'my recipe.toml' --set seed=1"


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="SIGINT to another process is a thing of POSIX")
def test_ctrl_c_saves_the_state_and_ends_with_130(pets: Path, tmp_path: Path) -> None:
    (tmp_path / "long.toml").write_text(
        f'[data]\nname = "{pets}"\nsplit = "fractions"\nsize = 16\n[backbone]\nwidth = 3\n[episodes]\nquery = 2\n'
        "[validation]\nquery = 2\nepisodes = 5\nevery = 50\n[training]\nupdates = 100000\nsave_every = 100000\n"
    )
    folder = tmp_path / "run"
    words = [sys.executable, "-m", "kshot", "train", str(tmp_path / "long.toml"), "--out", str(folder)]
    environment = {**os.environ, "PYTHONPATH": str(SOURCE), "OMP_NUM_THREADS": "1"}
    before = 0
    for flags in ([], ["--resume"]):
        with subprocess.Popen([*words, *flags], env=environment, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            assert process.stderr is not None
            heard = []
            for line in process.stderr:  # up to a validation's line: training is under way
                heard.append(line)
                if line.startswith("update "):
                    break
            assert heard[-1:], "the command ended at once"
            assert heard[-1].startswith("update "), heard
            process.send_signal(signal.SIGINT)
            _, said = process.communicate(timeout=60)
        assert process.returncode == 130, said
        assert "the state is saved. To continue, use the same command and --resume" in said
        done = losses(folder)
        assert [update for update, _ in done] == list(range(1, len(done) + 1))
        assert len(done) > before
        before = len(done)
        assert f"Stopped after update {before}" in said


def test_a_learner_that_is_not_trained_is_refused(tmp_path: Path) -> None:
    recipe = read_recipe("protonet", ["data.name=omniglot", "learner.name=nearest", "episodes.way=5"])
    with pytest.raises(RecipeError, match="the learner 'nearest' is not trained, so a recipe has nothing to do"):
        prepare(recipe, tmp_path / "run")
    assert not (tmp_path / "run").exists()


# Learners that are trained on labelled items.


def item_recipe(pets: Path, learner: str, **training: Any) -> Recipe:
    table = recipe_of(pets, **training).as_dict()
    table["learner"] = {"name": learner, "arguments": {"features": 3} if learner == "simple_shot" else {}}
    return parse_recipe({**table, "items": {"batch": 8}}, "made")


@pytest.mark.slow
@pytest.mark.parametrize("learner", ["baseline", "baseline++", "simple_shot", "simple_shot_l2n"])
def test_a_run_on_items_stopped_goes_on_to_the_same_bits_and_saves_no_head(pets: Path, tmp_path: Path, learner: str) -> None:
    recipe = item_recipe(pets, learner)
    run(prepare(recipe, tmp_path / "whole", device="cpu"))
    ready = prepare(recipe, tmp_path / "stopped", device="cpu")
    assert run(ready, stop=lambda: ready.state.update == 3) is None
    run(prepare(recipe, tmp_path / "stopped", resume=True, device="cpu"))
    for file in ("state.safetensors", "learner/learner.json"):
        assert (tmp_path / "whole" / file).read_bytes() == (tmp_path / "stopped" / file).read_bytes()
    assert losses(tmp_path / "whole") == losses(tmp_path / "stopped")
    saved = load_folder(tmp_path / "whole" / "learner")
    assert not any("head" in name for name in saved.learner.state_dict())
    assert saved.spec is not None
    assert not any("class" in name for name in saved.spec.learner_arguments)


@pytest.mark.slow
def test_the_centre_of_a_saved_simple_shot_is_the_mean_of_the_training_items(pets: Path, tmp_path: Path) -> None:
    ready = prepare(item_recipe(pets, "simple_shot"), tmp_path / "run", device="cpu")
    saved = run(ready)
    assert saved is not None
    train_items = ready.split.part("train").items
    x = ready.dataset.preprocess.to_input(ready.dataset.gather(train_items))
    with torch.no_grad():
        expected = saved.learner.encode(x).mean(0)  # type: ignore[union-attr]
    torch.testing.assert_close(saved.learner.state_dict()["centre"], expected)


@pytest.mark.slow
def test_the_steps_of_a_saved_fine_tuning_are_those_that_validate_best(pets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = {}

    def evaluate(learner: Any, *rest: Any, **more: Any) -> Any:
        result = experiment_evaluate(learner, *rest, **more)
        steps = int(learner.steps)
        asked[steps] = steps if steps != 10 else 100
        return replace(result, scores=np.full(5, float(asked[steps])))

    experiment_evaluate = experiment.evaluate
    monkeypatch.setattr(experiment, "evaluate", evaluate)
    saved = run(prepare(item_recipe(pets, "finetune"), tmp_path / "run", device="cpu"))
    assert saved is not None
    assert sorted(asked) == [0, 1, 2, 3, 5, 10, 20, 50]
    assert int(saved.learner.state_dict()["steps"]) == 10
    assert int(load_folder(tmp_path / "run" / "learner").learner.state_dict()["steps"]) == 10


@pytest.mark.slow
def test_several_numbers_of_steps_decide_together(tmp_path: Path) -> None:
    table = read_recipe(
        "sinusoid-maml", ["training.updates=2", "validation.every=2", "validation.episodes=4", "validation.query=3"]
    ).as_dict()
    saved = run(prepare(parse_recipe(table, "made"), tmp_path / "run", device="cpu"))
    assert saved is not None
    ready = prepare(parse_recipe(table, "made"), tmp_path / "again", device="cpu")
    each = [experiment.evaluate(with_steps(saved.learner, number), ready.validation).mean for number in (1, 5, 10)]
    assert saved.record["validation"][-1]["mean"] == pytest.approx(np.mean(each))
    wrong = {**table, "learner": {"name": "ridge"}}
    with pytest.raises(RecipeError, match="has no number of steps"):
        prepare(parse_recipe(wrong, "made"), tmp_path / "wrong", device="cpu")
    assert not (tmp_path / "wrong").exists()


@pytest.mark.parametrize(
    ("items", "message"),
    [
        (
            {"batch": 21},
            r"a batch of 21 items is larger than the 20 items in the 5 classes of division/train\. Lower the batch \(items\.batch",
        ),
        ({"batch": 8, "augment": "blur"}, r"no augmentation 'blur'"),
    ],
)
def test_items_that_cannot_be_had_are_refused_before_anything_is_written(
    pets: Path, tmp_path: Path, items: dict[str, Any], message: str
) -> None:
    recipe = item_recipe(pets, "baseline")
    with pytest.raises(EpisodeError, match=message):
        prepare(parse_recipe({**recipe.as_dict(), "items": items}, "made"), tmp_path / "run", device="cpu")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("learner", ["baseline", "finetune"])
def test_a_backbone_that_cannot_read_the_items_is_refused(pets: Path, tmp_path: Path, learner: str) -> None:
    table = item_recipe(pets, learner).as_dict()
    table["data"]["size"] = 8
    with pytest.raises(RecipeError, match=r"cannot (read one item|answer a validation task).*Check .backbone."):
        prepare(parse_recipe(table, "made"), tmp_path / "run", device="cpu")
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_folders_three_deep_with_parts_are_trained_on_evaluated_and_predicted_with(tmp_path: Path) -> None:
    names = [f"train/Fruit/Apple/a{number}" for number in range(4)] + [f"val/Fruit/Pear/p{number}" for number in range(2)]
    root = fill(tmp_path / "grocery", [*names, *(f"test/Dairy/Milk/m{number}" for number in range(3))], 4)
    shutil.copy(root / "test/Dairy/Milk/m0/0.png", root / "test/Dairy/Milk/m0/9.png")
    table = {
        "data": {"name": str(root), "split": "fractions", "size": 16},
        "backbone": {"width": 3},
        "episodes": {"query": 2, "within_groups": True},
        "validation": {"way": 2, "query": 2, "episodes": 2},
        "training": {"updates": 1},
    }
    ready = prepare(parse_recipe(table, "made"), tmp_path / "run", device="cpu")
    assert ready.split.as_names()["test"] == ["Dairy/Milk/m0", "Dairy/Milk/m1", "Dairy/Milk/m2"]
    assert ready.split.part("train").groups == ("Fruit/Apple",) * 4
    assert "the folders divide the classes: 4 train, 2 val, 3 test." in ready.notes[0]
    assert "1 picture is a copy of another one of its class" in ready.notes[1]
    saved = run(ready)
    assert saved is not None
    episodes = ask(saved, Question(shape=EpisodeShape(2, 1, 2), episodes=2))
    assert (episodes.split, episodes.index.names) == ("division/test", ("Dairy/Milk/m0", "Dairy/Milk/m1", "Dairy/Milk/m2"))
    assert any("1 picture is a copy" in note for note in cautions(saved, episodes))
    other = replace(saved, record={})
    assert ask(other, Question(data=str(root), shape=EpisodeShape(2, 1, 2), episodes=2)).split == "division/test"
    assert ask(other, Question(data=str(root), split="val", shape=EpisodeShape(2, 1, 2), episodes=2)).split == "division/val"
    support = root / "test"
    classifier = Classifier(saved, support)
    assert classifier.classes == ("Dairy/Milk/m0", "Dairy/Milk/m1", "Dairy/Milk/m2")
    assert classifier.predict([support / "Dairy/Milk/m1/0.png"])[0].label in classifier.classes
    with pytest.raises(DataError, match="is divided into 'test', 'train' and 'val'"):
        Classifier(saved, root)


def test_parts_are_merged_on_request_and_evaluated_likewise(tmp_path: Path) -> None:
    root = fill(tmp_path / "pets", [f"train/pet{number}" for number in range(6)], 3)
    for number in range(6):
        shutil.copytree(root / "train" / f"pet{number}", root / "test" / f"pet{number}")
    table = {
        "data": {"name": str(root), "split": "fractions", "size": 16, "parts": "merge"},
        "backbone": {"width": 3},
        "episodes": {"query": 2},
        "validation": {"way": 2, "query": 2, "episodes": 2},
        "training": {"updates": 1},
    }
    with pytest.raises(DataError, match=r"class 'pet0' is in two parts of .*data\.parts = \"merge\""):
        prepare(parse_recipe({**table, "data": {**table["data"], "parts": "own"}}, "made"), tmp_path / "none", device="cpu")
    ready = prepare(parse_recipe(table, "made"), tmp_path / "run", device="cpu")
    assert "18 pictures are copies of others of their class" in ready.notes[0]
    saved = run(ready)
    assert saved is not None
    asked = ask(saved, Question(data=str(root), shape=EpisodeShape(2, 1, 2), episodes=2))
    assert asked.dataset.fingerprint == saved.record["fingerprint"]
