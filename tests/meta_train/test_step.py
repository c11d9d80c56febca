"""One update: gradients of several rectangles by hand, clipping, precision, and a loss that is not a number."""

from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from kshot.backbones.conv4 import Conv4
from kshot.data.inputs import Inputs
from kshot.episodes.episode import EpisodeBatch
from kshot.episodes.family import Regression
from kshot.errors import TrainingError
from kshot.learners.learner import Learner, backward_of_query_loss
from kshot.learners.metric.protonet import ProtoNet
from kshot.meta_train.optimization import Optimization
from kshot.meta_train.step import meta_step


class Nothing(NamedTuple):
    offset: Tensor


class Line(Learner):
    """Predicts w · x, whatever the support: its gradient fits on a page. `seen` is a buffer that training changes."""

    seen: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.tensor(2.0, dtype=torch.float64))
        self.unused = nn.Parameter(torch.tensor(1.0))
        self.register_buffer("seen", torch.zeros(()))
        self.family = Regression()
        self.progress: list[float] = []

    def encode(self, x: Inputs) -> Inputs:
        return x

    def adapt(self, support_features: Inputs, support_y: Tensor, *, way: int | None = None) -> Any:
        return Nothing(torch.zeros_like(support_y[:, :1]))

    def predict(self, adapted: Any, query_features: Inputs) -> Tensor:
        assert isinstance(query_features, Tensor)
        return self.w * query_features

    def meta_backward(self, batch: EpisodeBatch, progress: float) -> Tensor:
        self.seen += len(batch)
        self.progress.append(progress)
        return backward_of_query_loss(self, batch)


def rectangle(x: list[list[float]], y: list[list[float]], first: int = 0) -> EpisodeBatch:
    """Tasks of one number an item, without anything to learn from the support."""
    query_x, query_y = (torch.tensor(value, dtype=torch.float64).unsqueeze(-1) for value in (x, y))
    return EpisodeBatch(query_x[:, :1], query_y[:, :1], query_x, query_y, None, np.arange(first, first + len(x)))


def images(tasks: int, way: int, queries: int, seed: int, first: int = 0) -> EpisodeBatch:
    random = torch.Generator().manual_seed(seed)
    y = torch.arange(way).expand(tasks, way)
    return EpisodeBatch(
        torch.rand(tasks, way, 1, 28, 28, generator=random),
        y,
        torch.rand(tasks, way * queries, 1, 28, 28, generator=random),
        y.repeat(1, queries),
        way,
        np.arange(first, first + tasks),
    )


def step(learner: Learner, batches: list[EpisodeBatch], optimizer: Any = None, update: int = 0, **settings: Any) -> tuple[float, float]:
    optimization = Optimization(**{"optimizer": "sgd", "momentum": 0.0, "lr": 0.5, **settings})
    if optimizer is None:
        optimizer = optimization.build(learner.parameters())
    return meta_step(learner.train(), optimizer, batches, optimization=optimization, update=update, updates=10)


def test_an_update_worked_by_hand() -> None:
    # One task with queries x = 1, 2 and y = 1, 0: residuals 2·1 - 1 = 1 and 2·2 - 0 = 4; loss (1 + 16) / 2 = 8.5.
    # d loss / dw = mean 2 r x = (2·1·1 + 2·4·2) / 2 = 9; w = 2 - 0.5 · 9 = -2.5.
    learner = Line()
    loss, norm = step(learner, [rectangle([[1.0, 2.0]], [[1.0, 0.0]])], update=3)
    assert loss == 8.5
    assert norm == 9.0
    assert learner.w.item() == -2.5
    assert learner.unused.item() == 1.0
    assert learner.progress == [0.3]


def test_rectangles_are_weighted_by_their_tasks() -> None:
    # Rectangle A: one task, gradient 9 and loss 8.5 as above. Rectangle B: two tasks of one query each, x = 1, y = 1 and x = 1, y = 3:
    # gradients 2 and -2, losses 1 and 1. Over the three tasks: gradient (9 + 2 - 2) / 3 = 3, loss 10.5 / 3 = 3.5.
    learner = Line()
    loss, norm = step(learner, [rectangle([[1.0, 2.0]], [[1.0, 0.0]]), rectangle([[1.0], [1.0]], [[1.0], [3.0]], 1)])
    assert loss == pytest.approx(3.5)
    assert norm == pytest.approx(3.0)
    assert learner.w.item() == pytest.approx(2 - 0.5 * 3)
    assert learner.unused.grad is None


def test_rectangles_of_different_way_give_the_mean_gradient_of_all_tasks() -> None:
    batches = [images(3, 4, 2, seed=1), images(1, 6, 1, seed=2, first=3), images(2, 2, 3, seed=3, first=4)]
    learner = ProtoNet(nn.Sequential(nn.Flatten(), nn.Linear(784, 8))).double()
    batches = [EpisodeBatch(b.support_x.double(), b.support_y, b.query_x.double(), b.query_y, b.way, b.numbers) for b in batches]  # type: ignore[union-attr]
    total: list[Tensor] = [torch.zeros_like(parameter) for parameter in learner.parameters()]
    losses = []
    for batch in batches:  # task by task, and summed up in another order than the step's
        for row in range(len(batch)):
            one = EpisodeBatch(
                batch.support_x[row : row + 1],  # type: ignore[index]
                batch.support_y[row : row + 1],
                batch.query_x[row : row + 1],  # type: ignore[index]
                batch.query_y[row : row + 1],
                batch.way,
                batch.numbers[row : row + 1],
            )
            learner.zero_grad()
            losses.append(float(learner.meta_backward(one, 0.0)))
            for sum_of_gradients, parameter in zip(total, learner.parameters(), strict=True):
                assert parameter.grad is not None
                sum_of_gradients += parameter.grad
    loss, norm = step(learner, batches)
    assert loss == pytest.approx(sum(losses) / 6, rel=1e-12)
    assert norm == pytest.approx(float(torch.cat([value.flatten() / 6 for value in total]).norm()), rel=1e-10)
    for expected, parameter in zip(total, learner.parameters(), strict=True):
        assert parameter.grad is not None
        torch.testing.assert_close(parameter.grad, expected / 6, rtol=1e-9, atol=1e-12)


def test_clipping_scales_down_to_the_norm_and_reports_what_it_was() -> None:
    learner = Line()
    _, norm = step(learner, [rectangle([[1.0, 2.0]], [[1.0, 0.0]])], clip_norm=3.0)
    assert norm == 9.0
    assert learner.w.item() == pytest.approx(2 - 0.5 * 3.0, rel=1e-5)
    untouched = Line()
    step(untouched, [rectangle([[1.0, 2.0]], [[1.0, 0.0]])], clip_norm=100.0)
    assert untouched.w.item() == -2.5


def test_the_schedule_sets_the_rate() -> None:
    learner = Line()
    step(learner, [rectangle([[1.0, 2.0]], [[1.0, 0.0]])], update=4, schedule="halving", halve_every=2)
    assert learner.w.item() == 2 - 0.125 * 9


def everything(learner: Learner, optimizer: torch.optim.Optimizer) -> list[Tensor]:
    values = [value.clone() for value in learner.state_dict().values()]
    return values + [value.clone() for state in optimizer.state.values() for value in state.values() if isinstance(value, Tensor)]


@pytest.mark.parametrize("several", [False, True])
@pytest.mark.parametrize("optimizer_name", ["adam", "sgd"])
def test_a_loss_that_is_not_a_number_changes_nothing_and_names_the_episode(several: bool, optimizer_name: Any) -> None:
    learner = ProtoNet(Conv4(width=4)).train()
    optimization = Optimization(optimizer_name)
    optimizer = optimization.build(learner.parameters())
    good, bad = images(2, 3, 1, seed=0, first=40), images(2, 4, 1, seed=1, first=42)
    meta_step(learner, optimizer, [good], optimization=optimization, update=6, updates=10)
    before = everything(learner, optimizer)
    assert len(before) > len(learner.state_dict())
    assert isinstance(bad.query_x, Tensor)
    bad.query_x[1, 0] = torch.nan  # without batch norm only task 43 would be touched; with it both are
    with pytest.raises(TrainingError, match=r"loss is not a number at update 8, episode 42, 43\. .*last good state.*training\.clip_norm"):
        meta_step(learner, optimizer, [good, bad] if several else [bad], optimization=optimization, update=7, updates=10)
    for was, now in zip(before, everything(learner, optimizer), strict=True):
        assert torch.equal(was, now)


def test_only_the_episodes_that_failed_are_named() -> None:
    learner = Line()
    with pytest.raises(TrainingError, match=r"at update 1, episode 8\. "):
        step(learner, [rectangle([[1.0], [float("inf")]], [[0.0], [0.0]], first=7)])
    assert learner.w.item() == 2.0
    assert learner.seen.item() == 0


def test_a_gradient_that_is_not_a_number_is_found_although_the_loss_is_one() -> None:
    class Corner(Line):
        def predict(self, adapted: Any, query_features: Inputs) -> Tensor:
            assert isinstance(query_features, Tensor)
            return (self.w - 2).square().sqrt() * query_features  # 0 with an infinite slope at w = 2

    learner = Corner()
    with pytest.raises(TrainingError, match=r"gradient is not a number at update 3, episodes 5 to 5"):
        step(learner, [rectangle([[1.0]], [[1.0]], first=5)], update=2)
    assert learner.w.item() == 2.0
    assert learner.seen.item() == 0


def test_a_loss_without_a_gradient_changes_nothing_and_says_why() -> None:
    class Detached(Line):
        def predict(self, adapted: Any, query_features: Inputs) -> Tensor:
            assert isinstance(query_features, Tensor)
            return super().predict(adapted, query_features).detach()

    learner = Detached()
    with pytest.raises(TrainingError, match=r"the loss depends on no parameter that is trained: the network detaches what it gives"):
        step(learner, [rectangle([[1.0]], [[1.0]])])
    assert learner.w.item() == 2.0
    assert learner.seen.item() == 0


def test_bfloat16_runs_and_keeps_float32_parameters() -> None:
    exact, rough = ProtoNet(Conv4(width=4)), ProtoNet(Conv4(width=4))
    rough.load_state_dict(exact.state_dict())
    batch = images(2, 3, 2, seed=5)
    loss, norm = step(exact, [batch], lr=0.01)
    rough_loss, rough_norm = step(rough, [batch], lr=0.01, precision="bfloat16")
    assert rough_loss == pytest.approx(loss, rel=0.05)
    assert rough_loss != loss
    assert rough_norm == pytest.approx(norm, rel=0.2)
    assert {parameter.dtype for parameter in rough.parameters()} == {torch.float32}
    assert all(bool(torch.isfinite(parameter).all()) for parameter in rough.parameters())
