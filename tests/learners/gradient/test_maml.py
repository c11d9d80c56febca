"""MAML, first-order MAML, ANIL and Meta-SGD: against loops of their equations, finite differences, and by hand."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cases.batches import balanced_batch
from kshot.backbones.conv_block import ConvBlock
from kshot.episodes.episode import EpisodeBatch
from kshot.episodes.family import Regression
from kshot.errors import DataError, RecipeError, TrainingError
from kshot.learners.gradient.anil import ANIL
from kshot.learners.gradient.boil import BOIL
from kshot.learners.gradient.first_order_maml import FirstOrderMAML
from kshot.learners.gradient.maml import MAML
from kshot.learners.gradient.meta_sgd import MetaSGD
from kshot.learners.inner_loop.gradient_learner import GradientLearner
from kshot.learners.learner import with_steps
from kshot.learners.metric.protonet import ProtoNet

ALL: tuple[Callable[..., GradientLearner], ...] = (MAML, FirstOrderMAML, ANIL, MetaSGD)
SECOND_ORDER: tuple[Callable[..., GradientLearner], ...] = (MAML, ANIL, MetaSGD)


def smooth(made: Callable[..., GradientLearner], **settings: Any) -> GradientLearner:
    torch.manual_seed(0)
    return made(nn.Sequential(nn.Linear(2, 4), nn.Tanh()), features=4, outputs=3, inner_steps=2, **settings).double()


def convolutional(made: Callable[..., GradientLearner], **settings: Any) -> GradientLearner:
    torch.manual_seed(0)
    backbone = nn.Sequential(ConvBlock(1, 4), nn.Conv2d(4, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten())
    return made(backbone, features=16, outputs=3, inner_steps=3, **settings).double()


def gradients(learner: nn.Module) -> dict[str, Tensor]:
    return {name: value.grad.clone() for name, value in learner.named_parameters() if value.grad is not None}


def distance(found: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> float:
    assert found.keys() == expected.keys()
    largest = max(float(value.abs().max()) for value in expected.values())
    return max(float((found[name] - value).abs().max()) for name, value in expected.items()) / largest


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["unrolled", "flat"])
@pytest.mark.parametrize("made", SECOND_ORDER)
def test_the_gradient_equals_finite_differences(made: Callable[..., GradientLearner], mode: str) -> None:
    learner, batch = smooth(made, mode=mode), balanced_batch(2)
    losses = learner.meta_backward(batch, 0.0)
    assert losses.shape == (2,)
    found, h = gradients(learner), 1e-6
    generator = torch.Generator().manual_seed(1)
    for _ in range(2):
        direction = {name: torch.randn(value.shape, generator=generator).double() for name, value in found.items()}
        seen = []
        for move in (h, -2 * h, h):
            with torch.no_grad():
                for name, value in learner.named_parameters():
                    value.add_(direction[name], alpha=move)
            seen.append(float(learner.meta_backward(batch, 0.0).mean()))
        expected = (seen[0] - seen[1]) / (2 * h)
        along = sum(float((slope * direction[name]).sum()) for name, slope in found.items())
        assert abs(along - expected) < 1e-7 * max(1.0, abs(expected))


def forward(parameters: Mapping[str, Tensor], x: Tensor) -> Tensor:
    """What `convolutional` computes, written out: nothing of kshot's."""
    for conv, norm in (("backbone.0.conv", "backbone.0.norm"), ("backbone.1", "backbone.2")):
        z = F.conv2d(x, parameters[f"{conv}.weight"], parameters[f"{conv}.bias"], padding=1)
        mean = z.mean((0, 2, 3), keepdim=True)
        var = (z - mean).square().mean((0, 2, 3), keepdim=True)
        gamma, beta = (parameters[f"{norm}.{part}"].view(1, -1, 1, 1) for part in ("weight", "bias"))
        x = F.max_pool2d(F.relu((z - mean) / (var + 1e-5).sqrt() * gamma + beta), 2)
    return x.flatten(1) @ parameters["head.weight"].T + parameters["head.bias"]


@pytest.mark.slow
@pytest.mark.parametrize("made", ALL)
def test_the_gradient_equals_a_loop_with_batch_norm_and_pooling(made: Callable[..., GradientLearner]) -> None:
    learner, batch = convolutional(made), balanced_batch(1, 8, 8)
    losses = learner.meta_backward(batch, 0.0)
    named: dict[str, Tensor] = {name: value for name, value in learner.named_parameters() if not name.startswith("rates")}
    adapting = [name for name in named if made is not ANIL or name.startswith("head")]
    given = {MAML: 0.4, FirstOrderMAML: 0.4, ANIL: 0.4}
    learnt: Mapping[str, Tensor] = learner.learnt_rates() if isinstance(learner, MetaSGD) else {}
    rates = learnt or {name: torch.tensor(given[made], dtype=torch.float64) for name in adapting}  # type: ignore[index]
    expected_losses = []
    for b in range(2):
        fast: dict[str, Tensor] = dict(named)
        for _ in range(3):
            loss = F.cross_entropy(forward(fast, batch.support_x[b]), batch.support_y[b])  # type: ignore[index]
            slopes = torch.autograd.grad(loss, [fast[name] for name in adapting], create_graph=True)
            constant = made is FirstOrderMAML
            fast |= {n: fast[n] - rates[n] * (s.detach() if constant else s) for n, s in zip(adapting, slopes, strict=True)}
        expected_losses.append(F.cross_entropy(forward(fast, batch.query_x[b]), batch.query_y[b]))  # type: ignore[index]
    expected_loss = torch.stack(expected_losses)
    torch.testing.assert_close(losses, expected_loss.detach(), rtol=1e-10, atol=0)
    every = dict(learner.named_parameters())
    expected = dict(zip(every, torch.autograd.grad(expected_loss.mean(), list(every.values())), strict=True))
    assert distance(gradients(learner), expected) < 1e-10


def test_gradients_are_added_and_flat_gives_the_same() -> None:
    batch = balanced_batch(1, 8, 8)
    unrolled, flat = convolutional(MAML), convolutional(MAML, mode="flat")
    unrolled.meta_backward(batch, 0.0)
    once = gradients(unrolled)
    unrolled.meta_backward(batch, 0.0)
    assert distance(gradients(unrolled), {name: 2 * value for name, value in once.items()}) < 1e-12
    flat.meta_backward(batch, 0.0)
    assert distance(gradients(flat), once) < 1e-10


# Adapting, by hand.


def test_one_step_by_hand() -> None:
    # One feature, logits (w_0 x, w_1 x) with w = 0: probabilities 1/2. Items x = 1 of class 0 and x = -1 of class 1: the slope of the
    # mean loss is (-1/2, 1/2) for w and 0 for the bias; α = 2 gives w = (1, -1).
    learner = MAML(nn.Identity(), features=1, outputs=2, inner_lr=2.0, adapt_steps=1).double().eval()
    nn.init.zeros_(learner.head.weight)
    nn.init.zeros_(learner.head.bias)
    task = learner.adapt(torch.tensor([[[1.0], [-1.0]]]).double(), torch.tensor([[0, 1]]))
    assert task.parameters["head.weight"].tolist() == [[[1.0], [-1.0]]]
    assert task.parameters["head.bias"].tolist() == [[0.0, 0.0]]
    assert learner.predict(task, torch.tensor([[[3.0]]]).double()).tolist() == [[[3.0, -3.0]]]
    assert learner.head.weight.tolist() == [[0.0], [0.0]]


def test_anil_adapts_its_head_alone() -> None:
    learner, batch = convolutional(ANIL).eval(), balanced_batch(1, 8, 8)
    assert set(learner.adapt(batch.support_x, batch.support_y, way=3).parameters) == {"head.weight", "head.bias"}


def test_boil_adapts_what_is_trainable_of_its_body_alone() -> None:
    learner, batch = convolutional(BOIL).eval(), balanced_batch(1, 8, 8)
    adapted = set(learner.adapt(batch.support_x, batch.support_y, way=3).parameters)
    assert adapted == {name for name, _ in learner.named_parameters() if name.startswith("backbone.")}
    first = next(name for name, _ in learner.named_parameters())
    learner.get_parameter(first).requires_grad_(False)
    assert set(learner.adapt(batch.support_x, batch.support_y, way=3).parameters) == adapted - {first}


def test_meta_sgd_starts_from_rates_between_its_bounds_and_learns_them() -> None:
    learner = smooth(MetaSGD, lowest=0.2, highest=0.3)
    rates = learner.learnt_rates() if isinstance(learner, MetaSGD) else {}
    assert {name: value.shape for name, value in rates.items()} == {
        name: value.shape for name, value in learner.named_parameters() if not name.startswith("rates")
    }
    assert all(bool(((value >= 0.2) & (value <= 0.3)).all()) for value in rates.values())
    learner.meta_backward(balanced_batch(2), 0.0)
    assert all(value.grad is not None and bool(value.grad.any()) for value in rates.values())


# Whose statistics.


def test_support_queries_and_running_statistics_give_three_answers() -> None:
    batch = balanced_batch(1, 8, 8)
    learner, running = convolutional(MAML), convolutional(MAML, inductive="running")
    for either in (learner, running):
        either.meta_backward(batch, 0.0)  # moves the running statistics
        either.eval()
    assert isinstance(learner.backbone, nn.Sequential)
    norm = learner.backbone[2]
    assert isinstance(norm, nn.BatchNorm2d)
    assert norm.running_mean is not None
    assert bool(norm.running_mean.any())
    assert int(norm.num_batches_tracked or 0) == 1
    tasks = [either.adapt(batch.support_x, batch.support_y, way=3) for either in (learner, running)]
    alone, by_running = learner.predict(tasks[0], batch.query_x), running.predict(tasks[1], batch.query_x)
    together = learner.predict_together(tasks[0], batch.query_x)
    assert not torch.allclose(alone, together, atol=1e-3)
    assert not torch.allclose(alone, by_running, atol=1e-3)
    torch.testing.assert_close(running.predict_together(tasks[1], batch.query_x), together)
    assert learner.statistics == {"inductive": "support", "transductive": "all queries"}
    assert running.statistics["inductive"] == "running"


def test_transductive_answers_are_the_written_network_s() -> None:
    learner, batch = convolutional(MAML).eval(), balanced_batch(1, 8, 8)
    task = learner.adapt(batch.support_x, batch.support_y, way=3)
    found = learner.predict_together(task, batch.query_x)
    for b in range(2):
        expected = forward({name: value[b] for name, value in task.parameters.items()}, batch.query_x[b])  # type: ignore[index]
        torch.testing.assert_close(found[b], expected, rtol=1e-10, atol=1e-10)


def test_without_running_statistics_there_is_no_inductive_answer() -> None:
    learner = MAML(nn.BatchNorm1d(2, track_running_stats=False), features=2, outputs=3).double().eval()
    batch = balanced_batch(2)
    task = learner.adapt(batch.support_x, batch.support_y, way=3)
    with pytest.raises(RecipeError, match=r"'backbone' keeps no running statistics.*predict_together"):
        learner.predict(task, batch.query_x)
    assert learner.predict_together(task, batch.query_x).shape == (2, 6, 3)


# Real targets, dropout, and what is refused.


def test_real_targets() -> None:
    learner = MAML(nn.Identity(), features=1, outputs=1, inner_lr=0.1, adapt_steps=200, family=Regression()).double().eval()
    x = torch.tensor([[[-1.0], [0.0], [1.0]]]).double()
    task = learner.adapt(x, 2 * x - 7)
    torch.testing.assert_close(learner.predict(task, torch.tensor([[[10.0]]]).double()), torch.tensor([[[13.0]]]).double())


def test_dropout_in_training_follows_the_generator() -> None:
    torch.manual_seed(0)
    learner = MAML(nn.Sequential(nn.Linear(2, 8), nn.Dropout(0.5)), features=8, outputs=3).double()
    losses = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        losses.append(learner.meta_backward(balanced_batch(2), 0.0))
    assert torch.equal(losses[0], losses[1])
    assert not torch.equal(losses[0], losses[2])


@pytest.mark.parametrize("made", ALL)
def test_a_support_set_of_another_way_is_refused(made: Callable[..., GradientLearner]) -> None:
    learner, batch = smooth(made), balanced_batch(2, N=2)
    with pytest.raises(RecipeError, match="has 3 outputs, and the tasks have 2 classes"):
        learner.adapt(batch.support_x, batch.support_y, way=2)
    with pytest.raises(RecipeError, match="has 3 outputs, and the tasks have 2 classes"):
        learner.meta_backward(batch, 0.0)


def test_a_rate_that_diverges_is_named() -> None:
    x = torch.randn(2, 6, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    batch = EpisodeBatch(x, x[..., :1], x, x[..., :1], None, np.arange(2) + 7)
    learner = MAML(nn.Identity(), features=2, outputs=1, inner_lr=50.0, inner_steps=20, adapt_steps=20, family=Regression()).double()
    with pytest.raises(TrainingError, match=r"inner loop of episode 7 diverged.*inner rate of 50"):
        learner.meta_backward(batch, 0.0)
    assert learner.head.weight.grad is None
    with pytest.raises(DataError, match="inner loop of task 0 of the batch diverged"):
        learner.eval().adapt(batch.support_x, batch.support_y)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"inner_lr": 0.0}, "inner_lr must be a positive number; found 0.0"),
        ({"inner_lr": float("nan")}, "inner_lr must be a positive number"),
        ({"inner_steps": -1}, "inner_steps must be 0 or more; found -1"),
        ({"adapt_steps": -1}, "adapt_steps must be 0 or more; found -1"),
        ({"clip": -1.0}, "clip must be 0"),
        ({"inductive": "query"}, "'support' or 'running' statistics; found 'query'"),
        ({"mode": "quick"}, "mode must be one of unrolled, flat; found 'quick'"),
        ({"outputs": 0}, "outputs must be 1 or more; found 0"),
        ({"features": 0}, "features must be 1 or more; found 0"),
    ],
)
def test_settings_that_make_no_sense(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        MAML(nn.Identity(), **{"features": 2, **settings})


def test_bounds_of_meta_sgd() -> None:
    with pytest.raises(RecipeError, match=r"between lowest and highest; found 0.2 and 0.1"):
        MetaSGD(nn.Identity(), features=2, lowest=0.2, highest=0.1)


@pytest.mark.parametrize("made", ALL)
def test_no_steps_leave_the_network_as_it_is_and_train_it_jointly(made: Callable[..., GradientLearner]) -> None:
    torch.manual_seed(0)
    backbone = nn.Sequential(nn.Linear(2, 4), nn.Tanh())
    learner, batch = made(backbone, features=4, outputs=3, inner_steps=0, adapt_steps=0).double(), balanced_batch(2)
    losses = learner.meta_backward(batch, 0.0)
    outputs = learner.head(backbone(batch.query_x))
    plain = F.cross_entropy(outputs.mT, batch.query_y, reduction="none").mean(1)
    torch.testing.assert_close(losses, plain.detach())
    parameters = [value for name, value in learner.named_parameters() if "rate" not in name]
    for value, slope in zip(parameters, torch.autograd.grad(plain.mean(), parameters), strict=True):
        torch.testing.assert_close(value.grad, slope)
    learner.eval()
    torch.testing.assert_close(learner.predict(learner.adapt(batch.support_x, batch.support_y), batch.query_x), outputs)


def test_another_number_of_steps_is_another_learner_with_the_same_parameters() -> None:
    batch = balanced_batch(2)
    learner = smooth(MAML, adapt_steps=2).eval()
    five = with_steps(learner, 5)
    assert isinstance(five, MAML)
    assert (learner.adapt_steps, five.adapt_steps) == (2, 5)
    assert five.head.weight is learner.head.weight
    torch.manual_seed(0)
    made_with_five = smooth(MAML, adapt_steps=5).eval()
    expected = made_with_five.predict(made_with_five.adapt(batch.support_x, batch.support_y), batch.query_x)
    found = five.predict(five.adapt(batch.support_x, batch.support_y), batch.query_x)
    assert torch.equal(found, expected)
    with pytest.raises(RecipeError, match="the number of steps must be 0 or more; found -1"):
        with_steps(learner, -1)
    with pytest.raises(RecipeError, match="ProtoNet has no number of steps"):
        with_steps(ProtoNet(nn.Identity()), 1)
