"""Sureness learnt from tasks: thresholds by hand, what is kept beside a learner, and the promise over new tasks."""

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from kshot.data.arrays import ArrayDataset
from kshot.data.as_is import AsIs
from kshot.episodes.shape import EpisodeShape
from kshot.errors import RecipeError, SavedError
from kshot.learners.table import LearnerSpec
from kshot.results.score.episode_set import EpisodeSet
from kshot.saved.folder import save
from kshot.saved.shipped import open_saved
from kshot.tasks.certainty.asked import Asked
from kshot.tasks.certainty.from_tasks import LEVELS, ShapeCertainty, auroc, familiarities, learn_from_tasks, thresholds
from kshot.tasks.certainty.sets import SURE
from kshot.tasks.certainty.task_file import FILE, TaskCertainty, TaskJudge, read_task_certainty, write_task_certainty
from kshot.tasks.classifier import Classifier

SHAPE = ShapeCertainty(5, 1, 99, 0.96, tuple(-1 / (100 * rate) for rate in LEVELS), "probability", 0.9, tuple(-1 / rate for rate in LEVELS))
CERTAINTY = TaskCertainty("drawings of birds", LEVELS, (SHAPE, replace(SHAPE, way=20), replace(SHAPE, shot=5)))


def test_thresholds_by_hand() -> None:
    scores = np.arange(40.0).reshape(4, 10)  # 4 tasks of 10 queries
    found = dict(zip(LEVELS, thresholds(scores), strict=True))
    assert found[0.1] == -math.inf  # 1 / (4 + 1) is more than that
    assert found[0.2] == 0  # 0.2 · 5 - 1 = 0 tasks' share may lie below
    assert found[0.5] == 15  # (0.5 · 5 - 1) / 4 = 0.375 of 40 queries: 15 lie below 15


def test_what_tells_unknown_things_by_hand() -> None:
    found = familiarities(np.log([[2.0, 6.0], [1.0, 1.0]]))
    np.testing.assert_allclose(np.exp(found["energy"]), [8, 2])
    np.testing.assert_allclose(np.exp(found["probability"]), [0.75, 0.5])
    assert auroc(np.array([1.0, 2]), np.array([0.0, 1, 3])) == pytest.approx((1.5 + 2) / 6)


def test_the_nearest_shape_is_taken_and_told() -> None:
    shapes = [CERTAINTY.nearest(*mine) for mine in ((5, 1), (9, 1), (11, 1), (6, 3), (200, 1), (2, 40))]
    assert [(one.way, one.shot) for one in shapes] == [(5, 1), (5, 1), (20, 1), (5, 5), (20, 1), (5, 5)]
    (note,) = TaskJudge(CERTAINTY, 5, 1, Asked(coverage=0.9)).notes
    assert note == "the coverage is that over 99 5-way 1-shot tasks of drawings of birds."
    (note,) = TaskJudge(CERTAINTY, 7, 1.5, Asked(coverage=0.9)).notes
    assert note.endswith("of drawings of birds, the nearest to this 7-way 1.5-shot task.")


def test_a_judge_by_hand() -> None:
    judge = TaskJudge(CERTAINTY, 5, 1, Asked(0.9, 0.5))
    found = judge(np.log([[0.5, 0.4, 0.05, 0.05, 1e-9], [0.1, 0.6, 0.1, 0.1, 0.1]]))
    assert found.sets is not None  # log p ≥ -1 / (100 · 0.1)
    assert found.sets.tolist() == [[True, False, False, False, False], [False, True, False, False, False]]
    assert not found.unknown.any()  # log p ≥ -2
    assert TaskJudge(CERTAINTY, 5, 1, Asked())(np.zeros((1, 5))).sets is None
    odd = TaskJudge(TaskCertainty("it", LEVELS, (replace(SHAPE, familiar=(-0.6,) * len(LEVELS)),)), 5, 1, Asked())
    assert odd(np.log([[0.5, 0.5], [0.6, 0.4]])).unknown.tolist() == [True, False]


def test_where_labels_are_right_often_enough_every_set_is_one_label() -> None:
    sure = TaskCertainty("it", LEVELS, (replace(SHAPE, own=(SURE,) * len(LEVELS)),))
    judge = TaskJudge(sure, 5, 1, Asked(coverage=0.9))
    assert judge.notes[0].endswith("There, the label alone is right for 0.960 of things, so every set is one label.")
    found = judge(np.zeros((1, 5))).sets
    assert found is not None
    assert found.sum() == 1


def test_what_cannot_be_promised_is_refused() -> None:
    few = TaskCertainty("it", LEVELS, (replace(SHAPE, own=thresholds(np.zeros((9, 1))), familiar=thresholds(np.zeros((9, 1)))),))
    for asked, told in (
        (Asked(coverage=0.99), r"--coverage 0\.99: the validation tasks of this learner can promise a coverage of 0\.9 at most"),
        (Asked(unknown=0.01), r"--unknown 0\.01: the validation tasks of this learner can promise a false-alarm rate of 0\.1 at least"),
    ):
        with pytest.raises(RecipeError, match=told):
            TaskJudge(few, 5, 1, asked)
        with pytest.raises(RecipeError, match="no tasks of validation classes were kept with it"):
            TaskJudge(None, 5, 1, asked)
    assert TaskJudge(None, 5, 1, Asked())(np.zeros((3, 5))).unknown.tolist() == [False] * 3


def saved_learner(folder: Path) -> Path:
    save(folder, LearnerSpec("protonet", "flat").build(seed=0), spec=LearnerSpec("protonet", "flat"), preprocess=AsIs())
    return folder


def test_what_tasks_tell_lies_beside_the_learner_and_not_beside_another(tmp_path: Path) -> None:
    folder = saved_learner(tmp_path / "learner")
    assert read_task_certainty(folder) is read_task_certainty(None) is None
    rounded = replace(SHAPE, own=(-math.inf, *(float(f"{one:.6g}") for one in SHAPE.own[1:])))
    rounded = replace(rounded, familiar=tuple(float(f"{one:.6g}") for one in SHAPE.familiar))
    write_task_certainty(folder, "drawings of birds", LEVELS, [rounded])
    assert read_task_certainty(folder) == TaskCertainty("drawings of birds", LEVELS, (rounded,))
    content = json.loads((folder / FILE).read_text())
    (folder / FILE).write_text(json.dumps({**content, "tensors": "0" * 64}))
    assert read_task_certainty(folder) is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": 2}, "has format 2; this kshot reads up to 1"),
        ({"levels": [0.5, 0.1]}, "levels must be between 0 and 1, ascending"),
        ({"shapes": []}, "there is no shape"),
        ({"shapes": [{"way": 5}]}, "is missing"),
        ({"tensors": 3}, "tensors must be text"),
    ],
)
def test_a_damaged_file_is_told(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    folder = saved_learner(tmp_path)
    write_task_certainty(folder, "it", LEVELS, [SHAPE])
    content = json.loads((folder / FILE).read_text())
    (folder / FILE).write_text(json.dumps({**content, **changes}))
    with pytest.raises(SavedError, match=message):
        read_task_certainty(folder)
    for name, value in (("own", [0.0]), ("familiar", [1.0, *[0.0] * (len(LEVELS) - 1)])):
        (folder / FILE).write_text(json.dumps({**content, "shapes": [{**content["shapes"][0], name: value}]}))
        with pytest.raises(SavedError, match=f"{name} must ascend, one number per level"):
            read_task_certainty(folder)
    (folder / FILE).write_text("{")
    with pytest.raises(SavedError, match=r"certainty\.json is damaged"):
        read_task_certainty(folder)


def birds(seed: int, classes: int = 60, items: int = 12) -> ArrayDataset:
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(classes), items)
    x = rng.normal(size=(classes, 6))[labels] * 2 + rng.normal(size=(len(labels), 6))
    return ArrayDataset(x.astype(np.float32), labels)


@pytest.mark.slow
def test_over_new_tasks_of_new_classes_the_coverage_is_met(tmp_path: Path) -> None:
    folder = saved_learner(tmp_path)
    learner = open_saved(folder).learner
    old, new = birds(0), birds(1)
    shape = EpisodeShape(5, 1, 4)
    told = learn_from_tasks(learner, EpisodeSet.draw(old, old.index, "old", shape, episodes=300))
    write_task_certainty(folder, "old birds", LEVELS, [told])
    assert 0.4 < told.accuracy < 0.95
    covered, alarms, sizes = [], [], []
    rng = np.random.default_rng(2)
    for _ in range(60):
        classes = rng.choice(60, 5, replace=False)
        items = {str(c): new.index.items_of_position(int(c)) for c in classes}
        rows = new.gather(np.concatenate(list(items.values()))).numpy().reshape(5, 12, 6)
        classifier = Classifier(folder, {name: [rows[place, 0]] for place, name in enumerate(items)})
        found = classifier.predict(list(rows[:, 1:].reshape(-1, 6)), coverage=0.8, unknown=0.1)
        truth = np.repeat(list(items), 11)
        covered.append(np.mean([name in (one.set or ()) for name, one in zip(truth, found, strict=True)]))
        alarms.append(np.mean([one.unknown for one in found]))
        sizes.append(np.mean([len(one.set or ()) for one in found]))
    assert 0.74 < np.mean(covered) < 0.86
    assert 0.05 < np.mean(alarms) < 0.16
    assert 1 <= np.mean(sizes) < 3


def test_the_shipped_learner_gives_sets() -> None:
    saved = open_saved("omniglot-protonet")
    certainty = read_task_certainty(saved.folder)
    assert certainty is not None
    assert {(one.way, one.shot) for one in certainty.shapes} == {(way, shot) for way in (2, 5, 10, 20) for shot in (1, 5)}
    judge = TaskJudge(certainty, 5, 1, Asked(coverage=0.995))
    assert torch.tensor(judge(np.array([[0.0, -1, -2, -3, -4]])).sets).sum() > 1
