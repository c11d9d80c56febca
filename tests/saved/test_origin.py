"""What a learner was trained on is found in its record, and a test on classes it has seen is refused."""

from pathlib import Path

import pytest
from PIL import Image

import kshot
from kshot.backbones.mlp import MLP
from kshot.data.pictures.picture import Picture
from kshot.data.sinusoids import Sinusoids
from kshot.episodes.family import Regression
from kshot.episodes.item_stream import ItemStream
from kshot.errors import DataError
from kshot.learners.metric.ridge import RidgeNet
from kshot.workflows.question import Question, ask


@pytest.mark.slow
def test_a_record_of_what_a_learner_was_trained_on_lets_a_test_refuse_it(tmp_path: Path, omniglot: kshot.Omniglot) -> None:
    train = omniglot.split("vinyals").part("train")
    stream = kshot.EpisodeStream(omniglot, train, "vinyals/train", kshot.EpisodeShape(5, 1, 1), seed=3)
    kshot.save(tmp_path / "mine", kshot.ProtoNet(kshot.Conv4(width=4)), trained_on=stream, record={"seed": 4, "note": "mine"})
    saved = kshot.open_saved(tmp_path / "mine")
    assert saved.preprocess == omniglot.preprocess
    assert (saved.record["seed"], saved.record["note"], saved.record["split"]) == (4, "mine", "vinyals")
    assert ask(saved, Question(episodes=2)).split == "vinyals/test"
    with pytest.raises(DataError, match=r"4112 of the 4112 classes|were seen in training"):
        ask(saved, Question(split="all", episodes=2))


def test_a_record_of_a_folder_names_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for shade, name in enumerate(("fox", "hen", "owl")):
        (tmp_path / "pets" / name).mkdir(parents=True)
        for number in range(2):
            Image.new("RGB", (9, 9), (number * 90, 20, shade)).save(tmp_path / "pets" / name / f"{number}.png")
    monkeypatch.chdir(tmp_path)
    pets = kshot.ImageFolder(Path("pets"), Picture(16))
    seen = pets.index.subset(["fox", "hen"])
    items = ItemStream(pets, seen, "mine/train", seed=0, batch=2)
    kshot.save("saved", kshot.ProtoNet(kshot.Conv4(width=4, channels=3)), trained_on=items)
    saved = kshot.open_saved("saved")
    assert saved.preprocess == Picture(16)
    monkeypatch.chdir("/")
    with pytest.raises(DataError, match="2 of the 3 classes of all were seen in training: fox, hen"):
        ask(saved, Question(split="all", episodes=2))


@pytest.mark.slow
def test_a_record_of_the_sinusoids_names_them(tmp_path: Path) -> None:
    waves = Sinusoids()
    stream = kshot.EpisodeStream(waves, waves.split().part("train"), "sinusoids/train", kshot.EpisodeShape(1, 5, 5), seed=0)
    kshot.save(tmp_path / "mine", RidgeNet(MLP(1, [4], 2), family=Regression()), trained_on=stream)
    assert ask(kshot.open_saved(tmp_path / "mine"), Question(episodes=2)).split == "sinusoids/test"
