"""What every learner says about a question that it cannot answer: which item, and what is wrong with it."""

import math
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from cases.learners import WAY, answer, made, quickly, tasks, unflattened
from kshot.data.arrays import ArrayDataset
from kshot.data.inputs import map_inputs
from kshot.episodes.episode import EpisodeBatch
from kshot.episodes.family import Regression
from kshot.episodes.shape import EpisodeShape
from kshot.errors import DataError
from kshot.learners.asked import check_queries, check_support, looked_at
from kshot.learners.learner import Learner, encode_tasks
from kshot.learners.metric.hausdorff import ModifiedHausdorff
from kshot.learners.metric.protonet import ProtoNet
from kshot.learners.metric.ridge import RidgeNet
from kshot.learners.table import LEARNERS
from kshot.results.score.episode_set import EpisodeSet
from kshot.results.score.evaluate import evaluate

EVERY = [*LEARNERS, "refined"]


class Passing(nn.Module):
    """Gives its items, repeated: what is wrong with an item is wrong with its features."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([x] * 4, -1)


def learner_of(name: str) -> Learner:
    return made(name, lambda: nn.Sequential(nn.Linear(4, 4), Passing())).eval()


def with_value(x: Any, value: float) -> Tensor:
    assert isinstance(x, Tensor)
    changed = x.clone()
    changed[1, 2, 3] = value
    return changed


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("name", quickly(EVERY))
def test_an_item_that_is_not_finite_is_named(name: str, bad: float) -> None:
    learner, batch = learner_of(name), tasks()
    for part, changed in (
        ("support", replace(batch, support_x=with_value(batch.support_x, bad))),
        ("query", replace(batch, query_x=with_value(batch.query_x, bad))),
    ):
        with pytest.raises(DataError, match=rf"features .*of {part} item 2 of task 1 of the batch are not all finite\. Look at") as caught:
            answer(learner, changed)
        assert caught.value.task == 1


def labelled(change: Callable[[Tensor], Tensor | None], way: int | None = WAY) -> EpisodeBatch:
    batch = tasks()
    y = batch.support_y.clone()
    found = change(y)
    return replace(batch, support_y=y if found is None else found, way=way)


def put(value: int) -> Callable[[Tensor], Tensor | None]:
    def change(y: Tensor) -> None:
        y[1, 4] = value

    return change


QUESTIONS: dict[str, tuple[Callable[[], EpisodeBatch], str]] = {
    "a label too large": (lambda: labelled(put(3)), r"labels must be between 0 and 2; support item 4 of task 1 of the batch has 3"),
    "a negative label": (lambda: labelled(put(-1)), r"labels must be between 0 and 2; support item 4 of task 1 of the batch has -1"),
    "a negative label without way": (lambda: labelled(put(-1), None), r"labels must be 0 or more; support item 4 of task 1 .* has -1"),
    "floating labels": (
        lambda: labelled(Tensor.float),
        r"labels must be int64 \(B, S\); found float32 \(2, 6\)\. Convert them: y\.long\(\)",
    ),
    "narrow labels": (lambda: labelled(Tensor.int), r"labels must be int64 \(B, S\); found int32 \(2, 6\)\. Convert them"),
    "labels by column": (lambda: labelled(lambda y: y.unsqueeze(2)), r"labels must be int64 \(B, S\); found int64 \(2, 6, 1\)"),
    "labels without tasks": (lambda: labelled(lambda y: y[0]), r"support_y must be a tensor with one row per task"),
    "labels of other items": (lambda: labelled(lambda y: y[:, :5]), r"all tasks of a batch must have one size: support_y is \(2, 5\)"),
    "labels in a list": (lambda: labelled(lambda y: y.tolist()), r"support_y must be a tensor .* found a list"),
    "a way of a half": (lambda: labelled(lambda y: None, 2.5), r"way, the number of classes, must be a whole number, 1 .* found 2\.5"),  # type: ignore[arg-type]
    "no way at all": (lambda: labelled(lambda y: None, 0), r"way, the number of classes, must be 1 or more; found 0"),
    "a way that no memory holds": (lambda: labelled(lambda y: None, 10**12), r"classes, must be 1,000,000 or less; found 1000000000000"),
    "sparse labels": (lambda: labelled(Tensor.to_sparse), "labels of the support items must be a dense tensor .* found a sparse one"),
    "labels without numbers": (lambda: labelled(lambda y: y.to("meta")), "found one without numbers"),
}


@pytest.mark.parametrize("question", QUESTIONS)
@pytest.mark.parametrize("name", quickly(EVERY))
def test_labels_that_are_no_classes_are_named(name: str, question: str) -> None:
    make, message = QUESTIONS[question]
    with pytest.raises(DataError, match=message):
        answer(learner_of(name), make())


@pytest.mark.parametrize("name", quickly(EVERY))
def test_no_support_item_no_query_and_other_tasks(name: str) -> None:
    learner, batch = learner_of(name), tasks()
    assert isinstance(batch.support_x, Tensor)
    assert isinstance(batch.query_x, Tensor)
    ask = learner.predict if "inductive" in learner.modes else learner.predict_together
    features = unflattened(learner.encode(batch.support_x.flatten(0, 1)), 2)
    cut: Callable[[Callable[[Tensor], Tensor]], Any] = lambda change: (  # noqa: E731
        change(features) if isinstance(features, Tensor) else {key: change(value) for key, value in features.items()}
    )
    with pytest.raises(DataError, match="there must be a task, and each must have an item"):
        learner.adapt(cut(lambda value: value[:, :0]), batch.support_y[:, :0], way=WAY)
    adapted = learner.adapt(features, batch.support_y, way=WAY)
    with pytest.raises(DataError, match="there must be a query to answer; found none"):
        ask(adapted, cut(lambda value: value[:, :0]))
    with pytest.raises(DataError, match="of the 2 tasks that were adapted to; found shape"):
        ask(adapted, cut(lambda value: value[:1]))


KINDS: dict[str, tuple[Callable[[Tensor], Tensor], str]] = {
    "complex": (lambda x: x.to(torch.complex64), "must be a dense tensor of real numbers; found a complex one"),
    "sparse": (Tensor.to_sparse, "must be a dense tensor of real numbers; found a sparse one"),
    "meta": (lambda x: x.to("meta"), "must be a dense tensor of real numbers; found one without numbers"),
    "empty": (lambda x: x[..., :0], "are empty: their shape is"),
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", quickly(EVERY))
def test_features_of_a_kind_that_no_learner_reads_are_refused(name: str, kind: str) -> None:
    learner, batch = learner_of(name), tasks()
    change, message = KINDS[kind]
    support, query = encode_tasks(learner, batch.support_x, batch.query_x)
    with pytest.raises(DataError, match=f"of the support items .*{message}"):
        learner.adapt(map_inputs(change, support), batch.support_y, way=WAY)
    adapted = learner.adapt(support, batch.support_y, way=WAY)
    ask = learner.predict if "inductive" in learner.modes else learner.predict_together
    with pytest.raises(DataError, match=f"of the query items .*{message}"):
        ask(adapted, map_inputs(change, query))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16])
@pytest.mark.parametrize("name", quickly(EVERY))
def test_features_of_another_type_than_the_parameters_are_refused(name: str, dtype: torch.dtype) -> None:
    learner, batch = learner_of(name), tasks()
    support, query = (map_inputs(lambda value: value.to(dtype), x) for x in encode_tasks(learner, batch.support_x, batch.query_x))
    message = rf"the module computes with torch\.float32, and the items '\S+' are {dtype} \(the features .*of the {{}} items, \(2, 6, "
    with pytest.raises(DataError, match=message.format("support")):
        learner.adapt(support, batch.support_y, way=WAY)
    adapted = learner.adapt(encode_tasks(learner, batch.support_x)[0], batch.support_y, way=WAY)
    ask = learner.predict if "inductive" in learner.modes else learner.predict_together
    with pytest.raises(DataError, match=message.format("query")):
        ask(adapted, query)


def test_features_in_half_precision_are_read_under_autocast() -> None:
    learner, batch = learner_of("protonet"), tasks()
    with torch.autocast("cpu", torch.bfloat16), torch.no_grad():
        assert answer(learner, batch).isfinite().all()


def test_a_pixel_that_is_no_number_is_not_taken_for_paper() -> None:
    learner, drawings = ModifiedHausdorff().eval(), torch.zeros(1, 2, 1, 4, 4)
    drawings[..., 1, 1:3] = 1
    task = learner.adapt(drawings, torch.tensor([[0, 1]]), way=2)
    drawings[0, 1, 0, 3, 3] = math.nan
    with pytest.raises(DataError, match="support item 1 of task 0"):
        learner.adapt(drawings, torch.tensor([[0, 1]]), way=2)
    with pytest.raises(DataError, match="query item 1 of task 0"):
        learner.predict(task, drawings)


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (torch.zeros(1, 3), r"real targets must be floating numbers \(B, S, T\); found float32 \(1, 3\)\. Where T is 1"),
        (torch.zeros(1, 3, 1, dtype=torch.int64), r"found int64 \(1, 3, 1\)"),
        (torch.tensor([[[0.0], [math.nan], [1.0]]]), "the targets of support item 1 of task 0 of the batch are not all finite"),
    ],
)
def test_targets_that_are_no_numbers_are_named(y: Tensor, message: str) -> None:
    learner = RidgeNet(nn.Identity(), family=Regression()).eval()
    with pytest.raises(DataError, match=message):
        learner.adapt(torch.ones(1, 3, 2), y)


def test_large_numbers_whose_sum_is_not_finite_are_no_fault() -> None:
    x = torch.full((1, 4, 4), 3e38)
    check_support(ProtoNet(nn.Identity()).eval(), x, torch.tensor([[0, 1, 0, 1]]), 2)
    check_queries(ProtoNet(nn.Identity()).eval(), 1, torch.full((1, 4, 4), 60000.0).half())


def test_integers_and_mappings_are_looked_at_by_name() -> None:
    learner, y = ProtoNet(nn.Identity()).eval(), torch.tensor([[0, 1]])
    check_support(learner, {"tokens": torch.ones(1, 2, 3, dtype=torch.int64), "v": torch.ones(1, 2)}, y, 2)
    with pytest.raises(DataError, match="the features 'v' of support item 1 of task 0"):
        check_support(learner, {"tokens": torch.ones(1, 2, 3, dtype=torch.int64), "v": torch.tensor([[0.0, math.nan]])}, y, 2)


def test_nothing_is_looked_at_in_training_and_inside_transforms() -> None:
    learner, y = ProtoNet(nn.Identity()), torch.tensor([[0, 1]])
    learner.train()
    check_support(learner, "nonsense", y, 2)  # type: ignore[arg-type]  # on purpose
    learner.eval()
    x = torch.tensor([[[1.0], [math.nan]]])

    def asked(items: Tensor) -> Tensor:
        return learner.predict(learner.adapt(items, y, way=2), items)

    assert torch.vmap(asked)(torch.stack([x, x])).shape == (2, 1, 2, 2)
    assert torch.func.jacrev(asked)(x).shape == (1, 2, 2, 1, 2, 1)
    with pytest.raises(DataError):
        asked(x)


def test_within_its_block_nothing_is_looked_at_by_this_thread() -> None:
    learner, x, y = ProtoNet(nn.Identity()).eval(), torch.full((1, 2, 1), math.nan), torch.tensor([[0, 1]])
    with looked_at():
        check_support(learner, x, y, 2)
        with ThreadPoolExecutor(1) as pool, pytest.raises(DataError):
            pool.submit(check_support, learner, x, y, 2).result()
    with pytest.raises(DataError):
        check_support(learner, x, y, 2)


def test_evaluation_looks_at_each_item_and_names_the_episode() -> None:
    data = ArrayDataset(np.random.default_rng(0).random((8, 4), np.float32) + 1, [n % 2 for n in range(8)])
    episodes = EpisodeSet.draw(data, data.index, "all", EpisodeShape(2, 1, 1), episodes=20)
    learner = ProtoNet(nn.Linear(4, 2))
    assert 0 <= evaluate(learner, episodes).mean <= 1
    with torch.no_grad():
        learner.backbone.weight.fill_(3e38)  # large parameters, as a diverged training leaves them
    with pytest.raises(DataError, match=r"episode 0 cannot be learned: the features of support item 0 .* in the learner"):
        evaluate(learner, episodes)


def test_in_training_the_check_takes_no_time_to_speak_of() -> None:
    learner, x, y = ProtoNet(nn.Identity()).train(), torch.ones(1, 10**6, 1), torch.zeros(1, 10**6, dtype=torch.int64)
    began = time.perf_counter()
    for _ in range(1000):
        check_support(learner, x, y, 2)
    assert time.perf_counter() - began < 0.1  # a look at the numbers takes this for one of them
