"""Kinds of data by name: how a recipe's words are understood, and that a new kind takes one line."""

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import kshot
from kshot.data.arrays import ArrayDataset
from kshot.data.as_is import AsIs
from kshot.data.kind import Kind
from kshot.data.pictures.ink import Ink
from kshot.data.pictures.picture import Picture
from kshot.data.preprocess import Preprocess
from kshot.data.sinusoids import Sinusoids
from kshot.data.table import (
    KINDS,
    Source,
    divide,
    find_kind,
    find_kind_for,
    found_again,
    item_form,
    same_name,
    source_of,
    usual_split,
    whole_path,
)
from kshot.errors import DataError, RecipeError
from kshot.workflows.experiment import prepare, run
from kshot.workflows.question import Question, ask
from kshot.workflows.recipe import parse_recipe, read_recipe

ROWS = np.random.default_rng(0).normal(size=(60, 5)).astype(np.float32)


def test_words_come_first_and_then_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "omniglot" / "fox").mkdir(parents=True)
    (tmp_path / "omniglot" / "fox" / "1.PNG").touch()
    assert [find_kind(name) for name in ("omniglot", "sinusoids", "./omniglot", str(tmp_path))] == [
        "omniglot",
        "sinusoids",
        "pictures",
        "pictures",
    ]
    assert find_kind("omniglot", "pictures") == "pictures"  # said aloud


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "omniglott",
            r"there is no data 'omniglott': found nothing there\. Did you mean 'omniglot'\? Expected one of: the word 'omniglot'",
        ),
        ("sinusoid", r"found nothing there\. Did you mean 'sinusoids'\?"),
        (
            "nowhere",
            r"no data 'nowhere': found nothing there\. Expected .*; a folder with one folder of pictures per class.*\. Check the name",
        ),
        ("file", r"no data 'file': found a file there\. Expected one of"),
        ("", r"no data are named\. Give --data and a folder with one folder of pictures per class; or --set data\.name=omniglot"),
        ("x\0y", r"cannot reach x.*y: a path cannot have this name \(embedded null byte\)\. Check the path"),
        ("x" * 5000, r"cannot reach x+: File name too long\. Check the path and its permissions"),
    ],
)
def test_a_name_that_is_nothing_is_told_what_could_be_meant(
    name: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match=message):
        find_kind(name)


@pytest.mark.parametrize(
    ("name", "kind", "message"),
    [
        ("omniglot", "omniglott", r"no kind of data 'omniglott'\. Did you mean 'omniglot'\? The known ones are auto, .*omniglot, "),
        ("omniglot", "", r"no kind of data ''\. The known ones are"),
        ("letters", "omniglot", r"data\.kind='omniglot' needs the word 'omniglot' as data\.name; found 'letters'"),
        ("omniglot", "sinusoids", "needs the word 'sinusoids'"),
    ],
)
def test_a_kind_that_is_not_there_or_does_not_fit_is_refused(name: str, kind: str, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        find_kind(name, kind)


def test_a_source_is_what_is_opened_and_nothing_else() -> None:
    settings = {"rotations": "none", "zoom": 0.5, "channels": 1, "fit": "pad", "size": 20}
    assert source_of("omniglot", settings=settings) == Source("omniglot", "omniglot", Ink(20, 0.5), (("rotations", "none"),))
    assert source_of(".", "pictures", settings=settings) == Source("pictures", ".", Picture(20, 1, "pad"))
    inked = source_of(".", "pictures", preprocess=Ink(9), settings=settings)
    assert inked == source_of(".", "pictures", preprocess="ink", settings={"size": 9})
    assert source_of("sinusoids", settings=settings) == Source("sinusoids", "sinusoids", AsIs())
    with pytest.raises(
        RecipeError, match=r"omniglot is ink on paper; it has no setting data\.fitt\. Its settings are rotations, size, zoom"
    ):
        source_of("omniglot", settings={}, own={"fitt": "pad"})
    with pytest.raises(DataError, match="omniglot is ink on paper; this learner reads Picture"):
        source_of("omniglot", preprocess=Picture(), settings={})


def test_the_same_data_by_two_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert same_name("omniglot", "omniglot")
    assert same_name("pets", str(tmp_path / "x" / ".." / "pets"))
    for one, other in (("omniglot", str(tmp_path / "omniglot")), ("pets", "omniglot"), ("sinusoids", "./sinusoids"), ("pets", "pet")):
        assert not same_name(one, other)
        assert not same_name(other, one)


def test_classes_are_divided_as_their_kind_is() -> None:
    arrays = ArrayDataset(ROWS, [number % 6 for number in range(60)])
    shares = (0.5, 0.25, 0.25)
    assert divide(Sinusoids(2, 1, 1), "sinusoids", fractions=shares, seed=0).name == "sinusoids"
    assert (
        divide(arrays, "fractions", fractions=shares, seed=0).as_names() == divide(arrays, "vinyals", fractions=shares, seed=0).as_names()
    )
    with pytest.raises(DataError, match=r"the classes of arrays are divided by data\.split='fractions' or a \.json file; found 'thirds'"):
        divide(arrays, "thirds", fractions=shares, seed=0)
    assert [usual_split(kind) for kind in ("omniglot", "sinusoids", "pictures")] == ["vinyals", "sinusoids", "fractions"]


@pytest.mark.slow
def test_what_has_no_kind_has_a_form_and_is_not_found_again() -> None:
    arrays = ArrayDataset(ROWS, [number % 6 for number in range(60)])
    assert item_form(arrays) == {"inputs": 5}
    assert found_again(arrays, "mine") is None
    assert found_again(Sinusoids(2, 1, 1), "sinusoids") is None  # others than those that the word opens
    assert found_again(Sinusoids(), "sinusoids") == {"name": "sinusoids", "split": "sinusoids"}


# A new kind of data, as a developer would add it: rows of numbers in a text file, one per line, the class first.


class RowFile(ArrayDataset):
    """Rows of a file."""


def _open_rows(name: str, preprocess: Preprocess, *, columns: int = 5, label: str = "plant") -> RowFile:
    lines = [line.split(",") for line in Path(name).read_text(encoding="utf-8").splitlines()]
    x = np.stack([preprocess.read([float(value) for value in values[:columns]]) for _, *values in lines])
    return RowFile(x, [label for label, *_ in lines], name=name, preprocess=preprocess)


ROW_FILES = Kind(
    what="a .rows file holds numbers",
    expects="a .rows file",
    dataset=RowFile,
    preprocesses=(AsIs,),
    open=_open_rows,
    holds=lambda path: path.suffix == ".rows",
    find_again=lambda rows: {"name": os.path.abspath(rows.name)},
)


@pytest.fixture
def rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setitem(KINDS, "rows", ROW_FILES)  # the one line
    file = tmp_path / "plants.rows"
    file.write_text("".join(f"plant {number % 6},{','.join(map(str, row))}\n" for number, row in enumerate(ROWS.tolist())))
    return file


def recipe(file: Path, **data: Any) -> Any:
    return parse_recipe(
        {
            "data": {"name": str(file), "split": "fractions", "fractions": [0.34, 0.33, 0.33], **data},
            "backbone": {"name": "mlp", "hidden": [8], "outputs": 4},
            "episodes": {"way": 2, "query": 2},
            "validation": {"way": 2, "query": 2, "episodes": 4},
            "training": {"updates": 2},
        },
        "made",
    )


def test_a_new_kind_is_one_line(rows: Path, tmp_path: Path) -> None:
    ready = prepare(recipe(rows), tmp_path / "run", device="cpu")
    assert ready.spec.backbone_arguments["inputs"] == 5  # told the form of the rows
    saved = run(ready)
    assert saved is not None
    again = kshot.open_saved(tmp_path / "run")
    assert ask(again, Question(shape=kshot.EpisodeShape(2, 1, 2), episodes=3)).split == "division/test"
    with pytest.raises(DataError, match="were seen in training"):
        ask(again, Question(data=str(rows), split="all", shape=kshot.EpisodeShape(2, 1, 2), episodes=3))
    classifier = kshot.Classifier(again, {"a": [ROWS[0].tolist(), ROWS[1]], "b": [ROWS[2]]})
    assert classifier.predict([ROWS[0]])[0].label in ("a", "b")
    with pytest.raises(DataError, match=r"items must have one shape; found \(5,\) and \(4,\)"):
        classifier.predict([ROWS[0], ROWS[1][:4]])


@pytest.mark.slow
def test_a_new_kind_has_settings_of_its_own(rows: Path, tmp_path: Path) -> None:
    ready = prepare(recipe(rows, columns=3), tmp_path / "run", device="cpu")
    assert ready.spec.backbone_arguments["inputs"] == 3
    assert ready.recipe.as_dict()["data"]["arguments"] == {"columns": 3}
    run(ready)
    record = json.loads((tmp_path / "run" / "learner" / "learner.json").read_text())["record"]
    assert parse_recipe({"data": record["recipe"]["data"]}, "its record").data == ready.recipe.data
    assert ask(kshot.open_saved(tmp_path / "run"), Question(shape=kshot.EpisodeShape(2, 1, 2), episodes=3)).dataset.gather(
        np.array([0])
    ).shape == (1, 3)  # type: ignore[union-attr]  # a tensor
    with pytest.raises(RecipeError, match=r"omniglot is ink on paper; it has no setting data\.columns\."):
        prepare(parse_recipe({"data": {"columns": 3}}, "made"), tmp_path / "other", device="cpu")
    with pytest.raises(RecipeError, match=r"no setting 'data\.column'\. Did you mean 'data\.columns'\?"):
        recipe(rows, column=3)


def test_settings_of_a_kind_are_checked_against_their_annotations(rows: Path) -> None:
    for own, message in (
        ({"columns": "three"}, r"^data\.columns must be a whole number; found 'three'"),
        ({"label": 3}, r"^data\.label must be text in quotes; found 3"),
    ):
        with pytest.raises(RecipeError, match=message):
            source_of(str(rows), settings={}, own=own)
    with pytest.raises(RecipeError, match=r"^data\.zoom must be a number; found 'far'"):
        source_of("omniglot", settings={"zoom": "far"})


def test_a_path_is_searched_in_the_working_directory_and_becomes_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "omniglot").mkdir()
    assert whole_path("omniglot") == "omniglot"  # the word
    assert whole_path("./omniglot") == whole_path("omniglot", "pictures") == str(tmp_path / "omniglot")
    assert whole_path("nowhere") == "nowhere"
    with pytest.raises(DataError, match=f"Check the name; a relative path is searched in {tmp_path}"):
        find_kind("nowhere")
    with pytest.raises(DataError, match=r"Check the name\.$"):
        find_kind("/nowhere")


def test_a_folder_without_pictures_is_no_folder_of_pictures(tmp_path: Path) -> None:
    (tmp_path / "fox").mkdir()
    (tmp_path / "fox" / "notes.txt").touch()
    (tmp_path / "fox" / ".hidden.png").touch()
    with pytest.raises(DataError, match=r"found a folder there\. Expected one of"):
        find_kind(str(tmp_path))
    (tmp_path / "fox" / "1.jpeg").touch()
    assert find_kind(str(tmp_path)) == "pictures"


def test_a_saved_learner_reads_a_path_as_its_own_kind_if_it_can(rows: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "plants"
    (folder / "fox").mkdir(parents=True)
    (folder / "fox" / "1.png").touch()
    greedy = replace(ROW_FILES, holds=lambda path: True)  # comes after pictures
    monkeypatch.setitem(KINDS, "greedy", greedy)
    assert find_kind(str(folder)) == find_kind_for(str(folder), None, None) == "pictures"
    assert find_kind_for(str(folder), AsIs(), "greedy") == "greedy"  # its own kind
    assert find_kind_for(str(folder), AsIs(), None) == "greedy"  # the first that takes its preprocessing
    assert find_kind_for(str(folder), Picture(), "rows") == "pictures"
    assert find_kind_for(str(rows), Picture(), None) == "rows"  # which then refuses it in words
    assert find_kind_for("omniglot", AsIs(), "greedy") == "omniglot"  # a word is of its kind
    with pytest.raises(DataError, match="found nothing there"):
        find_kind_for(str(tmp_path / "nowhere"), AsIs(), "rows")


def test_other_data_are_read_with_the_settings_of_the_learner_s_own_kind(rows: Path, tmp_path: Path) -> None:
    run(prepare(recipe(rows, columns=3), tmp_path / "run", device="cpu"))
    other = tmp_path / "others.rows"
    other.write_text(rows.read_text().replace("plant", "tree"))
    question = Question(data=str(other), shape=kshot.EpisodeShape(2, 1, 2), episodes=3)
    assert ask(kshot.open_saved(tmp_path / "run"), question).dataset.gather(np.array([0])).shape == (1, 3)  # type: ignore[union-attr]


def test_a_run_of_a_recipe_with_a_relative_path_is_evaluated_from_anywhere(
    rows: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "mine.toml"
    file.write_text(
        f'[data]\nname = "{rows.name}"\nsplit = "fractions"\nfractions = [0.34, 0.33, 0.33]\n[backbone]\nname = "mlp"\n'
        "[episodes]\nway = 2\nquery = 2\n[validation]\nway = 2\nquery = 2\nepisodes = 4\n[training]\nupdates = 1\n"
    )
    run(prepare(read_recipe(file), tmp_path / "run", device="cpu"))
    monkeypatch.chdir("/")
    assert len(ask(kshot.open_saved(tmp_path / "run"), Question(shape=kshot.EpisodeShape(2, 1, 2), episodes=3))) == 3


def test_a_learner_saved_from_python_names_its_data(rows: Path, tmp_path: Path) -> None:
    data = _open_rows(str(rows), AsIs())
    stream = kshot.EpisodeStream(data, data.index, "mine/train", kshot.EpisodeShape(2, 1, 2), seed=0)
    assert found_again(data, "mine") == {"name": str(rows), "split": "fractions"}
    kshot.save(tmp_path / "saved", kshot.ProtoNet(kshot.Conv4(width=2)), trained_on=stream)
    assert kshot.open_saved(tmp_path / "saved").record["recipe"] == {"data": {"name": str(rows), "split": "fractions"}}
