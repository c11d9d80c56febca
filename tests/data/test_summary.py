"""Data in a few lines: whatever is printed fits one screen."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import TensorDataset

from kshot.data.array_tasks import ArrayTasks
from kshot.data.arrays import ArrayDataset
from kshot.data.class_index import ClassIndex
from kshot.data.pictures.image_folder import ImageFolder
from kshot.data.pictures.omniglot import Omniglot
from kshot.data.pictures.picture import Picture
from kshot.data.sinusoids import Sinusoids
from kshot.data.torch_dataset import TorchDataset

X = np.zeros((4, 3), np.float32)


def folder(root: Path) -> ImageFolder:
    for name in ("fox", "owl"):
        (root / name).mkdir(parents=True)
        Image.new("RGB", (9, 9)).save(root / name / "1.png")
    return ImageFolder(root, Picture(8))


def test_omniglot_and_its_split() -> None:
    omniglot = Omniglot()
    assert repr(omniglot).splitlines() == [
        "Omniglot: 6,492 classes, 129,840 items",
        "  name        omniglot",
        "  item        uint8 (1, 28, 28)",
        "  preprocess  Ink(size=28, zoom=0.0)",
        f"  fingerprint {omniglot.fingerprint[:12]}…",
    ]
    assert repr(omniglot.index).startswith("ClassIndex: 6,492 classes in 200 groups, items per class: 20; 'Angelic/character01/rot000', ")
    split = repr(omniglot.split("vinyals")).splitlines()
    assert [line[:34] for line in split] == [
        "Split 'vinyals'",
        "  train     ClassIndex: 4,112 clas",
        "  val       ClassIndex: 688 classe",
        "  test      ClassIndex: 1,692 clas",
        "  trainval  ClassIndex: 4,800 clas",
    ]


@pytest.mark.parametrize(
    ("make", "first", "item"),
    [
        (folder, "ImageFolder: 2 classes, 2 items", "uint8 (3, 8, 8)"),
        (lambda root: Sinusoids(3, 2, 2), "Sinusoids: 7 classes, 1,792 items", "float32 (1,) with targets float32 (1,)"),
        (lambda root: ArrayDataset(X, list("abab")), "ArrayDataset: 2 classes, 4 items", "float32 (3,)"),
        (lambda root: ArrayDataset({"a": X, "b": X[:, 0]}, list("abab")), "ArrayDataset: 2", "'a' float32 (3,), 'b' float32 ()"),
        (lambda root: ArrayTasks(X, np.zeros((4, 2)), list("abab")), "ArrayTasks: 2 classes, 4", "float32 (3,) with targets float64 (2,)"),
        (lambda root: TorchDataset(TensorDataset(torch.zeros(4, 2), torch.tensor([0, 1, 0, 1]))), "TorchDataset: 2 classes", "float32 (2,)"),
        (lambda root: ArrayDataset(X, ["a" * 999, "b", "c\nd", "e"], name="n\n" * 999), "ArrayDataset: 4 classes, 4 items", "float32 (3,)"),
    ],
)
def test_every_data_set_is_five_lines(make: Any, first: str, item: str, tmp_path: Path) -> None:
    data = make(tmp_path / "pets")
    lines = repr(data).splitlines()
    assert lines[0].startswith(first)
    assert [line[:14].strip() for line in lines[1:]] == ["name", "item", "preprocess", "fingerprint"]
    assert lines[2][14:] == item
    assert lines[4][14:] == f"{data.fingerprint[:12]}…"
    assert max(map(len, [*lines, repr(data.index)])) <= 114
    assert len(repr(data.index).splitlines()) == 1


def test_a_class_index_says_how_many_items_its_classes_have() -> None:
    index = ClassIndex.build({"fox": [0], "owl": [1, 2], "elk": [3], "hen": [4]}, {"fox": "a", "owl": "b", "elk": "a", "hen": "b"})
    assert repr(index) == "ClassIndex: 4 classes in 2 groups, items per class: 1 to 2; 'fox', 'owl', 'elk', …"
    assert repr(index.subset(["owl"])) == "ClassIndex: 1 class in 1 group, items per class: 2; 'owl'"
