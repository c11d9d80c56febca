"""Transductive information maximisation: the loss by hand and against loops, its descent, and what it prefers."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from kshot.errors import RecipeError
from kshot.learners.heads.centres import squared_distances
from kshot.learners.heads.item_scores import Examples
from kshot.learners.metric.protonet import CosineProtoNet
from kshot.learners.refinement.refined import Refined
from kshot.learners.refinement.soft_k_means import centres_of
from kshot.learners.refinement.tim import InformationMaximisation


def compare(queries: Tensor, centres: Tensor) -> Tensor:
    return -squared_distances(queries, centres)


def examples(features: list[list[float]], labels: list[int], way: int) -> Examples:
    y = torch.nn.functional.one_hot(torch.tensor([labels]), way)
    return Examples(torch.tensor([features]).double(), y.double())


def test_the_loss_by_hand() -> None:
    # Centres -1 and 1; the support items lie on them, with odds e⁴. Queries at ± log 3 / 4 have odds 3 and 1/3: shares are 1/2 each.
    x = math.log(3) / 4
    task, queries = examples([[-1.0], [1.0]], [0, 1], 2), torch.tensor([[[x], [-x]]]).double()
    cross_entropy = math.log(1 + math.exp(-4))
    conditional = -(0.75 * math.log(0.75) + 0.25 * math.log(0.25))
    expected = 0.2 * cross_entropy - 0.5 * math.log(2) + 0.3 * conditional
    found = InformationMaximisation(support=0.2, sureness=0.3, balance=0.5).loss(compare, task, queries, centres_of(task))
    torch.testing.assert_close(found, torch.tensor([expected]).double())


def slow_loss(task: tuple[np.ndarray, np.ndarray], queries: np.ndarray, centres: np.ndarray, setting: InformationMaximisation) -> float:
    """One task, in loops."""

    def answer(x: np.ndarray) -> np.ndarray:
        weights = np.array([math.exp(-setting.scale * float(((x - centre) ** 2).sum())) for centre in centres])
        return weights / weights.sum()

    support, y = task
    cross_entropy = float(np.mean([-math.log(answer(x)[label]) for x, label in zip(support, y, strict=True)]))
    answers = [answer(x) for x in queries]
    conditional = float(np.mean([-sum(p * math.log(p) for p in one) for one in answers]))
    marginal = -sum(p * math.log(p) for p in np.mean(answers, axis=0))
    return setting.support * cross_entropy - setting.balance * marginal + setting.sureness * conditional


def some_tasks() -> tuple[Examples, Tensor, np.ndarray]:
    random = np.random.default_rng(0)
    y = np.array([[0, 1, 2, 2, 1, 2], [2, 2, 2, 2, 1, 0], [0, 0, 1, 1, 2, 2]])
    support, queries = random.normal(size=(3, 6, 4)), random.normal(size=(3, 9, 4))
    labels = torch.nn.functional.one_hot(torch.from_numpy(y), 3).double()
    return Examples(torch.from_numpy(support), labels), torch.from_numpy(queries), y


def test_the_loss_equals_the_slow_version_and_falls() -> None:
    task, queries, y = some_tasks()
    setting = InformationMaximisation(steps=40, rate=0.01, scale=0.7, support=0.3, sureness=0.2, balance=0.8)
    start = centres_of(task)
    found = setting.loss(compare, task, queries, start)
    for b in range(3):
        one = (task.features[b].numpy(), y[b])
        assert float(found[b]) == pytest.approx(slow_loss(one, queries[b].numpy(), start[b].numpy(), setting), rel=1e-9)
    seen: list[Tensor] = []

    def watching(x: Tensor, centres: Tensor) -> Tensor:
        seen.append(centres.detach().clone())
        return compare(x, centres)

    setting(watching, task, queries)
    assert (setting.loss(compare, task, queries, seen[-1]) < found - 0.05).all()


def test_a_task_is_answered_the_same_in_any_company() -> None:
    task, queries, _ = some_tasks()
    setting = InformationMaximisation(steps=10, rate=0.01)
    together = setting(compare, task, queries)
    for b in range(3):
        alone = setting(compare, Examples(task.features[b : b + 1], task.labels[b : b + 1]), queries[b : b + 1])
        torch.testing.assert_close(together[b : b + 1], alone)


def test_steps_are_shares_of_the_vectors_length() -> None:
    task, queries, _ = some_tasks()
    one = InformationMaximisation(steps=10, rate=0.01)(compare, task, queries)
    other = InformationMaximisation(steps=10, rate=0.01, scale=0.01)(compare, Examples(10 * task.features, task.labels), 10 * queries)
    torch.testing.assert_close(other / 100, one, rtol=1e-6, atol=1e-8)


@pytest.mark.slow
def test_queries_of_one_class_alone_are_shared_out_unless_balance_is_0() -> None:
    random = np.random.default_rng(1)
    task = examples([[-1.0], [1.0]], [0, 1], 2)
    queries = torch.from_numpy(random.normal(-0.4, 0.3, (1, 20, 1)))
    settings = {"steps": 150, "rate": 0.05, "scale": 2.0}
    shared, free = (InformationMaximisation(balance=balance, **settings)(compare, task, queries) for balance in (1.0, 0.0))  # type: ignore[arg-type]
    assert (shared.argmax(-1) == 1).sum() >= 8  # half of them are forced into a class that none of them is of
    assert (free.argmax(-1) == 1).sum() <= 2


@pytest.mark.slow
def test_a_class_without_support_items_spoils_nothing() -> None:
    task = examples([[0.0, 1.0], [6.0, 1.0]], [0, 2], 3)
    queries = torch.tensor([[[1.0, 1.0], [5.0, 1.0], [3.2, 1.0]]]).double()

    def masked(x: Tensor, centres: Tensor) -> Tensor:
        return compare(x, centres).masked_fill(torch.tensor([False, True, False]), -torch.inf)

    found = InformationMaximisation()(masked, task, queries)
    assert torch.isneginf(found[..., 1]).all()
    rest = InformationMaximisation()(compare, examples([[0.0, 1.0], [6.0, 1.0]], [0, 1], 2), queries)
    torch.testing.assert_close(found[..., [0, 2]], rest)


def test_under_no_grad_it_moves_and_leaves_no_gradient_in_the_learner() -> None:
    learner = CosineProtoNet(nn.Identity())
    refined = Refined(learner, InformationMaximisation(steps=5, rate=0.1)).eval()
    x, y = torch.eye(2).repeat(1, 1, 1), torch.tensor([[0, 1]])
    query = torch.tensor([[[1.0, 0.4], [0.5, 0.6]]])
    with torch.no_grad():
        found = refined.predict_together(refined.adapt(x, y), query)
    assert not torch.allclose(found, learner.eval().predict(learner.adapt(x, y), query))
    assert all(parameter.grad is None for parameter in learner.parameters())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"steps": -1}, "steps of a refinement must be 0 or more; found -1"),
        ({"rate": 0.0}, "rate of a refinement must be a positive number; found 0"),
        ({"support": -1.0}, "support of a refinement must be a positive number; found -1"),
        ({"balance": 2}, "balance of a refinement must be a number from 0 to 1; found 2"),
        ({"balance": True}, "balance of a refinement must be a number from 0 to 1; found True"),
    ],
)
def test_settings_out_of_range_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        InformationMaximisation(**settings)
    assert InformationMaximisation(balance=0).assumption == ""
    assert "equally many" in InformationMaximisation().assumption
