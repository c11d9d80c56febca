"""On day one: few classes of few pictures are trained on and tested by the plain commands, or refused in words that help."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from torch import nn

import kshot
import kshot.allocator
from kshot import cli
from kshot.data.class_index import ClassIndex
from kshot.errors import DataError, EpisodeError, RecipeError, SavedError, did_you_mean
from kshot.exit_code import exit_code_of
from kshot.saved.folder import Saved
from kshot.workflows.build import query_or_rest
from kshot.workflows.experiment import prepare, run
from kshot.workflows.question import Question, ask, cautions, fitting
from kshot.workflows.recipe import read_recipe

SHORT = ["data.size=16", "backbone.width=3", "validation.episodes=5", "training.updates=2"]


def pictures(folder: Path, sizes: list[int]) -> Path:
    for number, size in enumerate(sizes):
        (folder / f"kind {number}").mkdir(parents=True)
        for item in range(size):
            noise = np.random.default_rng(100 * number + item).integers(0, 255, (16, 16, 3), dtype=np.uint8)
            Image.fromarray(noise).save(folder / f"kind {number}" / f"{item}.png")
    return folder


def kshot_(*words: str | Path, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr("sys.argv", ["kshot", *map(str, words)])
    monkeypatch.setattr(kshot.allocator, "keep_freed_memory", lambda: False)
    return exit_code_of(cli.app)


@pytest.mark.slow
@pytest.mark.parametrize(("classes", "items", "asked"), [(6, 5, "2-way with 4 queries"), (6, 2, "2-way with 1 query")])
def test_the_plain_commands_on_few_pictures(
    classes: int, items: int, asked: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    photos, run = pictures(tmp_path / "photos", [items] * classes), tmp_path / "run"
    settings = [word for setting in SHORT for word in ("--set", setting)]
    assert kshot_("train", "protonet", "--data", photos, "--out", run, *settings, monkeypatch=monkeypatch) == 0
    capsys.readouterr()
    assert kshot_("evaluate", run, "--episodes", "5", monkeypatch=monkeypatch) == 0
    said = capsys.readouterr().err
    assert f"Note: the test classes allow only {asked} per class, not 5-way with 15." in said
    assert "Note: 5 episodes are few" in said
    assert kshot_("inspect", run, "--episodes", "5", monkeypatch=monkeypatch) == 0
    assert asked in capsys.readouterr().err
    assert kshot_("compare", run, "nearest", "--episodes", "5", "--shots", "1", monkeypatch=monkeypatch) == 0
    assert asked in capsys.readouterr().err
    assert kshot_("evaluate", run, "--way", "5", "--episodes", "5", monkeypatch=monkeypatch) == 2  # what is typed is never changed
    assert "way=5 needs at least 5 classes; found 2" in capsys.readouterr().err


def test_too_few_classes_name_the_part_the_settings_and_the_whole(tmp_path: Path) -> None:
    recipe = read_recipe("protonet", [f'data.name="{pictures(tmp_path / "photos", [3] * 5)}"', "data.split=fractions", *SHORT])
    with pytest.raises(EpisodeError) as caught:
        prepare(recipe, tmp_path / "run")
    said = str(caught.value)
    assert "the val classes cannot give what [validation] in the recipe asks for: way=2 needs at least 2 classes; found 1" in said
    assert "The division has 3 train, 1 val, 1 test classes. Training needs at least 6 classes, two for each part" in said


def test_a_class_of_one_picture_among_the_test_classes_is_told_before_training(tmp_path: Path) -> None:
    photos = pictures(tmp_path / "photos", [3, 3, 3, 3, 3, 1])
    division = tmp_path / "division.json"
    division.write_text('{"train": ["kind 0", "kind 1"], "val": ["kind 2", "kind 3"], "test": ["kind 4", "kind 5"]}')
    ready = prepare(read_recipe("protonet", [f'data.name="{photos}"', f'data.split="{division}"', *SHORT]), tmp_path / "run")
    assert ready.notes == (
        "Note: few classes are left for validation, so it is 2-way: guessing is right in 50 % of cases.",
        "Note: a test class needs an item for support and one for query; 'kind 5' has only one. kshot evaluate will refuse it.",
    )


def test_queries_of_0_are_what_the_smallest_class_has_left() -> None:
    index = ClassIndex.build({"a": [0, 1, 2, 3], "b": [4, 5, 6], "c": list(range(7, 40))})
    assert query_or_rest(0, 1, index) == 2
    assert query_or_rest(0, (1, 2), index) == 1
    assert query_or_rest(0, 9, index) == 1  # which the drawing then refuses in words
    assert query_or_rest(0, 1, index.subset(["c"])) == 5
    assert query_or_rest(7, 1, index) == 7
    assert query_or_rest((2, 3), 1, index) == (2, 3)


def test_a_shape_fits_the_smallest_of_all_learners() -> None:
    def saved(*sizes: int) -> Saved:
        return Saved(kshot.ProtoNet(kshot.Conv4(width=2)), None, {"test_sizes": list(sizes)} if sizes else {})

    shape = kshot.EpisodeShape(5, 2, 15)
    assert fitting(shape, [saved(30, 20)]) == shape
    assert fitting(shape, [saved()]) == shape
    assert fitting(shape, [saved(4, 20), saved(9, 7)]) == kshot.EpisodeShape(4, 2, 5)
    assert fitting(shape, [saved(1, 1)]) == kshot.EpisodeShape(2, 2, 15)  # which the drawing then refuses in words


@pytest.mark.slow
def test_scores_that_mean_less_than_they_seem_come_with_a_note() -> None:
    shipped = kshot.open_saved("omniglot-protonet")
    assert cautions(shipped, ask(shipped, Question(episodes=30))) == []
    assert "training classes" in cautions(shipped, ask(shipped, Question(split="train", episodes=30)))[0]
    unknown = Saved(shipped.learner, shipped.preprocess)
    assert "may have been trained on these classes" in cautions(unknown, ask(unknown, Question(data="omniglot", episodes=30)))[0]
    assert "3 episodes are few" in cautions(shipped, ask(shipped, Question(episodes=3)))[0]
    assert "one episode gives no interval" in cautions(shipped, ask(shipped, Question(episodes=1)))[0]


def test_classes_called_as_those_of_training_come_with_a_note(tmp_path: Path) -> None:
    seen = kshot.ImageFolder(pictures(tmp_path / "seen", [3] * 4), kshot.Picture(16))
    stream = kshot.EpisodeStream(seen, seen.index.subset(["kind 0", "kind 1"]), "mine/train", kshot.EpisodeShape(2, 1, 1), seed=0)
    kshot.save(tmp_path / "learner", kshot.ProtoNet(kshot.Conv4(width=2, channels=3)), trained_on=stream)
    saved = kshot.open_saved(tmp_path / "learner")
    copied = pictures(tmp_path / "copied", [3] * 4)
    (copied / "kind 0" / "0.png").unlink()  # other data, as far as anybody can tell
    episodes = ask(saved, Question(data=str(copied), shape=kshot.EpisodeShape(2, 1, 1), episodes=30))
    (note,) = cautions(saved, episodes)
    assert "2 of the 4 classes have the names of classes that this learner was trained on (kind 0, kind 1)" in note


def test_a_run_that_is_not_finished_is_called_so(tmp_path: Path) -> None:
    recipe = read_recipe("protonet", [f'data.name="{pictures(tmp_path / "photos", [3] * 6)}"', "data.split=fractions", *SHORT])
    run(prepare(recipe, tmp_path / "run"), stop=lambda: True)
    with pytest.raises(SavedError, match=r"is a run whose training is not finished: it has no learner yet\. Continue it with"):
        kshot.load(tmp_path / "run")


def test_features_that_the_backbone_does_not_give_are_refused_before_anything_is_written(tmp_path: Path) -> None:
    settings = ["learner.name=maml", "learner.features=5", "learner.outputs=2", "data.split=fractions", *SHORT]
    recipe = read_recipe("protonet", [f'data.name="{pictures(tmp_path / "photos", [3] * 6)}"', *settings])
    with pytest.raises(RecipeError, match=r"learner\.features=5, but the backbone 'conv4' gives 3 features"):
        prepare(recipe, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_items_that_a_network_cannot_read_are_named() -> None:
    for x, message in (
        (np.zeros((8, 6), np.float32), r"cannot read these items, float32 \(6,\): .* Give items of the shape"),
        (
            np.zeros((8, 4), np.int64),
            r"the module computes with torch.float32, and the items 'x' are torch.int64 .* Convert them: x\.float\(\)",
        ),
    ):
        data = kshot.ArrayDataset(x, [n % 2 for n in range(8)])
        episodes = kshot.EpisodeSet.draw(data, data.index, "all", kshot.EpisodeShape(2, 1, 1), episodes=2)
        with pytest.raises(DataError, match=message):
            kshot.evaluate(kshot.ProtoNet(nn.Linear(4, 3)), episodes)


@pytest.mark.parametrize("support", [{"a": [Image.new("L", (9, 9))], "b": [np.zeros((9, 9))]}, [Image.new("L", (9, 9))], None])
def test_what_is_no_picture_is_named(support: Any) -> None:
    with pytest.raises(DataError, match=r"a picture is a path or a Pillow image; found ndarray|mapping of class names to pictures; found"):
        kshot.Classifier(Saved(kshot.ProtoNet(kshot.Conv4(width=2, channels=3)).eval(), kshot.Picture(16)), support)


def test_nearest_needs_no_saving() -> None:
    with pytest.raises(SavedError, match=r"nearest needs no training and is not saved\. Give its name to kshot evaluate"):
        kshot.load("nearest")


def test_a_name_that_is_nearly_right_is_asked_about() -> None:
    assert did_you_mean("protonot", ["maml", "protonet"]) == " Did you mean 'protonet'?"
    assert did_you_mean("zzz", ["maml", "protonet"]) == ""
