"""Fine-tuning: against PyTorch's Adam, where heads start, how many steps, several users at once, and bad input."""

import copy
import math
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kshot.backbones.conv4 import Conv4
from kshot.backbones.mlp import MLP
from kshot.data.inputs import Inputs
from kshot.episodes.family import Regression
from kshot.errors import DataError, RecipeError
from kshot.learners.metric.protonet import ProtoNet
from kshot.learners.transfer.finetune import PATIENCE, FineTune, Tuning, best_steps, choose_steps, folds_of


def task_of(shots: list[int], *, D: int = 4, B: int = 2, Q: int = 6, seed: int = 0, apart: float = 2.0) -> tuple[Tensor, Tensor, Tensor]:
    """Tasks with so many support items of each class, in no order: support, labels, queries; float64."""
    generator = torch.Generator().manual_seed(seed)
    y = torch.repeat_interleave(torch.arange(len(shots)), torch.tensor(shots))
    y = torch.stack([y[torch.randperm(len(y), generator=generator)] for _ in range(B)])
    centres = apart * torch.randn(len(shots), D, generator=generator, dtype=torch.float64)
    support = centres[y] + torch.randn(*y.shape, D, generator=generator, dtype=torch.float64)
    return support, y, torch.randn(B, Q, D, generator=generator, dtype=torch.float64)


def learner_of(**arguments: Any) -> FineTune:
    torch.manual_seed(0)
    return FineTune(MLP(4, (6,), 3), **arguments).double().eval()


# The steps themselves.


@pytest.mark.parametrize("start", ["means", "zero"])
def test_equals_adam_on_a_copy(start: Any) -> None:
    support, y, query = task_of([1, 1, 1])
    learner = learner_of(steps=4, lr=0.05, start=start)
    task = learner.adapt(support, y, way=3)
    found = learner.predict(task, query)
    for b in range(2):
        network, head = copy.deepcopy(learner.backbone), nn.Linear(3, 3).double()
        with torch.no_grad():
            means = network(support[b])[y[b].argsort()]  # one item a class
            v = (means - means.mean(0)).square().sum() / 3
            head.weight.copy_(2 * means / v if start == "means" else torch.zeros(3, 3))
            head.bias.copy_(-means.square().sum(1) / v if start == "means" else torch.zeros(3))
        optimizer = torch.optim.Adam([*network.parameters(), *head.parameters()], lr=0.05)
        for _ in range(4):
            optimizer.zero_grad()
            F.cross_entropy(head(network(support[b])), y[b]).backward()
            optimizer.step()
        torch.testing.assert_close(found[b], head(network(query[b])).detach(), rtol=1e-10, atol=1e-10)
        for name, value in network.named_parameters():
            torch.testing.assert_close(task.network[name][b], value.detach(), rtol=1e-10, atol=1e-12)


def test_all_layers_move_and_the_learner_does_not() -> None:
    support, y, query = task_of([1, 1, 1])
    learner = learner_of(steps=3, lr=0.1)
    before = copy.deepcopy(learner.state_dict())
    task = learner.adapt(support, y, way=3)
    learner.predict(task, query)
    for name, value in learner.backbone.named_parameters():
        assert not torch.equal(task.network[name][0], value), name
        assert not torch.equal(task.network[name][0], task.network[name][1]), name
        assert value.grad is None
    assert all(torch.equal(value, before[name]) for name, value in learner.state_dict().items())


def test_no_steps_from_the_means_is_a_prototypical_network_at_another_scale() -> None:
    support, y, query = task_of([1, 1, 1])
    learner = learner_of(steps=0)
    logits = learner.predict(learner.adapt(support, y, way=3), query)
    network = ProtoNet(learner.backbone).eval()
    features = [network.encode(part.flatten(0, 1)).unflatten(0, part.shape[:2]) for part in (support, query)]
    expected = network.predict(network.adapt(features[0], y, way=3), features[1])
    spread = (features[0] - features[0].mean(1, keepdim=True)).square().sum(2).mean(1)[:, None, None]
    torch.testing.assert_close(logits.softmax(-1), (expected / spread).softmax(-1))
    assert torch.equal(logits.argmax(-1), expected.argmax(-1))


def test_batch_normalisation_keeps_its_statistics_and_sees_each_item_alone() -> None:
    torch.manual_seed(0)
    learner = FineTune(Conv4(width=4), steps=3, lr=0.1).eval()
    norm = next(module for module in learner.modules() if isinstance(module, nn.BatchNorm2d))
    before = norm.running_mean.clone()  # type: ignore[union-attr]
    x, y = torch.rand(1, 3, 1, 28, 28), torch.tensor([[0, 1, 2]])
    task = learner.adapt(x, y, way=3)
    assert torch.equal(norm.running_mean, before)  # type: ignore[arg-type]
    query = torch.rand(1, 8, 1, 28, 28)
    alone = torch.cat([learner.predict(task, query[:, q : q + 1]) for q in range(8)], 1)
    torch.testing.assert_close(learner.predict(task, query), alone, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_adaptation_in_training_mode_does_not_change_the_learner_either() -> None:
    torch.manual_seed(0)
    learner = FineTune(Conv4(width=4), steps=2).train()
    before = copy.deepcopy(learner.state_dict())
    learner.adapt(torch.rand(2, 4, 1, 28, 28), torch.tensor([[0, 1, 2, 0]] * 2), way=3)
    assert all(torch.equal(value, before[name]) for name, value in learner.state_dict().items())


@pytest.mark.slow
def test_eight_users_at_once_never_touch_each_other() -> None:
    torch.manual_seed(0)
    learner = FineTune(Conv4(width=4), steps=4, lr=0.1, most_steps=6).eval()
    generator = torch.Generator().manual_seed(1)
    users = []
    for number in range(8):
        shot = 1 + number % 2
        y = torch.arange(3).repeat(1, shot)
        users.append((torch.rand(1, 3 * shot, 1, 28, 28, generator=generator), y, torch.rand(1, 5, 1, 28, 28, generator=generator)))

    def serve(user: tuple[Tensor, Tensor, Tensor]) -> Tensor:
        return learner.predict(learner.adapt(user[0], user[1], way=3), user[2]).detach()

    before = copy.deepcopy(learner.state_dict())
    alone = [serve(user) for user in users]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(serve, [user for _ in range(3) for user in users]))
    for number, found in enumerate(together):
        assert torch.equal(found, alone[number % 8])
    assert len({tuple(answer.flatten().tolist()) for answer in alone}) == 8
    assert all(torch.equal(value, before[name]) for name, value in learner.state_dict().items())


# How many steps.


def test_folds_hold_out_the_jth_item_of_each_class_that_has_others() -> None:
    y = torch.tensor([0, 1, 0, 2, 0, 1])  # three, two and one of a class
    assert [fold.tolist() for fold in folds_of(y, 4)] == [
        [True, True, False, False, False, False],
        [False, False, True, False, False, True],
        [False, False, False, False, True, False],
    ]
    assert folds_of(torch.tensor([2, 0, 1]), 3) == []


def test_there_are_at_most_five_folds_and_each_item_is_held_out_once() -> None:
    y = torch.arange(3).repeat(13)
    folds = folds_of(y, 3)
    assert len(folds) == 5
    assert torch.stack(folds).sum(0).tolist() == [1] * 39
    for fold in folds:
        assert set(y[~fold].tolist()) == {0, 1, 2}


def slow_losses(learner: FineTune, x: Tensor, y: Tensor, fold: Tensor, steps: int) -> float:
    """The loss on what is held out, after a fine-tuning of its own on the rest."""
    rest = Tuning(copy.deepcopy(learner.backbone), x[~fold], y[~fold], 3, learner.lr, learner.start)
    network, weights, bias = rest.after(steps)
    features = torch.func.functional_call(copy.deepcopy(learner.backbone), network, (x[fold],))
    return F.cross_entropy(features @ weights + bias, y[fold], reduction="sum").item()


@pytest.mark.slow
@pytest.mark.parametrize("shots", [[2, 2, 2], [3, 1, 4]])
def test_the_steps_are_those_with_the_least_loss_on_what_is_held_out(shots: list[int]) -> None:
    chosen = set()
    for seed in range(6):
        support, y, _ = task_of(shots, B=1, seed=seed, apart=0.7)
        x, labels = support[0], y[0]
        learner = learner_of(most_steps=9, lr=0.4, start="zero")
        folds = folds_of(labels, 3)
        losses = [sum(slow_losses(learner, x, labels, fold, steps) for fold in folds) for steps in range(10)]
        until = next((n for n in range(10) if n - losses[: n + 1].index(min(losses[: n + 1])) >= PATIENCE), 9)
        expected = losses[: until + 1].index(min(losses[: until + 1]))
        tuning = Tuning(copy.deepcopy(learner.backbone), x, labels, 3, learner.lr, learner.start)
        assert best_steps(tuning, folds, 9) == expected
        chosen.add(expected)
        after = tuning.after(expected)
        task = learner.adapt(support, y, way=3)
        torch.testing.assert_close(task.weights[0], after[1])
    assert len(chosen) > 1  # the answer depends on the task


def test_one_item_a_class_takes_the_steps_that_are_set() -> None:
    support, y, query = task_of([1, 1, 1])
    three, set_later = learner_of(steps=3, lr=0.1), learner_of(steps=0, lr=0.1)
    set_later.steps.fill_(3)
    expected = three.predict(three.adapt(support, y, way=3), query)
    assert torch.equal(set_later.predict(set_later.adapt(support, y, way=3), query), expected)
    assert "steps" in set_later.state_dict()


@pytest.mark.parametrize(
    ("scores", "expected"),
    [({0: 0.2, 1: 0.5, 3: 0.4}, 1), ({0: 0.2, 1: 0.5, 3: 0.5}, 1), ({0: 0.5, 1: 0.2, 3: 0.6}, 3), ({0: 0.4, 1: 0.4}, 7)],
)
def test_steps_are_chosen_by_the_score(scores: dict[int, float], expected: int) -> None:
    learner = learner_of(steps=7)
    asked: list[int] = []

    def score() -> float:
        asked.append(int(learner.steps))
        return scores[asked[-1]]

    assert choose_steps(learner, score, reversed(list(scores))) == scores
    assert asked == sorted(scores)
    assert int(learner.steps) == expected


# Awkward tasks and bad input.


def test_a_class_without_support_items_is_never_the_answer() -> None:
    support, y, query = task_of([2, 2, 2])
    for start in ("means", "zero"):
        learner = learner_of(start=start, lr=0.1)
        logits = learner.predict(learner.adapt(support, y, way=4), query)
        assert bool((logits[..., 3] == -math.inf).all())
        torch.testing.assert_close(logits[..., :3], learner.predict(learner.adapt(support, y, way=3), query))


@pytest.mark.parametrize("shots", [[1, 1, 1], [2, 3, 2]])
def test_equal_items_in_all_classes_give_finite_answers(shots: list[int]) -> None:
    support, y, query = task_of(shots)
    learner = learner_of(lr=0.1)
    assert bool(torch.isfinite(learner.predict(learner.adapt(torch.ones_like(support), y, way=3), query)).all())


def test_one_class_alone_is_the_answer() -> None:
    learner = learner_of()
    support, y, query = task_of([3])
    assert learner.predict(learner.adapt(support, y), query).shape == (2, 6, 1)


@pytest.mark.parametrize("shots", [[1, 1, 1], [3, 3, 3]])
def test_what_is_no_number_is_refused_with_the_task(shots: list[int]) -> None:
    support, y, _ = task_of(shots)
    support[1, 0, 0] = math.nan
    with pytest.raises(DataError, match="the features of support item 0 of task 1 of the batch are not all finite"):
        learner_of().adapt(support, y, way=3)


def test_a_mapping_is_read() -> None:
    class Sum(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = nn.Linear(4, 3)

        def forward(self, x: Inputs) -> Tensor:
            assert not isinstance(x, Tensor)
            features: Tensor = self.linear(x["a"] + x["b"])
            return features

    torch.manual_seed(0)
    support, y, query = task_of([2, 2])
    learner = FineTune(Sum()).double().eval()
    task = learner.adapt({"a": support, "b": support}, y, way=2)
    assert learner.predict(task, {"a": query, "b": query}).shape == (2, 6, 2)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"steps": -1}, "steps must be 0 or more; found -1"),
        ({"most_steps": -2}, "most_steps must be 0 or more; found -2"),
        ({"lr": 0.0}, "the lr of fine-tuning must be a positive number; found 0.0"),
        ({"lr": math.inf}, "must be a positive number; found inf"),
        ({"start": "random"}, "the start of a head must be 'means' or 'zero'; found 'random'"),
        ({"family": Regression()}, "learns classification tasks"),
    ],
)
def test_bad_arguments_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        FineTune(nn.Identity(), **arguments)
