"""Which classes a saved learner is asked about, and which it may be asked about."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from cases.folders import fill, pets_in
from kshot.data.pictures.omniglot import Omniglot
from kshot.data.pictures.picture import Picture
from kshot.episodes.shape import EpisodeShape
from kshot.errors import DataError, EpisodeError, RecipeError
from kshot.learners.table import LearnerSpec
from kshot.saved.class_names import fold, unfold
from kshot.saved.folder import Saved
from kshot.workflows.experiment import prepare, run
from kshot.workflows.question import Question, answer, ask, asked_learner
from kshot.workflows.recipe import parse_recipe

SHAPE = EpisodeShape(2, 1, 2)


@pytest.fixture(scope="module")
def pets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return pets_in(tmp_path_factory.mktemp("data") / "pets")


@pytest.fixture(scope="module")
def saved(pets: Path, tmp_path_factory: pytest.TempPathFactory) -> Saved:
    """Trained for one update on half of the pets."""
    recipe = parse_recipe(
        {
            "data": {"name": str(pets), "split": "fractions", "fractions": [0.5, 0.25, 0.25], "size": 16},
            "backbone": {"width": 3},
            "episodes": {"way": 2, "query": 2},
            "validation": {"query": 2, "episodes": 2},
            "training": {"updates": 1},
        },
        "made",
    )
    trained = run(prepare(recipe, tmp_path_factory.mktemp("runs") / "run", device="cpu"))
    assert trained is not None
    return trained


def names(saved: Saved, **question: Any) -> tuple[str, set[str]]:
    episodes = ask(saved, Question(shape=SHAPE, episodes=3, **question))
    index = episodes.index
    assert len(episodes) == 3
    return episodes.split, set(index.names)


def test_left_out_it_is_the_test_part_of_what_it_was_trained_on(saved: Saved) -> None:
    division = saved.record["division"]
    assert names(saved) == ("division/test", set(division["test"]))
    assert not set(division["test"]) & set(unfold(saved.record["classes_seen"]))


@pytest.mark.parametrize(
    ("asked", "part"), [("test", "test"), ("val", "val"), ("train", "train"), ("division/val", "val"), ("division", "test")]
)
def test_parts_by_name(saved: Saved, asked: str, part: str) -> None:
    assert names(saved, split=asked) == (f"division/{part}", set(saved.record["division"][part]))


def test_its_own_data_by_its_path_in_any_spelling(saved: Saved, pets: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    expected = names(saved)
    assert names(saved, data=str(pets)) == expected
    assert names(saved, data=f"{pets}/../pets/") == expected
    monkeypatch.chdir(pets.parent)
    assert names(saved, data="pets") == expected
    (tmp_path / "link").symlink_to(pets)
    assert names(saved, data=str(tmp_path / "link")) == expected
    shutil.copytree(pets, tmp_path / "moved")  # the same pictures elsewhere
    assert names(saved, data=str(tmp_path / "moved")) == expected


@pytest.mark.parametrize("asked", ["all"])
def test_classes_seen_in_training_are_refused(saved: Saved, asked: str) -> None:
    with pytest.raises(DataError, match=r"4 of the 8 classes of all were seen in training: pet\d.*Use the learner's own split, 'division'"):
        names(saved, split=asked)


def test_classes_seen_are_refused_also_where_pictures_were_added(saved: Saved, pets: Path, tmp_path: Path) -> None:
    shutil.copytree(pets, tmp_path / "pets")
    mine = replace(saved, record={**saved.record, "recipe": json.loads(json.dumps(saved.record["recipe"]))})
    mine.record["recipe"]["data"]["name"] = str(tmp_path / "pets")
    Image.new("RGB", (16, 16)).save(tmp_path / "pets" / "pet0" / "9.png")
    with pytest.raises(DataError, match=r"were seen in training"):
        names(mine, split="all")
    assert names(mine)[0] == "division/test"


def test_a_file_of_names_divides_own_and_other_data(saved: Saved, tmp_path: Path) -> None:
    division = saved.record["division"]
    unseen = division["val"] + division["test"]
    (tmp_path / "mine.json").write_text(json.dumps({"train": division["train"], "test": unseen}))
    file = str(tmp_path / "mine.json")
    assert names(saved, split=file) == ("division/test", set(unseen))
    (tmp_path / "leaky.json").write_text(json.dumps({"train": unseen, "test": division["train"]}))
    with pytest.raises(DataError, match=r"4 of the 4 classes of division/test were seen in training"):
        names(saved, split=str(tmp_path / "leaky.json"))
    other = fill(tmp_path / "cars", ["audi", "bmw", "fiat", "kia"])
    (tmp_path / "cars.json").write_text('{"train": ["audi", "kia"], "test": ["bmw", "fiat"]}')
    assert names(saved, data=str(other), split=str(tmp_path / "cars.json")) == ("division/test", {"bmw", "fiat"})
    assert names(saved, data=str(other), split=f"{tmp_path / 'cars.json'}/train") == ("division/train", {"audi", "kia"})
    with pytest.raises(DataError, match=r"cannot read the division file .*none\.json"):
        names(saved, data=str(other), split="none.json")


def test_other_folders_are_asked_whole(saved: Saved, tmp_path: Path) -> None:
    other = fill(tmp_path / "cars", ["audi", "bmw", "pet0"])  # an equal name elsewhere is another class
    assert names(saved, data=str(other)) == ("all", {"audi", "bmw", "pet0"})
    with pytest.raises(DataError, match=r"cars has no split 'vinyals'; give a \.json file"):
        names(saved, data=str(other), split="vinyals")


@pytest.mark.parametrize(
    ("question", "message"),
    [
        ({"split": "vinyals"}, r"has one division, 'division'; there is no split 'vinyals'"),
        ({"split": "division/exam"}, r"no part 'exam'; it has train, val, test, trainval"),
        ({"split": "test/deep"}, r"there is no split 'test'|no part"),
        ({"data": "nowhere"}, r"nothing there"),
        ({"data": "omniglot"}, r"omniglot is ink on paper; this learner reads Picture"),
    ],
)
def test_what_is_not_there_is_named(saved: Saved, question: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        names(saved, **question)


def test_shapes_that_cannot_be_drawn_are_refused(saved: Saved) -> None:
    with pytest.raises(EpisodeError, match=r"way=3 needs at least 3 classes; found 2"):
        ask(saved, Question(shape=EpisodeShape(3, 1, 1)))
    with pytest.raises(RecipeError, match=r"episodes must be 1 or more; found 0"):
        ask(saved, Question(shape=SHAPE, episodes=0))


@pytest.mark.parametrize("record", [{}, {"recipe": None}, {"recipe": {"data": None}}])
def test_a_record_that_names_no_data(record: dict[str, Any], pets: Path) -> None:
    learner = LearnerSpec("protonet", "conv4", {}, {"channels": 3, "width": 3}).build()
    bare = Saved(learner, Picture(16), record)
    with pytest.raises(DataError, match=r"record names no data; give --data omniglot or a folder"):
        names(bare)
    assert names(bare, data=str(pets))[0] == "all"


def test_an_answer_is_that_of_its_episodes(saved: Saved) -> None:
    episodes = ask(saved, Question(shape=SHAPE, episodes=7, seed=3))
    seen: list[int] = []
    results = answer(saved, episodes, "inductive", "cpu", seen.append)
    assert sum(seen) == len(results.scores) == 7
    assert (results.split, results.seed, results.episodes_hash) == ("division/test", 3, episodes.hash)
    again = answer(saved, ask(saved, Question(shape=SHAPE, episodes=7, seed=3)), "inductive", "cpu")
    assert (again.scores == results.scores).all()
    with pytest.raises(RecipeError, match=r"transductive was asked for"):
        answer(saved, episodes, "transductive", "cpu")


def test_a_refined_answer_is_transductive_and_names_its_refinement(saved: Saved) -> None:
    question = Question(shape=SHAPE, episodes=7, seed=3, refine="soft_k_means:iterations=0")
    episodes = ask(saved, question)
    alone = answer(saved, episodes, "inductive", "cpu")
    unmoved = answer(saved, episodes, question.mode, "cpu", refine=question.refine)
    assert (alone.mode, alone.refinement) == ("inductive", None)
    assert (unmoved.mode, unmoved.refinement) == ("transductive", "soft_k_means:iterations=0,scale=1.0")
    assert unmoved.episodes_hash == alone.episodes_hash
    assert unmoved.statistics == alone.statistics
    assert (unmoved.scores == alone.scores).all()  # a prototypical network is the nearest centre
    assert asked_learner(saved, None) is saved.learner
    with pytest.raises(RecipeError, match="there is no refinement 'none'"):
        answer(saved, episodes, "inductive", "cpu", refine="none")


@pytest.mark.slow
def test_results_name_the_steps_and_the_augmentation(saved: Saved) -> None:
    steps = {None: 3, 0: 0, 5: 5}
    spec = LearnerSpec("maml", "conv4_strided", {"features": 3, "outputs": 2}, {"channels": 3, "width": 3})
    by_steps = replace(saved, learner=spec.build(seed=0), spec=spec)
    episodes = ask(by_steps, Question(shape=EpisodeShape(2, 1, 2, augment="quarter_turns"), episodes=3))
    for asked, taken in steps.items():
        results = answer(by_steps, episodes, "inductive", "cpu", steps=asked)
        assert (results.steps, results.augment) == (taken, "quarter_turns")
        assert ("gradient steps", str(taken)) in results.rows()
        assert "quarter_turns" in str(results)
        assert {"steps": taken, "augment": "quarter_turns"}.items() <= results.as_dict().items()
    with pytest.raises(RecipeError, match="ProtoNet has no number of steps"):
        answer(saved, episodes, "inductive", "cpu", steps=1)


@pytest.mark.slow
def test_omniglots_splits_by_name(omniglot: Omniglot) -> None:
    data = {"name": "omniglot", "split": "vinyals"}
    split = omniglot.split("vinyals")
    learner = LearnerSpec("protonet", "conv4", {}, {"channels": 1, "width": 3}).build()
    record = {
        "recipe": {"data": data},
        "fingerprint": omniglot.fingerprint,
        "split": "vinyals",
        "classes_seen": fold(split.part("train").names),
    }
    saved = Saved(learner, omniglot.preprocess, record)
    assert names(saved) == ("vinyals/test", set(split.part("test").names))
    assert names(saved, data="omniglot", split="vinyals/val") == ("vinyals/val", set(split.part("val").names))
    assert names(saved, split="val")[0] == "vinyals/val"
    assert names(saved, split="characters")[0] == "characters/test"  # the same test characters
    with pytest.raises(DataError, match=r"classes of alphabets/test were seen in training"):
        names(saved, split="alphabets")
    with pytest.raises(DataError, match=r"Omniglot has no split 'lake'\. The known ones are vinyals, characters, alphabets"):
        names(saved, split="lake")
