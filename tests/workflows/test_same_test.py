"""Which episodes are the same for all learners, and which learners may take them."""

import re
import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from torch import nn

import kshot
import kshot.workflows.same_test
from cases.folders import fill, pets_in
from kshot.data.arrays import ArrayDataset
from kshot.data.pictures.picture import Picture
from kshot.data.table import Source
from kshot.episodes.family import Regression
from kshot.episodes.shape import EpisodeShape
from kshot.errors import DataError, EpisodeError, RecipeError
from kshot.learners.metric.nearest import NearestNeighbour
from kshot.learners.metric.protonet import ProtoNet
from kshot.learners.table import LearnerSpec
from kshot.results.score.episode_set import EpisodeSet
from kshot.saved.class_names import fold
from kshot.saved.folder import Saved
from kshot.workflows.experiment import prepare, run
from kshot.workflows.named_learners import open_learner
from kshot.workflows.question import Question, ask
from kshot.workflows.recipe import parse_recipe
from kshot.workflows.same_test import compare, compare_entrants, same_test

SHAPE = EpisodeShape(2, 1, 2)
QUESTION = Question(shape=SHAPE, episodes=30)


@pytest.fixture(scope="module")
def pets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return pets_in(tmp_path_factory.mktemp("data") / "pets", items=5)


@pytest.mark.slow
def test_learners_of_real_targets_take_the_same_waves(tmp_path: Path) -> None:
    waves = {"name": "sinusoids", "split": "sinusoids"}
    parts = {"learner": {"name": "ridge"}, "backbone": {"name": "mlp", "hidden": [4], "outputs": 4}}
    parts |= {"episodes": {"shot": 2, "query": 2}, "validation": {"episodes": 2}, "training": {"updates": 1}}
    learners = {}
    for seed in (0, 1):
        saved = run(prepare(parse_recipe({"data": waves, "seed": seed, **parts}, "of this test"), tmp_path / str(seed)))
        assert saved is not None
        learners[f"seed {seed}"] = saved
    comparison = compare_entrants(learners, same_test(learners, Question(shape=EpisodeShape(5, 1, 9), episodes=20), [2, 5]))
    assert [one.heading.partition(",")[0] for one in comparison.rounds] == ["2-shot", "5-shot"]
    assert "9 queries per task" in comparison.rounds[0].heading
    assert "mean squared error" in comparison.table()


@pytest.fixture(scope="module")
def train(pets: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Saved]:
    def trained(learner: str, **data: Any) -> Saved:
        recipe = {
            "data": {"name": str(pets), "split": "fractions", "fractions": [0.5, 0.25, 0.25], "size": 16, **data},
            "learner": {"name": learner},
            "backbone": {"width": 3},
            "episodes": {"way": 2, "query": 2},
            "validation": {"query": 2, "episodes": 2},
            "training": {"updates": 1},
        }
        saved = run(prepare(parse_recipe(recipe, "made"), tmp_path_factory.mktemp("runs") / "run", device="cpu"))
        assert saved is not None
        return saved

    return trained


@pytest.fixture(scope="module")
def learners(train: Callable[..., Saved]) -> dict[str, Saved]:
    return {"protonet": train("protonet"), "ridge": train("ridge"), "nearest": open_learner("nearest")}


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was opened, in order."""
    names: list[str] = []

    def opening(source: Source) -> Any:
        names.append(f"{Path(source.name).name} {source.preprocess!r}")
        return real(source)

    real = Source.open
    monkeypatch.setattr(Source, "open", opening)
    return names


@pytest.mark.slow
def test_the_test_is_that_of_each_alone_and_data_are_opened_once(learners: dict[str, Saved], opened: list[str]) -> None:
    test = same_test(learners, QUESTION, [1, 2])
    assert len(opened) == 1
    assert [one.hash for one in test.sets] == [ask(learners["ridge"], replace(QUESTION, shape=EpisodeShape(2, k, 2))).hash for k in (1, 2)]
    assert len({id(data) for data in test.datasets.values()}) == 1
    assert test.remarks == ("nearest has no preprocessing of its own; it reads the data as protonet does.",)


@pytest.mark.slow
def test_whoever_is_named_first(learners: dict[str, Saved]) -> None:
    turned = same_test(dict(reversed(learners.items())), QUESTION)
    assert turned.sets[0].hash == same_test(learners, QUESTION).sets[0].hash


@pytest.mark.slow
def test_what_is_to_be_known_of_the_data_is_told_with_the_learners_that_read_them(learners: dict[str, Saved], tmp_path: Path) -> None:
    other = fill(tmp_path / "cars", [f"car{number}" for number in range(6)])
    shutil.copy(other / "car0" / "0.png", other / "car0" / "9.png")
    test = same_test(learners, Question(data=str(other), shape=SHAPE, episodes=3))
    (told,) = [remark for remark in test.remarks if "is a copy of another one of its class" in remark]
    assert told.startswith(f"{', '.join(learners)}: 1 picture is a copy")


@pytest.mark.slow
def test_a_comparison_has_the_remarks_of_its_test(learners: dict[str, Saved]) -> None:
    test, seen = same_test(learners, QUESTION), []
    comparison = compare_entrants(learners, test, device="cpu", progress=seen.append)
    assert sum(seen) == 3 * 30
    assert comparison.remarks == test.remarks
    assert {one.episodes_hash for one in comparison.rounds[0].results.values()} == {test.sets[0].hash}


@pytest.mark.slow
@pytest.mark.parametrize(("count", "told"), [(1, "± 0 stands for none"), (5, "fewer than 30 episodes"), (30, None)])
def test_that_episodes_are_few_is_said_once(count: int, told: str | None, learners: dict[str, Saved]) -> None:
    notes = compare_entrants(learners, same_test(learners, Question(shape=SHAPE, episodes=count)), device="cpu").notes()
    warnings = [note for note in notes if "Ask for more" in note or "are few" in note or "no interval" in note]
    assert len(warnings) == (told is not None)
    assert told is None or told in warnings[0]


@pytest.mark.slow
def test_another_way_of_reading_is_opened_for_who_has_it_and_told(
    learners: dict[str, Saved], train: Callable[..., Saved], opened: list[str]
) -> None:
    both = {"small": learners["protonet"], "large": train("protonet", size=32), "grey": train("protonet", size=32, channels=1)}
    opened.clear()
    test = same_test(both, QUESTION)
    assert len(opened) == 3
    assert len({data.fingerprint for data in test.datasets.values()}) == 1
    assert [data.preprocess.arguments()["size"] for data in test.datasets.values()] == [16, 32, 32]
    (remark,) = test.remarks
    assert remark.startswith("The learners read the same items in different ways: small as Picture(size=16")
    comparison = compare_entrants(both, test, device="cpu")
    assert {one.episodes_hash for one in comparison.rounds[0].results.values()} == {test.sets[0].hash}


def test_learners_that_name_no_data_take_what_is_asked_for(pets: Path) -> None:
    two = {"nearest": open_learner("nearest"), "same": open_learner("nearest")}
    with pytest.raises(DataError, match=r"none of nearest, same names the data it is for. Give --data omniglot"):
        same_test(two, QUESTION)
    test = same_test(two, replace(QUESTION, data=str(pets)))
    assert (test.sets[0].split, len(test.sets[0].index)) == ("all", 8)
    assert compare_entrants(two, test).sentence() == "nearest and same do not differ at 1 shot."
    reader = Saved(ProtoNet(nn.Flatten()), Picture(16))
    test = same_test({**two, "reader": reader}, replace(QUESTION, data=str(pets)))
    assert test.datasets["nearest"].preprocess == Picture(16)  # as the one reads that brings a preprocessing
    assert "The record of reader does not say which classes it was trained on" in " ".join(test.remarks)


@pytest.mark.slow
def test_a_guest_with_a_preprocessing_reads_the_test_of_the_others(learners: dict[str, Saved], pets: Path) -> None:
    guest = Saved(ProtoNet(nn.Flatten()), Picture(24))
    test = same_test({"protonet": learners["protonet"], "guest": guest}, QUESTION)
    assert test.sets[0].split == "division/test"
    assert test.datasets["guest"].preprocess == Picture(24)
    seen = learners["protonet"].record
    for record in ({"fingerprint": seen["fingerprint"], "classes_seen": fold(seen["division"]["test"])},):
        with pytest.raises(DataError, match=r"guest was trained on 2 of the 2 classes of division/test: pet\d, pet\d It would"):
            same_test({"protonet": learners["protonet"], "guest": replace(guest, record=record)}, QUESTION)


@pytest.mark.slow
def test_who_knows_the_test_classes_is_refused_by_name_with_the_classes(
    learners: dict[str, Saved], train: Callable[..., Saved], pets: Path, tmp_path: Path
) -> None:
    division = learners["ridge"].record["division"]
    for split, part in (("train", division["train"]), ("all", division["train"])):
        message = rf"protonet was trained on 4 of the \d classes of (division/)?{split}: {', '.join(sorted(part))} It would be tested"
        with pytest.raises(DataError, match=message):
            same_test(learners, replace(QUESTION, split=split))
    # One whose own training classes are the others' test classes.
    swapped = tmp_path / "swapped.json"
    swapped.write_text(
        f'{{"train": {division["test"] + division["val"]}, "val": {division["train"][:2]}, "test": {division["train"][2:]}}}'.replace(
            "'", '"'
        )
    )
    knowing = train("protonet", split=str(swapped))
    mine = tmp_path / "mine.json"
    mine.write_text(f'{{"train": {division["train"]}, "test": {division["test"]}}}'.replace("'", '"'))
    with pytest.raises(DataError, match=rf"knowing was trained on 2 of the 2 classes of division/test: {', '.join(division['test'])}"):
        same_test({"ridge": learners["ridge"], "knowing": knowing}, replace(QUESTION, split=str(mine)))
    with pytest.raises(
        DataError, match=r"ridge and knowing cannot take the same test: division/test of ridge and division/test of knowing are not"
    ):
        same_test({"ridge": learners["ridge"], "knowing": knowing}, QUESTION)


@pytest.mark.slow
def test_learners_of_different_data_are_refused(learners: dict[str, Saved], train: Callable[..., Saved], tmp_path: Path) -> None:
    cars = fill(tmp_path / "cars", [f"car{number}" for number in range(8)], items=5)
    driver = train("protonet", name=str(cars))
    two = {"protonet": learners["protonet"], "driver": driver}
    with pytest.raises(
        DataError, match=r"protonet and driver cannot take the same test: protonet is for .*pets and driver for .*cars\. Say"
    ):
        same_test(two, QUESTION)
    other = fill(tmp_path / "boats", ["kayak", "ferry", "yacht"], items=5)
    test = same_test(two, replace(QUESTION, data=str(other)))  # new to both
    assert len(test.sets[0].index) == 3
    shipped = {"protonet": learners["protonet"], "omniglot-protonet": open_learner("omniglot-protonet")}
    with pytest.raises(DataError, match=r"cannot take the same test: protonet is for .*pets and omniglot-protonet for omniglot"):
        same_test(shipped, QUESTION)
    with pytest.raises(DataError, match=r"protonet: omniglot is ink on paper; this learner reads Picture"):
        same_test(shipped, replace(QUESTION, data="omniglot"))


@pytest.mark.parametrize(
    ("question", "kind", "message"),
    [
        ({"mode": "transductive"}, RecipeError, r"protonet offers inductive prediction; transductive was asked for"),
        ({"shape": EpisodeShape(3, 1, 2)}, EpisodeError, r"way=3 needs at least 3 classes; found 2"),
        ({"shape": EpisodeShape(2, 4, 2)}, EpisodeError, r"class 'pet\d' has 5 items; way=2 shot=4 query=2 needs 6"),
        ({"episodes": 0}, RecipeError, r"episodes must be 1 or more; found 0"),
        ({"seed": -1}, EpisodeError, r"the seed of episodes must be 0 or more"),
        ({"split": "vinyals"}, DataError, r"protonet: the learner's folder has one division"),
        ({"data": "nowhere"}, DataError, r"protonet: .*nothing there"),
    ],
)
def test_what_cannot_be_asked_is_named(
    learners: dict[str, Saved], question: Mapping[str, Any], kind: type[Exception], message: str
) -> None:
    with pytest.raises(kind, match=message):
        same_test(learners, replace(QUESTION, **question))


def test_a_shot_the_data_cannot_give_names_the_class(learners: dict[str, Saved]) -> None:
    with pytest.raises(EpisodeError, match=r"class 'pet\d' has 5 items; way=2 shot=4 query=2 needs 6"):
        same_test(learners, QUESTION, [1, 2, 4])


def test_too_few_learners_and_other_kinds_of_tasks(learners: dict[str, Saved]) -> None:
    with pytest.raises(RecipeError, match=r"at least two learners; found ridge"):
        same_test({"ridge": learners["ridge"]}, QUESTION)
    real = ProtoNet(nn.Flatten())
    real.family = Regression()
    with pytest.raises(RecipeError, match=r"protonet learns classification tasks, but real learns regression tasks"):
        same_test({"protonet": learners["protonet"], "real": Saved(real, None)}, QUESTION)


@pytest.mark.slow
def test_the_same_omniglot_classes_by_two_names_must_be_said_which(omniglot: kshot.Omniglot) -> None:
    vinyals = open_learner("omniglot-protonet")
    data = {"name": "omniglot", "split": "characters"}
    learner = LearnerSpec("ridge", "conv4", {}, {"width": 3}).build()
    seen = fold(omniglot.split("characters").part("train").names)
    other = Saved(learner, omniglot.preprocess, {"recipe": {"data": data}, "fingerprint": omniglot.fingerprint, "classes_seen": seen})
    two = {"vinyals": vinyals, "characters": other}
    with pytest.raises(DataError, match=r"call the same classes vinyals/test and characters/test.*Say with --split vinyals/test"):
        same_test(two, QUESTION)
    assert same_test(two, replace(QUESTION, split="vinyals/test")).sets[0].split == "vinyals/test"
    plain = replace(other, record={"recipe": {"data": {**data, "split": "vinyals", "rotations": "none"}}})
    with pytest.raises(DataError, match=r"are not the same classes; \d+ are in one only"):
        same_test({"vinyals": vinyals, "plain": plain}, QUESTION)


# `kshot.compare`, for what a program holds.


@pytest.fixture
def data() -> ArrayDataset:
    random = np.random.default_rng(0)
    x = random.random((8, 1, 5)) + 0.5 * random.random((8, 6, 5))
    return ArrayDataset(x.reshape(48, 5).astype(np.float32), [name for name in "abcdefgh" for _ in range(6)])


def episodes(data: ArrayDataset, shot: int = 1) -> EpisodeSet:
    return EpisodeSet.draw(data, data.index.subset("abcd"), "mine/test", EpisodeShape(2, shot, 2), episodes=30)


def test_learners_and_saved_ones_one_set_or_several(data: ArrayDataset) -> None:
    saved = Saved(ProtoNet(nn.Identity()), data.preprocess, {"fingerprint": data.fingerprint, "classes_seen": {"": ["e", "f"]}})
    two: dict[str, Any] = {"saved": saved, "bare": NearestNeighbour(nn.Identity())}
    comparison = compare(two, episodes(data))
    assert comparison.sentence() == "bare and saved do not differ at 1 shot."  # of one item a class, the mean is the item
    assert [one.shots for one in compare(two, [episodes(data, 3), episodes(data)]).rounds] == ["1", "3"]
    assert set(comparison.as_dict()) == {"sentence", "rounds", "machine", "notes"}
    assert "| bare" in comparison.table()
    assert kshot.compare is compare


def test_a_saved_one_that_knows_the_classes_or_reads_otherwise_is_refused(data: ArrayDataset) -> None:
    bare = ProtoNet(nn.Identity())
    knowing = Saved(bare, None, {"fingerprint": data.fingerprint, "classes_seen": {"": ["h", "a", "d"]}, "split": "division"})
    with pytest.raises(DataError, match=r"knowing was trained on 2 of the 4 classes of mine/test: a, d It would be tested .*'division'"):
        compare({"knowing": knowing, "bare": bare}, episodes(data))
    elsewhere = replace(knowing, record={**knowing.record, "fingerprint": "0" * 64})  # equal names of other data are other classes
    assert compare({"elsewhere": elsewhere, "bare": bare}, episodes(data)).sentence() == "bare and elsewhere do not differ at 1 shot."
    message = re.escape(
        "other reads items as Picture(size=16, channels=3, fit='crop', levels='full'); the data of the episodes are open as AsIs()"
    )
    with pytest.raises(DataError, match=message):
        compare({"other": Saved(bare, Picture(16)), "bare": bare}, episodes(data))
