"""Frozen parts of a backbone: in training and in the inner loop they compute what they computed when they were frozen."""

import copy
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from cases.learners import FEATURES, GRADIENT, TRAINED, body, made, quickly, tasks, training_data
from kshot.backbones.conv4 import Conv4
from kshot.backbones.conv4_strided import Conv4Strided
from kshot.backbones.resnet12 import ResNet12
from kshot.learners.backbone_form import frozen_parts
from kshot.learners.gradient.maml import MAML
from kshot.learners.gradient.maml_plus_plus import MAMLPlusPlus
from kshot.learners.learner import Learner, Trainable
from kshot.learners.metric.protonet import ProtoNet
from kshot.learners.transfer.baseline import Baseline


class Noticing(nn.Module):
    """Counts the calls in training mode."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[bool] = []

    def forward(self, x: Tensor) -> Tensor:
        self.seen.append(self.training)
        return x


class Unused(nn.Module):
    """Holds a module, whose parameters keep their places, and gives what it is given."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, x: Tensor) -> Tensor:
        return x


def partly_frozen() -> nn.Module:
    """A frozen body, with dropout and normalisation that have no parameters, and a trainable layer."""
    bare = nn.BatchNorm1d(FEATURES, affine=False)
    frozen = nn.Sequential(nn.Linear(4, FEATURES), nn.BatchNorm1d(FEATURES), nn.Tanh(), nn.Dropout(0.5), bare)
    frozen.requires_grad_(False)
    with torch.no_grad():
        for norm in (frozen[1], bare):
            norm.running_mean.uniform_(-1, 1)
            norm.running_var.uniform_(0.5, 2)
    return nn.Sequential(frozen, nn.Linear(FEATURES, FEATURES))


def trained_once(learner: Learner) -> Trainable:
    batch = training_data(learner, tasks())
    trained = learner.for_training(batch).train()
    torch.manual_seed(3)
    trained.meta_backward(batch, 0.5)
    return trained


def state_of(module: nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in module.state_dict().items()}


def changed(before: dict[str, Tensor], module: nn.Module) -> list[str]:
    return [name for name, value in module.state_dict().items() if not torch.equal(before[name], value)]


@pytest.mark.parametrize("name", quickly(TRAINED))
def test_a_frozen_body_stays_and_the_rest_is_trained(name: str) -> None:
    learner = made(name, partly_frozen)
    frozen = learner.get_submodule("backbone.0")
    before = state_of(frozen)
    trained_once(learner)
    assert changed(before, frozen) == []
    assert not any(part.training for part in frozen.modules())
    assert all(value.grad is None for value in frozen.parameters())
    assert any(value.grad is not None for value in learner.get_submodule("backbone.1").parameters())
    assert learner.training


@pytest.mark.parametrize("name", quickly(TRAINED))
def test_the_same_body_moves_where_it_is_not_frozen(name: str) -> None:
    learner = made(name)
    before = state_of(learner)
    trained_once(learner)
    moved = changed(before, learner)
    if name not in ("reptile", "imaml"):  # which neither use running statistics nor keep them
        assert moved
        assert all("running" in key or key.endswith(("num_batches_tracked", "centre", "batches")) for key in moved)
    assert learner.get_submodule("backbone.1").training


@pytest.mark.parametrize("name", quickly(GRADIENT))
def test_training_sees_a_frozen_body_as_a_fixed_function(name: str) -> None:
    """Its gradients are those of a learner that is given the body's features and no body."""
    whole = made(name, partly_frozen).double()
    frozen = whole.get_submodule("backbone.0").eval()
    without = copy.deepcopy(whole)
    without.get_submodule("backbone").register_module("0", Unused(without.get_submodule("backbone.0")))
    batch = tasks(torch.float64)
    support, query = (frozen(torch.as_tensor(x).flatten(0, 1)).detach().unflatten(0, (2, 6)) for x in (batch.support_x, batch.query_x))
    given = replace(batch, support_x=support, query_x=query)
    losses = []
    for learner, asked in ((whole, batch), (without, given)):
        learner.train()
        torch.manual_seed(0)
        losses.append(learner.meta_backward(asked, 0.5))
    torch.testing.assert_close(losses[0], losses[1])
    slopes = {key: value.grad for key, value in without.named_parameters() if value.grad is not None}
    assert slopes
    for key, slope in slopes.items():
        torch.testing.assert_close(whole.get_parameter(key).grad, slope)
    whole.eval()
    without.eval()
    answers = [
        learner.predict(learner.adapt(asked.support_x, asked.support_y, way=3), asked.query_x)
        for learner, asked in ((whole, batch), (without, given))
    ]
    torch.testing.assert_close(answers[0], answers[1])


@pytest.mark.parametrize("name", quickly(GRADIENT))
def test_freezing_normalisation_alone_keeps_its_statistics_in_the_inner_loop(name: str) -> None:
    learner = made(name)
    norm = learner.get_submodule("backbone.1")
    norm.requires_grad_(False)
    before = state_of(learner)
    trained_once(learner)
    assert [key for key in changed(before, learner) if "running" in key] == []
    if isinstance(learner, MAMLPlusPlus):
        assert all(value.grad is None for value in learner.norms)


def test_a_norm_is_used_as_it_is_when_all_of_it_is_frozen_by_hand() -> None:
    """One step of MAML on one number: normalised by the frozen mean 2 and variance 4, not by that of the items."""
    norm = nn.BatchNorm1d(1, eps=0.0).requires_grad_(False)
    assert norm.running_mean is not None
    assert norm.running_var is not None
    norm.running_mean.fill_(2.0)
    norm.running_var.fill_(4.0)
    learner = MAML(nn.Sequential(norm), features=1, outputs=2, inner_lr=1.0, adapt_steps=1).double().eval()
    nn.init.zeros_(learner.head.weight)
    nn.init.zeros_(learner.head.bias)
    x = torch.tensor([[[4.0], [6.0]]], dtype=torch.float64)  # normalised: 1 and 2
    adapted = learner.adapt(x, torch.tensor([[0, 1]]), way=2)
    # The slope of the first weight is the mean of (1/2 - 1) · 1 and 1/2 · 2, that of its bias the mean of -1/2 and 1/2.
    assert adapted.parameters["head.weight"].flatten().tolist() == pytest.approx([-0.25, 0.25])
    assert adapted.parameters["head.bias"].flatten().tolist() == pytest.approx([0.0, 0.0])
    assert learner.predict(adapted, x)[0, :, 0].tolist() == pytest.approx([-0.25, -0.5])


@pytest.mark.slow
@pytest.mark.parametrize("network", [lambda: Conv4(width=4), lambda: Conv4Strided(width=4), lambda: ResNet12(1, (4, 4, 4, 4))])
def test_the_package_s_own_networks_can_be_frozen(network: Callable[[], nn.Module]) -> None:
    torch.manual_seed(0)
    backbone = nn.Sequential(network().requires_grad_(False).eval(), nn.LazyLinear(4))
    backbone.eval()(torch.rand(1, 1, 28, 28))
    batch = tasks(item=(1, 28, 28))
    for learner in (ProtoNet(backbone), MAML(backbone, features=4, outputs=3)):
        before = state_of(backbone[0])
        trained_once_on = learner.train()
        trained_once_on.meta_backward(batch, 0.0)
        assert changed(before, backbone[0]) == []


def test_a_part_without_parameters_belongs_to_what_holds_it() -> None:
    frozen = nn.Sequential(nn.Linear(2, 2).requires_grad_(False), nn.Dropout(), nn.BatchNorm1d(2, affine=False))
    free = nn.Sequential(nn.Linear(2, 2), nn.Dropout())
    both = nn.Sequential(frozen, free, nn.Dropout())
    assert frozen_parts(both) == [frozen]
    assert frozen_parts(nn.Sequential(nn.Dropout(), nn.BatchNorm1d(2, affine=False))) == []
    assert frozen_parts(free) == []
    mixed = nn.Sequential(nn.Linear(2, 2).requires_grad_(False), nn.BatchNorm1d(2), nn.Dropout())
    assert frozen_parts(mixed) == [mixed[0]]
    mixed[1].weight.requires_grad_(False)  # its shift is still learnt
    assert frozen_parts(mixed) == [mixed[0]]
    mixed[1].bias.requires_grad_(False)
    assert frozen_parts(nn.Sequential(mixed, free)) == [mixed]


def test_what_is_frozen_may_change_between_updates() -> None:
    notice = Noticing()
    learner = ProtoNet(nn.Sequential(nn.Sequential(nn.Linear(4, 4), notice), nn.Linear(4, 4)))
    inner = learner.get_submodule("backbone.0")
    batch = tasks()
    for needs in (True, False, True):
        inner.requires_grad_(needs)
        learner.train().meta_backward(batch, 0.0)
    assert notice.seen == [True, False, True]


def test_a_learner_inside_its_training_keeps_its_frozen_body() -> None:
    learner = Baseline(partly_frozen())
    trained = learner.for_training(training_data(learner, tasks())).train()
    assert not learner.get_submodule("backbone.0").training
    assert trained.get_submodule("head").training
    assert not any(part.training for part in trained.eval().modules())


def test_a_body_s_own_mode_returns_with_its_gradient() -> None:
    learner = ProtoNet(body())
    learner.backbone.requires_grad_(False)
    assert not learner.train().backbone.training
    learner.backbone.requires_grad_(True)
    assert learner.train().backbone.training
