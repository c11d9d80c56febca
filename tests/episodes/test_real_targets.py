"""Tasks of real targets: drawn like classes, one class a task; evaluated, trained on, and refused where they do not fit."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from kshot.backbones.mlp import MLP
from kshot.data.array_tasks import ArrayTasks
from kshot.data.arrays import ArrayDataset
from kshot.data.sinusoids import Sinusoids
from kshot.episodes.family import Regression
from kshot.episodes.shape import EpisodeShape
from kshot.episodes.stream import EpisodeStream
from kshot.errors import EpisodeError, RecipeError
from kshot.learners.metric.protonet import ProtoNet
from kshot.learners.metric.ridge import RidgeNet
from kshot.meta_train.loop import Plan, Validation, start, train
from kshot.results.score.episode_set import EpisodeSet
from kshot.results.score.evaluate import evaluate

LINES = ArrayTasks(
    np.tile(np.arange(6, dtype=np.float32), 3)[:, None],
    np.concatenate([slope * np.arange(6) + 1 for slope in (1, 2, -3)]),
    np.repeat(["a", "b", "c"], 6),
)
"""Three lines through (0, 1)."""


def test_a_task_is_one_group_and_its_targets_are_those_of_its_items() -> None:
    stream = EpisodeStream(LINES, LINES.index, "train", EpisodeShape(1, 2, 3), seed=0, tasks=5)
    (batch,) = stream.batches(0)
    assert batch.way is None
    assert isinstance(batch.support_x, Tensor)
    assert isinstance(batch.query_x, Tensor)
    assert batch.support_y.shape == (5, 2, 1)
    assert batch.query_y.shape == (5, 3, 1)
    (drawn,) = stream.drawn(0)
    slopes = torch.tensor([1.0, 2.0, -3.0])[torch.from_numpy(drawn.classes)].unsqueeze(1)  # (5, 1, 1)
    torch.testing.assert_close(batch.support_y, slopes * batch.support_x + 1)
    torch.testing.assert_close(batch.query_y, slopes * batch.query_x + 1)
    assert not np.isin(drawn.support_items[0], drawn.query_items[0]).any()


def test_ridge_finds_the_lines() -> None:
    episodes = EpisodeSet.draw(LINES, LINES.index, "all", EpisodeShape(1, 3, 3), episodes=20)
    results = evaluate(RidgeNet(nn.Identity(), regularisation=1e-6, family=Regression()), episodes)
    assert results.score_name == "mean squared error"
    assert results.mean < 1e-6
    assert "3-shot, 3 queries per task" in str(results)
    assert ("tasks", "all") in results.rows()
    assert results.as_dict()["mean_squared_error"] == results.mean


def test_training_on_waves_lowers_the_error_and_keeps_the_lowest() -> None:
    waves = Sinusoids(train=200, val=20, test=20)
    split = waves.split()
    shape = EpisodeShape(1, 5, 10)
    look = EpisodeSet.draw(waves, split.part("val"), "val", shape, episodes=50)
    torch.manual_seed(0)
    learner = RidgeNet(MLP(1, (20,), 20), family=Regression())
    plan = Plan(updates=60, validate_every=20)

    def validate(candidate: object) -> Validation:
        assert candidate is learner
        result = evaluate(learner, look)
        return Validation(result.mean, result.interval, learner.family.higher_is_better)

    before = evaluate(learner, look).mean
    stream = EpisodeStream(waves, split.part("train"), "train", shape, seed=0, tasks=10)
    state = start(learner, plan, stream)
    steps = [step for step in train(state, stream, plan, validate) if step.validation is not None]
    means = [step.validation.mean for step in steps if step.validation is not None]
    assert state.best_score == min(means) < before


# Bad input.


def test_more_than_one_class_a_task_is_refused() -> None:
    for way in (2, (2, 3)):
        with pytest.raises(EpisodeError, match=r"real targets, so each class is a separate task: way must be 1; found way="):
            EpisodeStream(LINES, LINES.index, "train", EpisodeShape(way, 1, 1), seed=0)  # type: ignore[arg-type]  # both forms
    with pytest.raises(EpisodeError, match="way must be 1; found way=1 nearness='far'"):
        EpisodeSet.draw(LINES, LINES.index, "all", EpisodeShape(1, 1, 1, nearness="far"), episodes=1)


def test_one_class_a_task_is_refused_where_items_have_classes() -> None:
    classes = ArrayDataset(np.zeros((4, 1), np.float32), ["a", "a", "b", "b"])
    with pytest.raises(EpisodeError, match=r"way must be at least 2; found 1\. With one class there is nothing to tell apart"):
        EpisodeStream(classes, classes.index, "train", EpisodeShape(1, 1, 1), seed=0)
    with pytest.raises(EpisodeError, match="way must be at least 2; found 1"):
        EpisodeSet.draw(classes, classes.index, "all", EpisodeShape(1, 1, 1), episodes=1)


def test_a_group_that_is_too_small_is_named() -> None:
    few = ArrayTasks(np.zeros((5, 1), np.float32), np.zeros(5), ["ann", "ann", "ann", "bob", "bob"])
    with pytest.raises(EpisodeError, match="class 'bob' has 2 items; way=1 shot=2 query=1 needs 3"):
        EpisodeSet.draw(few, few.index, "all", EpisodeShape(1, 2, 1), episodes=1)


def test_a_learner_of_another_kind_is_refused() -> None:
    episodes = EpisodeSet.draw(LINES, LINES.index, "all", EpisodeShape(1, 2, 3), episodes=2)
    with pytest.raises(RecipeError, match="the items have real targets, but ProtoNet was built for classification tasks"):
        evaluate(ProtoNet(nn.Identity()), episodes)
    stream = EpisodeStream(LINES, LINES.index, "train", EpisodeShape(1, 2, 3), seed=0)
    with pytest.raises(RecipeError, match="Build it with the family regression"):
        start(RidgeNet(MLP(1)), Plan(updates=1), stream)
    classes = ArrayDataset(np.zeros((4, 1), np.float32), ["a", "a", "b", "b"])
    asked = EpisodeSet.draw(classes, classes.index, "all", EpisodeShape(2, 1, 1), episodes=2)
    with pytest.raises(RecipeError, match="the items have classes, but RidgeNet was built for regression tasks"):
        evaluate(RidgeNet(nn.Identity(), family=Regression()), asked)
