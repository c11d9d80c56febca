"""Which classes a saved learner's tasks are compared with, and what is said where there are none to compare with."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from cases.folders import fill, pets_in
from kshot.data.arrays import ArrayDataset
from kshot.data.inputs import Inputs
from kshot.data.pictures.omniglot import Omniglot
from kshot.episodes.shape import EpisodeShape
from kshot.learners.metric.protonet import ProtoNet
from kshot.results.score.answers import answer_episodes
from kshot.results.score.episode_set import EpisodeSet
from kshot.saved.class_names import fold, unfold
from kshot.saved.folder import Saved
from kshot.workflows.experiment import prepare, run
from kshot.workflows.inspection import asked_part, known_parts, measure_shifts, near_copy_notes, report_tasks
from kshot.workflows.question import Question, ask
from kshot.workflows.recipe import parse_recipe

SHAPE = EpisodeShape(2, 1, 2)


@pytest.fixture(scope="module")
def pets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return pets_in(tmp_path_factory.mktemp("data") / "pets", 12)


@pytest.fixture(scope="module")
def saved(pets: Path, tmp_path_factory: pytest.TempPathFactory) -> Saved:
    """Trained for one update on six of the pets, with near classes."""
    recipe = parse_recipe(
        {
            "data": {"name": str(pets), "split": "fractions", "fractions": [0.5, 0.25, 0.25], "size": 16},
            "backbone": {"width": 3},
            "episodes": {"query": 2, "nearness": "near"},
            "validation": {"query": 2, "episodes": 2},
            "training": {"updates": 1},
        },
        "made",
    )
    ready = prepare(recipe, tmp_path_factory.mktemp("runs") / "run", device="cpu")
    assert ready.stream.shape.nearness == "near"  # type: ignore[union-attr]
    assert ready.stream.shape.way == 3  # type: ignore[union-attr]  # 0 is as many as there are: half of six, as near classes need a choice
    assert ready.validation.shape.nearness == "any"
    trained = run(ready)
    assert trained is not None
    return trained


def parts_of(saved: Saved, **question: Any) -> tuple[dict[str, set[str]], tuple[str, ...], str]:
    episodes = ask(saved, Question(shape=SHAPE, episodes=3, **question))
    parts, notes = known_parts(saved, episodes)
    return {part.name: set(part.index.names) for part in parts}, notes, asked_part(parts, episodes)


@pytest.mark.slow
def test_a_folder_s_parts_are_those_of_its_division(saved: Saved) -> None:
    division = {part: set(names) for part, names in saved.record["division"].items()}
    assert {part: len(names) for part, names in division.items()} == {"train": 6, "val": 3, "test": 3}
    assert parts_of(saved) == (division, (), "test")
    without_test = {part: division[part] for part in ("train", "val")}
    assert parts_of(saved, split="val") == (without_test, (), "val")
    assert parts_of(saved, split="train") == (without_test, (), "train")


def test_other_data_are_compared_with_the_learner_s_own(saved: Saved, tmp_path: Path) -> None:
    other = fill(tmp_path / "cars", ["audi", "bmw", "pet0"])
    parts, notes, part = parts_of(saved, data=str(other))
    assert (set(parts), notes, part) == ({"train", "val", "all"}, (), "all")
    assert parts["all"] == {"audi", "bmw", "pet0"}
    assert parts["train"] == set(unfold(saved.record["classes_seen"]))
    (tmp_path / "cars.json").write_text('{"train": ["audi", "pet0"], "test": ["bmw"]}')
    assert parts_of(saved, data=str(other), split=f"{tmp_path / 'cars.json'}/train")[0]["asked"] == {"audi", "pet0"}


def test_equal_names_of_other_data_are_no_kin(saved: Saved, tmp_path: Path) -> None:
    other = fill(tmp_path / "copies", unfold(saved.record["classes_seen"]))  # the same pictures under the same names, elsewhere
    Image.new("RGB", (16, 16), "red").save(other / unfold(saved.record["classes_seen"])[0] / "9.png")  # but for one
    episodes = ask(saved, Question(data=str(other), shape=SHAPE, episodes=3))
    parts, _ = known_parts(saved, episodes)
    shifts, _ = measure_shifts(saved, parts)
    assert np.sort(shifts[0].nearest["all"])[:-1].max() < 1e-3


@pytest.mark.parametrize("record", [{"classes_seen": {}}, {"recipe": None}])
def test_a_record_without_training_classes_says_so(saved: Saved, pets: Path, record: dict[str, Any]) -> None:
    bare = replace(saved, record={**saved.record, **record})
    episodes = ask(saved, Question(shape=SHAPE, episodes=3))
    parts, notes = known_parts(bare, episodes)
    assert parts == []
    assert notes[0].startswith(
        "No distance from the training classes: the learner's record names none. Train it with kshot, or pass record="
    )
    assert measure_shifts(bare, parts) == ((), ())


def test_training_data_that_is_gone_is_named(saved: Saved, tmp_path: Path) -> None:
    lost = dict(saved.record["recipe"])
    lost["data"] = {**lost["data"], "name": str(tmp_path / "gone")}
    moved = replace(saved, record={**saved.record, "recipe": lost, "fingerprint": "another"})
    other = fill(tmp_path / "cars", ["audi", "bmw"])
    parts, notes = known_parts(moved, ask(moved, Question(data=str(other), shape=SHAPE, episodes=3)))
    assert parts == []
    assert "found nothing there" in notes[0]
    assert "gone" in notes[0]


def test_the_shifts_are_those_of_features_and_pixels(saved: Saved) -> None:
    episodes = ask(saved, Question(shape=SHAPE, episodes=30))
    answers, results = answer_episodes(saved.learner, episodes)
    parts, notes = known_parts(saved, episodes)
    seen: list[int] = []
    shifts, missing = measure_shifts(saved, parts, seen.append)
    assert (notes, missing) == ((), ())
    assert sum(seen) == 2 * sum(part.items for part in parts) == 2 * 36
    assert [shift.space for shift in shifts] == ["features", "pixels"]
    for shift in shifts:
        assert set(shift.nearest) == {"train", "val", "test"}
        assert shift.median("train") == 1
    assert not np.allclose(shifts[0].nearest["test"], shifts[1].nearest["test"])
    report = report_tasks(episodes, answers, results, shifts, asked_part(parts, episodes), notes)
    hardest = int(report.difficulty.hardest(1)[0])
    number = int(report.difficulty.numbers[hardest])
    (drawn,) = (one.rows(one.numbers == number) for one in episodes.drawn)
    assert report.classes_of_episode[hardest] == tuple(episodes.index.names[position] for position in drawn.classes[0])
    assert list(dict(report.sections())) == [
        "Classes",
        "Most confused pairs",
        "Difficulty of the episodes",
        "Distance from the training classes",
    ]


class Maps(ProtoNet):
    """A learner whose features are maps, not vectors."""

    def encode(self, x: Inputs) -> Tensor:
        assert isinstance(x, Tensor)
        return x


def test_a_learner_without_vectors_is_measured_in_the_pixels_alone(saved: Saved) -> None:
    maps = replace(saved, learner=Maps(nn.Flatten()).eval())
    parts, _ = known_parts(maps, ask(saved, Question(shape=SHAPE, episodes=3)))
    shifts, notes = measure_shifts(maps, parts)
    assert [shift.space for shift in shifts] == ["pixels"]
    assert notes == (
        "No distances in the features: distances between classes need one vector of real numbers per item, (M, D); "
        "this encoder gives float32 (M, 3, 16, 16).",
    )


def test_features_that_are_not_finite_are_named(saved: Saved) -> None:
    broken = replace(
        saved, learner=ProtoNet(nn.Sequential(nn.Flatten(), nn.ReLU(), nn.LogSoftmax(1), nn.Threshold(1e9, float("nan")))).eval()
    )
    parts, _ = known_parts(broken, ask(saved, Question(shape=SHAPE, episodes=3)))
    shifts, notes = measure_shifts(broken, parts)
    assert [shift.space for shift in shifts] == ["pixels"]
    assert "is not finite. Look for NaN in data and learner" in notes[0]


@pytest.mark.slow
def test_omniglot_s_parts_leave_out_turned_copies(omniglot: Omniglot) -> None:
    split = omniglot.split("vinyals")
    record = {
        "recipe": {"data": {"name": "omniglot", "split": "vinyals"}},
        "fingerprint": omniglot.fingerprint,
        "split": "vinyals",
        "classes_seen": fold(split.part("train").names),
    }
    saved = Saved(ProtoNet(nn.Sequential(nn.AvgPool2d(4), nn.Flatten())).eval(), omniglot.preprocess, record)
    episodes = EpisodeSet.draw(omniglot, split.part("test"), "vinyals/test", EpisodeShape(5, 1, 5), episodes=20)
    parts, _ = known_parts(saved, episodes)
    assert [(part.name, len(part.index)) for part in parts] == [("train", 4112), ("val", 688), ("test", 1692)]
    (features, pixels), notes = measure_shifts(saved, parts)
    assert notes == ()
    for shift in (features, pixels):
        assert 1 < shift.median("test") < 1.5
        assert shift.discrepancy["test"].p == 0.005
    everything = replace(saved, record={**record, "classes_seen": fold(split.part("trainval").names)})
    assert [part.name for part in known_parts(everything, episodes)[0]] == ["train", "test"]


def test_arrays_have_no_groups_and_no_kin() -> None:
    data = ArrayDataset(torch.rand(40, 8, generator=torch.Generator().manual_seed(0)), [f"{n % 10}" for n in range(40)])
    record = {"recipe": {"data": {}}, "fingerprint": data.fingerprint, "classes_seen": fold(data.index.names[:6])}
    saved = Saved(ProtoNet(nn.Linear(8, 4)).eval(), None, record)
    episodes = EpisodeSet.draw(data, data.index.subset(data.index.names[6:]), "mine/test", SHAPE, episodes=20)
    parts, notes = known_parts(saved, episodes)
    assert ([part.name for part in parts], notes) == (["train", "test"], ())
    (features, _), _ = measure_shifts(saved, parts)
    with torch.no_grad():
        rows = saved.learner.encode(data.gather(np.arange(40))).double()  # type: ignore[union-attr]
    means = torch.stack([rows[n::10].mean(0) for n in range(10)])
    assert features.nearest["test"] * features.unit == pytest.approx(torch.cdist(means[6:], means[:6]).min(1).values.numpy())


def test_pictures_that_are_nearly_the_same_are_counted_and_two_are_named(saved: Saved, pets: Path, tmp_path: Path) -> None:
    learnt = unfold(saved.record["classes_seen"])[0]
    other = fill(tmp_path / "cars", ["audi", "bmw"])
    shutil.copy(pets / learnt / "1.png", other / "audi" / "8.png")
    shutil.copy(other / "audi" / "0.png", other / "audi" / "9.png")  # a copy, left out
    with Image.open(other / "audi" / "2.png") as image:
        image.point(lambda value: min(value + 1, 255)).save(other / "bmw" / "7.png")
    episodes = ask(saved, Question(data=str(other), shape=SHAPE, episodes=3))
    parts, _ = known_parts(saved, episodes)
    (note,) = near_copy_notes(parts, episodes)
    assert note.startswith(f"Of {6 * 3 + 3 * 3 + 8} pictures, 2 pairs are nearly the same (to 4 of 255 grey levels in 16 × 16 cells): ")
    assert "2 in two classes, 1 with one in a training class." in note
    assert str(other / "audi" / "8.png") in note
    assert str(pets / learnt / "1.png") in note
    (alone,) = near_copy_notes([], episodes)  # of a learner that names no training classes, such as `nearest`
    assert alone.startswith("Of 8 pictures, 1 pair is nearly the same")
