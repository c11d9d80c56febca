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
    for name, colour in (("fox", "red"), ("owl", "gray")):
        (root / name).mkdir(parents=True)
        Image.new("RGB", (9, 9), colour).save(root / name / "1.png")
    return ImageFolder(root, Picture(8))


@pytest.mark.slow
def test_omniglot_and_its_split() -> None:
    omniglot = Omniglot()
    assert repr(omniglot).replace("\n         ", " ") == (
        f"Omniglot('omniglot', 6,492 classes, 129,840 items of uint8 (1, 28, 28), Ink(size=28, zoom=0.0, levels='full'), "
        f"fingerprint {omniglot.fingerprint[:12]}…)"
    )
    assert " ".join(repr(omniglot.index).split()).startswith(
        "ClassIndex(6,492 classes, 200 groups, items per class: 20, 'Alphabet_of_the_Magi/character01/rot000', "
    )
    assert repr(omniglot.split("vinyals")).replace("\n      ", " ") == (
        "Split('vinyals', train: 4,112 classes with 82,240 items, val: 688 classes with 13,760 items, "
        "test: 1,692 classes with 33,840 items, trainval: 4,800 classes with 96,000 items)"
    )


@pytest.mark.parametrize(
    ("make", "parts"),
    [
        (folder, ["ImageFolder('", "2 classes, 2 items of uint8 (3, 8, 8)", "Picture(size=8, channels=3, fit='crop', levels='full')"]),
        (
            lambda root: Sinusoids(3, 2, 2),
            ["Sinusoids('sinusoids', 7 classes, 1,792 items", "float32 (1,) with targets float32 (1,), AsIs()"],
        ),
        (lambda root: ArrayDataset(X, list("abab")), ["ArrayDataset('arrays', 2 classes, 4 items of float32 (3,), AsIs()"]),
        (lambda root: ArrayDataset({"a": X, "b": X[:, 0]}, list("abab")), ["4 items of {a: float32 (3,), b: float32 ()}"]),
        (lambda root: ArrayTasks(X, np.zeros((4, 2)), list("abab")), ["ArrayTasks('tasks', 2", "float32 (3,) with targets float64 (2,)"]),
        (lambda root: TorchDataset(TensorDataset(torch.zeros(4, 2), torch.tensor([0, 1, 0, 1]))), ["TorchDataset('torch_dataset', 2"]),
        (lambda root: ArrayDataset(X, ["a" * 999, "b", "c\nd", "e"], name="n\n" * 999), ["ArrayDataset('…", "4 classes"]),
    ],
)
def test_every_data_set_is_a_few_lines(make: Any, parts: list[str], tmp_path: Path) -> None:
    data = make(tmp_path / "pets")
    for shown in (repr(data), repr(data.index)):
        assert len(shown.splitlines()) <= 10
        assert max(map(len, shown.splitlines())) <= 200
    words = " ".join(repr(data).split())
    assert [part for part in [*parts, f"fingerprint {data.fingerprint[:12]}…"] if part not in words] == []


def test_a_class_index_says_how_many_items_its_classes_have() -> None:
    index = ClassIndex.build({"fox": [0], "owl": [1, 2], "elk": [3], "hen": [4]}, {"fox": "a", "owl": "b", "elk": "a", "hen": "b"})
    assert repr(index) == "ClassIndex(4 classes, 2 groups, items per class: 1 to 2, 'fox', 'owl', 'elk', …)"
    assert repr(index.subset(["owl"])) == "ClassIndex(1 class, 1 group, items per class: 2, 'owl')"
