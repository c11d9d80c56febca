"""Proto-MAML: by hand, against a loop of its equations, finite differences and Prototypical Networks, and what is refused."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cases.batches import balanced_batch, unbalanced_batch
from kshot.backbones.conv4_strided import Conv4Strided
from kshot.backbones.conv_block import ConvBlock
from kshot.episodes.family import Regression
from kshot.errors import DataError, RecipeError
from kshot.learners.gradient.proto_maml import ProtoMAML
from kshot.learners.learner import with_steps
from kshot.learners.metric.protonet import ProtoNet

MODES = ("first_order", "unrolled", "flat")


def smooth(**settings: Any) -> ProtoMAML:
    torch.manual_seed(0)
    return ProtoMAML(nn.Sequential(nn.Linear(2, 4), nn.Tanh()), **{"inner_lr": 0.2, "inner_steps": 2, **settings}).double()


def gradients(learner: nn.Module) -> dict[str, Tensor]:
    return {name: value.grad.clone() for name, value in learner.named_parameters() if value.grad is not None}


def test_a_start_and_a_step_by_hand() -> None:
    # Features are the items: c_0 = 1 from 0 and 2, c_1 = -1. W = (2, -2), b = (-1, -1). The item 0 gets logits -1 and -1: the slopes of its
    # cross-entropy by the logits are (-1/2, 1/2) for class 0. Items far from 0 are certain, to 1e-6 and less: take 2 → 10, -1 → -10.
    learner = ProtoMAML(nn.Identity(), inner_lr=3.0, adapt_steps=0).double().eval()
    x, y = torch.tensor([[[0.0], [2.0], [-1.0]]]).double(), torch.tensor([[0, 0, 1]])
    task = learner.adapt(x, y)
    assert task.parameters["head.weight"].tolist() == [[[2.0], [-2.0]]]
    assert task.parameters["head.bias"].tolist() == [[-1.0, -1.0]]
    assert learner.predict(task, torch.tensor([[[1.5]]]).double()).tolist() == [[[2.0, -4.0]]]
    # One step: the probability of the wrong class is 1/2 for 0, σ(-8) for 2 and σ(-4) for -1; logits are (2x - 1, -2x - 1).
    task = with_steps(learner, 1).adapt(x, y)
    wrong = torch.tensor([0.5, 0.0, 0.0]).double()
    wrong[1:] = torch.sigmoid(torch.tensor([-8.0, -4.0]).double())
    slope = -(wrong * torch.tensor([0.0, 2.0, 1.0]).double()).sum() / 3  # of W_0: Σ -p x for class 0, and +p x for class 1 (x = -1)
    bias = -(wrong[0] + wrong[1] - wrong[2]) / 3
    expected = torch.stack([2 - 3 * slope, -2 + 3 * slope])
    torch.testing.assert_close(task.parameters["head.weight"][0, :, 0], expected)
    torch.testing.assert_close(task.parameters["head.bias"][0], torch.stack([-1 - 3 * bias, -1 + 3 * bias]))


@pytest.mark.parametrize("mode", MODES)
def test_without_steps_it_is_a_prototypical_network(mode: str) -> None:
    batch = unbalanced_batch((2,))
    learner = smooth(inner_steps=0, adapt_steps=0, mode=mode)
    torch.manual_seed(0)
    other = ProtoNet(nn.Sequential(nn.Linear(2, 4), nn.Tanh())).double()
    torch.testing.assert_close(learner.meta_backward(batch, 0.0), other.meta_backward(batch, 0.0))
    for name, slope in gradients(other).items():
        torch.testing.assert_close(gradients(learner)[name], slope)
    learner.eval()
    other.eval()
    logits = learner.predict(learner.adapt(batch.support_x, batch.support_y), batch.query_x)
    support, query = other.backbone(batch.support_x), other.backbone(batch.query_x)
    expected = other.predict(other.adapt(support, batch.support_y), query)
    torch.testing.assert_close(logits.log_softmax(-1), expected.log_softmax(-1))


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["unrolled", "flat"])
def test_the_gradient_equals_finite_differences(mode: str) -> None:
    learner, batch, h = smooth(mode=mode), unbalanced_batch((2,)), 1e-6
    learner.meta_backward(batch, 0.0)
    found = gradients(learner)
    for name, value in learner.named_parameters():
        for place in range(value.numel()):
            seen = []
            for move in (h, -2 * h, h):
                value.data.view(-1)[place] += move
                seen.append(float(learner.meta_backward(batch, 0.0).mean()))
            assert float(found[name].view(-1)[place]) == pytest.approx((seen[0] - seen[1]) / (2 * h), abs=1e-7)


def features_of(parameters: Mapping[str, Tensor], x: Tensor) -> Tensor:
    """What the network of the next test computes, written out: nothing of kshot's."""
    z = F.conv2d(x, parameters["backbone.0.conv.weight"], parameters["backbone.0.conv.bias"], padding=1)
    mean = z.mean((0, 2, 3), keepdim=True)
    var = (z - mean).square().mean((0, 2, 3), keepdim=True)
    gamma, beta = (parameters[f"backbone.0.norm.{part}"].view(1, -1, 1, 1) for part in ("weight", "bias"))
    return F.max_pool2d(F.relu((z - mean) / (var + 1e-5).sqrt() * gamma + beta), 2).flatten(1)


@pytest.mark.slow
@pytest.mark.parametrize("mode", MODES)
def test_the_gradient_equals_a_loop_of_the_equations(mode: str) -> None:
    torch.manual_seed(0)
    learner = ProtoMAML(nn.Sequential(ConvBlock(1, 4), nn.Flatten()), inner_lr=0.1, inner_steps=3, mode=mode).double()  # type: ignore[arg-type]
    batch = balanced_batch(1, 8, 8)
    losses = learner.meta_backward(batch, 0.0)
    named: dict[str, Tensor] = dict(learner.named_parameters())
    adapting = ["backbone.0.conv.weight", "backbone.0.conv.bias", "head.weight", "head.bias"]  # scale and shift of the norm stay
    expected = []
    for b in range(2):
        x, y = batch.support_x[b], batch.support_y[b]  # type: ignore[index]
        features = features_of(named, x)
        centres = torch.stack([features[y == label].mean(0) for label in range(3)])
        fast = {name: value.clone() for name, value in named.items()}  # the slopes of a step are those at a fixed head
        fast |= {"head.weight": 2 * centres, "head.bias": -centres.square().sum(1)}
        for _ in range(3):
            loss = F.cross_entropy(features_of(fast, x) @ fast["head.weight"].T + fast["head.bias"], y)
            slopes = torch.autograd.grad(loss, [fast[name] for name in adapting], create_graph=True)
            held = [slope.detach() if mode == "first_order" else slope for slope in slopes]
            fast |= {name: fast[name] - 0.1 * slope for name, slope in zip(adapting, held, strict=True)}
        answers = features_of(fast, batch.query_x[b]) @ fast["head.weight"].T + fast["head.bias"]  # type: ignore[index]
        expected.append(F.cross_entropy(answers, batch.query_y[b]))
    torch.testing.assert_close(losses, torch.stack(expected).detach(), rtol=1e-10, atol=0)
    slopes = torch.autograd.grad(torch.stack(expected).mean(), list(named.values()))
    for name, slope in zip(named, slopes, strict=True):
        torch.testing.assert_close(gradients(learner)[name], slope, rtol=1e-9, atol=1e-12)


def test_tasks_of_any_way_with_one_learner() -> None:
    learner = smooth()
    for way in (2, 5):
        batch = unbalanced_batch((2,), N=way)
        learner.train().meta_backward(batch, 0.0)
        task = learner.eval().adapt(batch.support_x, batch.support_y, way=way)
        assert task.parameters["head.weight"].shape == (2, way, 4)
        assert learner.predict(task, batch.query_x).shape == learner.predict_together(task, batch.query_x).shape == (2, 6, way)
    assert {name for name, _ in learner.named_parameters()} == {"backbone.0.weight", "backbone.0.bias"}


def test_a_class_without_support_items_is_never_chosen_and_leaves_the_others_as_they_are() -> None:
    learner, batch = smooth(adapt_steps=3).eval(), balanced_batch(2)
    task, more = (learner.adapt(batch.support_x, batch.support_y, way=way) for way in (3, 4))
    logits = learner.predict(more, batch.query_x)
    assert bool((logits[..., 3] == -torch.inf).all())
    torch.testing.assert_close(logits[..., :3], learner.predict(task, batch.query_x))


@pytest.mark.parametrize("mode", MODES)
def test_a_class_without_support_items_spoils_no_update(mode: str) -> None:
    learner, batch = smooth(mode=mode), balanced_batch(2)
    learner.meta_backward(batch, 0.0)
    expected = gradients(learner)
    learner.zero_grad()
    learner.meta_backward(dataclasses.replace(batch, way=4), 0.0)
    for name, slope in gradients(learner).items():
        torch.testing.assert_close(slope, expected[name])


def test_a_frozen_backbone_leaves_the_head_to_adapt() -> None:
    learner, batch = smooth(inner_lr=0.5).eval(), balanced_batch(2)
    learner.backbone.requires_grad_(False)
    assert set(learner.adapt(batch.support_x, batch.support_y, way=3).parameters) == {"head.weight", "head.bias"}


def test_rates_by_pattern_and_strided_blocks() -> None:
    torch.manual_seed(0)
    learner = ProtoMAML(Conv4Strided(1, 4), layer_lr={"head.*": 0.5}, inner_steps=1).double()
    assert learner.descent.by_name == {"head.weight": 0.5, "head.bias": 0.5}
    batch = balanced_batch(1, 16, 16)
    learner.meta_backward(batch, 0.0)
    assert all(value.grad is not None and bool(value.grad.isfinite().all()) for value in learner.parameters())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"inner_lr": 0.0}, "inner_lr must be a positive number; found 0.0"),
        ({"inner_steps": -1}, "inner_steps must be 0 or more; found -1"),
        ({"adapt_steps": 1.5}, "adapt_steps must be a whole number, 0 or more; found 1.5"),
        ({"clip": -1.0}, "clip must be 0"),
        ({"inductive": "query"}, "'support' or 'running' statistics; found 'query'"),
        ({"mode": "quick"}, "mode must be one of first_order, unrolled, flat; found 'quick'"),
        ({"layer_lr": {"backbone.1.*": 0.1}}, r"layer_lr names 'backbone.1.\*', which matches no parameter that adapts"),
        ({"family": Regression()}, "ProtoMAML learns classification tasks; found family 'regression'"),
    ],
)
def test_settings_that_make_no_sense(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        ProtoMAML(nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2)), **settings)


def test_bad_tasks_and_backbones_are_named() -> None:
    learner, batch = smooth().eval(), balanced_batch(2)
    with pytest.raises(RecipeError, match=r"one vector per item"):
        ProtoMAML(nn.Unflatten(1, (1, 2))).double().eval().adapt(batch.support_x, batch.support_y)
    with pytest.raises(DataError, match="the inner loop of task 0 of the batch diverged"):
        smooth(inner_lr=1e37).eval().adapt(batch.support_x, batch.support_y)
    with pytest.raises(DataError, match=r"label"):
        learner.adapt(batch.support_x, batch.support_y, way=2)
