"""Folders as classes, groups and parts of a division, at any depth."""

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from kshot.data.pictures.class_folders import PART_OF, class_files, find_classes
from kshot.data.pictures.image_folder import ImageFolder
from kshot.data.pictures.picture import Picture
from kshot.data.table import divide
from kshot.errors import DataError

FRACTIONS = (0.6, 0.2, 0.2)


def fill(root: Path, *classes: str, count: int = 2) -> Path:
    """Pictures of noise, no two alike."""
    for name in classes:
        (root / name).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            rng = np.random.default_rng([number, *name.encode()])
            Image.fromarray(rng.integers(0, 256, (4, 4), dtype=np.uint8)).save(root / name / f"{number}.png")
    return root


def test_classes_three_folders_deep_are_named_by_their_path_and_grouped_by_what_holds_them(tmp_path: Path) -> None:
    root = fill(tmp_path, "Fruit/Apple/Golden", "Fruit/Apple/Gala", "Fruit/Banana", "Dairy/Milk/Full/Cold")
    data = ImageFolder(root, Picture(4))
    assert data.index.names == ("Dairy/Milk/Full/Cold", "Fruit/Apple/Gala", "Fruit/Apple/Golden", "Fruit/Banana")
    assert data.index.groups == ("Dairy/Milk/Full", "Fruit/Apple", "Fruit/Apple", "Fruit")
    assert list(class_files(root)) == list(data.index.names)
    assert data.index.sizes.tolist() == [2, 2, 2, 2]


def test_where_a_class_lies_in_no_group_there_are_none(tmp_path: Path) -> None:
    data = ImageFolder(fill(tmp_path, "fox", "letters/greek/alpha"), Picture(4))
    assert (data.index.names, data.index.groups) == (("fox", "letters/greek/alpha"), None)


def test_pictures_beside_folders_and_empty_folders_are_named_at_any_depth(tmp_path: Path) -> None:
    root = fill(tmp_path / "mixed", "a/b/c", "a/b")
    with pytest.raises(DataError, match=r"class folder .*a.b holds both pictures and folders \('c'\)"):
        class_files(root)
    hollow = fill(tmp_path / "hollow", "a/b/c")
    (hollow / "a" / "d" / "e").mkdir(parents=True)
    with pytest.raises(DataError, match=r"1 of 2 class folders of .* hold no pictures: 'a/d/e'"):
        class_files(hollow)


@pytest.mark.skipif(os.name != "posix", reason="links need rights on this system")
def test_a_link_to_a_folder_above_is_an_error_and_other_links_are_followed(tmp_path: Path) -> None:
    root = fill(tmp_path / "data", "a/b")
    fill(tmp_path / "elsewhere", "c")
    (root / "a" / "linked").symlink_to(tmp_path / "elsewhere" / "c")
    assert list(class_files(root)) == ["a/b", "a/linked"]
    (root / "a" / "loop").symlink_to(root)
    with pytest.raises(DataError, match=r"the folder .*loop is a link to a folder above it"):
        class_files(root)


@pytest.mark.parametrize(
    "names", [("train", "val", "test"), ("Training", "VALIDATION", "Testing"), ("TRAIN", "valid", "test"), ("train", "eval", "Test")]
)
def test_folders_of_parts_are_the_division(tmp_path: Path, names: tuple[str, str, str]) -> None:
    train, val, test = names
    root = fill(tmp_path, *(f"{train}/n{number}" for number in range(3)), f"{val}/v0", f"{val}/v1", f"{test}/t0", f"{test}/t1")
    data = ImageFolder(root, Picture(4))
    assert data.index.names == ("n0", "n1", "n2", "t0", "t1", "v0", "v1")
    assert data.index.groups is None
    assert data.division == {"train": ("n0", "n1", "n2"), "val": ("v0", "v1"), "test": ("t0", "t1")}
    assert data.notes == ("the folders divide the classes: 3 train, 2 val, 2 test.",)
    split = divide(data, "fractions", fractions=FRACTIONS, seed=0)
    assert split.as_names() == {"train": ["n0", "n1", "n2"], "val": ["v0", "v1"], "test": ["t0", "t1"]}
    for name in data.index.names:
        assert {path.parent.parent.name.lower() for path in (data.files[item] for item in data.index.items_of(name))} <= set(PART_OF)
    assert split.as_names() == divide(data, "vinyals", fractions=FRACTIONS, seed=5).as_names()


def test_groups_below_the_parts_are_groups(tmp_path: Path) -> None:
    found = find_classes(fill(tmp_path, "train/Fruit/Apple", "train/Fruit/Pear", "test/Dairy/Milk"))
    assert found.groups == {"Dairy/Milk": "Dairy", "Fruit/Apple": "Fruit", "Fruit/Pear": "Fruit"}
    assert found.division == {"train": ["Fruit/Apple", "Fruit/Pear"], "test": ["Dairy/Milk"]}


def test_without_a_folder_for_them_validation_classes_are_drawn_from_those_of_training(tmp_path: Path) -> None:
    root = fill(tmp_path, *(f"train/n{number}" for number in range(8)), "test/t0", "test/t1", count=1)
    data = ImageFolder(root, Picture(4))
    assert "the validation classes are drawn from those of training" in data.notes[0]
    parts = divide(data, "fractions", fractions=FRACTIONS, seed=0).as_names()
    assert parts["test"] == ["t0", "t1"]
    assert len(parts["val"]) == 2  # a quarter of eight
    assert sorted(parts["train"] + parts["val"]) == [f"n{number}" for number in range(8)]
    assert divide(data, "fractions", fractions=FRACTIONS, seed=1).as_names()["val"] != parts["val"]
    few = ImageFolder(fill(tmp_path / "few", "train/n0", "test/t0"), Picture(4))
    with pytest.raises(DataError, match="validation classes are drawn from at least 2 training classes; found 1"):
        divide(few, "fractions", fractions=FRACTIONS, seed=0)


def test_a_file_of_class_names_goes_before_the_folders(tmp_path: Path) -> None:
    data = ImageFolder(fill(tmp_path / "data", "train/a", "train/b", "test/c"), Picture(4))
    file = tmp_path / "mine.json"
    file.write_text('{"train": ["c"], "test": ["a"]}')
    assert divide(data, str(file), fractions=FRACTIONS, seed=0).as_names() == {"train": ["c"], "test": ["a"]}


def test_a_class_in_two_parts_is_an_error_with_two_ways_on(tmp_path: Path) -> None:
    root = fill(tmp_path, "train/fox", "train/owl", "test/fox", "test/elk")
    with pytest.raises(DataError) as caught:
        ImageFolder(root, Picture(4))
    message = str(caught.value)
    assert message.startswith(f"class 'fox' is in two parts of {root}: test/fox and train/fox.")
    assert 'set data.parts = "merge"' in message
    assert 'set data.parts = "separate"' in message
    merged = ImageFolder(root, Picture(4), parts="merge", duplicates="keep")
    assert (merged.index.names, merged.index.sizes.tolist(), merged.division) == (("elk", "fox", "owl"), [2, 4, 2], None)
    assert {path.parent.parent.name for path in (merged.files[item] for item in merged.index.items_of("fox"))} == {"train", "test"}
    apart = ImageFolder(root, Picture(4), parts="separate")
    assert apart.index.names == ("test/elk", "test/fox", "train/fox", "train/owl")
    assert apart.division == {"train": ("train/fox", "train/owl"), "test": ("test/elk", "test/fox")}


def test_copies_in_training_and_test_are_an_error_that_names_both(tmp_path: Path) -> None:
    root = fill(tmp_path, "train/fox", "test/elk")
    (root / "test" / "elk" / "7.png").write_bytes((root / "train" / "fox" / "1.png").read_bytes())
    with pytest.raises(DataError) as caught:
        ImageFolder(root, Picture(4))
    assert str(root / "train" / "fox" / "1.png") in str(caught.value)
    assert str(root / "test" / "elk" / "7.png") in str(caught.value)
    dropped = ImageFolder(root, Picture(4), duplicates="drop")
    assert dropped.index.sizes.tolist() == [2, 1]


@pytest.mark.parametrize(
    ("folders", "message"),
    [
        (("train/a", "test/b", "other/c"), r"holds the parts 'test' and 'train', and beside them 'other'.*data\.parts = \"merge\""),
        (("train/a", "test/b", "fox"), r"beside them 'fox'"),
        (("train/a", "val/b", "valid/c"), r"two folders for the val classes, 'val' and 'valid'"),
        (("val/a", "test/b"), r"holds the parts 'test' and 'val' but no folder 'train'"),
    ],
)
def test_folders_that_make_no_division_are_errors(tmp_path: Path, folders: tuple[str, ...], message: str) -> None:
    with pytest.raises(DataError, match=message):
        find_classes(fill(tmp_path, *folders))


def test_a_class_may_be_called_train(tmp_path: Path) -> None:
    found = find_classes(fill(tmp_path / "vehicles", "train", "car", "test"))
    assert (list(found.files), found.division) == (["car", "test", "train"], None)
    alone = find_classes(fill(tmp_path / "alone", "train/a", "other/b"))
    assert (list(alone.files), alone.division) == (["other/b", "train/a"], None)


def test_a_support_folder_with_parts_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match=r"is divided into 'test' and 'train'; expected class folders alone\. Name one of these folders, such as"
    ):
        class_files(fill(tmp_path, "train/fox", "test/elk"))
