"""Learners by name: the seed decides the first parameters, and what cannot be built is refused."""

from typing import Any

import pytest
import torch
from torch import nn

from kshot.episodes.family import Classification
from kshot.errors import RecipeError
from kshot.learners.learner import Learner
from kshot.learners.metric.protonet import CosineProtoNet, ProtoNet
from kshot.learners.table import LEARNERS, LearnerSpec, spec_of


@pytest.mark.parametrize("name", list(LEARNERS))
def test_every_learner_is_built_by_name(name: str) -> None:
    learner = LearnerSpec(name, "mlp", OWN_ARGUMENTS.get(name, {}), {"inputs": 4}).build()
    assert isinstance(learner, Learner)
    assert type(learner) is LEARNERS[name]
    assert learner.family == Classification()
    assert learner.training


def test_the_seed_decides_the_first_parameters_and_the_callers_generator_stays() -> None:
    spec = LearnerSpec("protonet", "conv4", backbone_arguments={"width": 4})
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first = spec.build(seed=3).state_dict()
    assert torch.equal(before, torch.get_rng_state())
    torch.manual_seed(2)
    again, other = spec.build(seed=3).state_dict(), spec.build(seed=4).state_dict()
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["backbone.blocks.0.conv.weight"], other["backbone.blocks.0.conv.weight"])


def test_arguments_reach_the_constructor() -> None:
    learner = LearnerSpec("protonet_cosine", "mlp", {"scale": 5.0}, {"inputs": 4}).build()
    assert isinstance(learner, CosineProtoNet)
    assert float(learner.log_scale.exp().detach()) == pytest.approx(5.0)
    assert isinstance(LearnerSpec("protonet", "mlp", backbone_arguments={"inputs": 4}).build(), ProtoNet)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (
            LearnerSpec("protonets", "conv4"),
            r"no learner 'protonets'\. Did you mean 'protonet'\? The known ones are protonet, protonet_cosine",
        ),
        (LearnerSpec("protonet", "conv4", {"scale": 3.0}), r"learner 'protonet' has no argument 'scale'\. It has none\."),
        (LearnerSpec("protonet", "conv4", {"family": "regression"}), "learner 'protonet' has no argument 'family'"),
        (LearnerSpec("protonet_cosine", "conv4", {"scale": -3.0}), "must be a positive number; found -3.0"),
        (
            LearnerSpec("ridge", "conv4", {"scales": 3.0}),
            r"'ridge' has no argument 'scales'\. Did you mean 'scale'\? The known ones are regularisation, scale",
        ),
        (LearnerSpec("protonet_cosine", "conv4", {"scale": "big"}), "'protonet_cosine' cannot be built with"),
        (LearnerSpec("protonet", "vit"), "no backbone 'vit'"),
        (LearnerSpec("protonet", "conv4", family="ranking"), "no task family 'ranking'"),
    ],
)
def test_what_cannot_be_built_is_refused(spec: LearnerSpec, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        spec.build()


OWN_ARGUMENTS: dict[str, dict[str, Any]] = {
    "protonet_cosine": {"scale": 3.0},
    "matching_scaled": {"scale": 3.0},
    "matching_fce": {"features": 16, "processing_steps": 2},
    "ridge": {"regularisation": 3.0, "scale": 2.0},
    "snail": {"features": 16, "slots": 5, "length": 6, "filters": 4, "keys": [4, 8, 8]},
    "simple_shot": {"features": 16},
    "pair_attention": {"features": 16, "width": 32, "blocks": [0, 1], "loss": "pairs", "over_items": "max"},
    "siamese": {"features": 16, "odds": 5.0},
    "mann": {
        "features": 16,
        "outputs": 4,
        "characters": 2,
        "hidden": 12,
        "heads": 2,
        "slots": 9,
        "width": 6,
        "usage_decay": 0.9,
    },
    "lstm_control": {"features": 16, "outputs": 4, "characters": 2, "hidden": 12},
    "maml": {
        "features": 16,
        "outputs": 3,
        "inner_lr": 0.2,
        "inner_optimizer": "momentum",
        "layer_lr": {"head.*": 0.5},
        "inner_steps": 2,
        "adapt_steps": 4,
        "clip": 1.0,
        "inductive": "running",
        "mode": "flat",
    },
    "first_order_maml": {
        "features": 16,
        "outputs": 3,
        "inner_lr": 0.2,
        "inner_optimizer": "momentum",
        "layer_lr": {"head.*": 0.5},
        "inner_steps": 2,
        "adapt_steps": 4,
        "clip": 1.0,
        "inductive": "running",
    },
    "anil": {
        "features": 16,
        "outputs": 3,
        "inner_lr": 0.2,
        "inner_optimizer": "momentum",
        "layer_lr": {"head.*": 0.5},
        "inner_steps": 2,
        "adapt_steps": 4,
        "clip": 1.0,
        "inductive": "running",
        "mode": "flat",
    },
    "meta_sgd": {
        "features": 16,
        "outputs": 3,
        "lowest": 0.01,
        "highest": 0.2,
        "inner_optimizer": {"name": "adam", "beta1": 0.5},
        "inner_steps": 2,
        "adapt_steps": 4,
        "clip": 1.0,
        "inductive": "running",
        "mode": "flat",
    },
    "reptile": {
        "features": 16,
        "outputs": 3,
        "inner_steps": 2,
        "inner_batch": 4,
        "adapt_steps": 6,
        "inner_lr": 0.01,
        "inner_optimizer": "sgd",
        "layer_lr": {"head.*": 0.5},
    },
    "imaml": {
        "features": 16,
        "outputs": 3,
        "steps": 2,
        "iterations": 4,
        "regularisation": 3.0,
        "inner_lr": 0.2,
        "inner_optimizer": "momentum",
        "layer_lr": {"head.*": 0.5},
        "damping": 1.5,
    },
    "maml++": {
        "features": 16,
        "outputs": 3,
        "inner_lr": 0.2,
        "inner_optimizer": "rmsprop",
        "inner_steps": 2,
        "multi_step_until": 0.3,
        "second_order_from": 0.4,
        "clip": 1.0,
    },
    "ensemble": {"learner": "protonet", "members": 2, "views": 1, "arguments": {}},
    "local_matching": {"features": 16, "sharpness": 5.0, "nearness": 1.0, "scale": 3.0, "over_items": "max"},
    "relation": {"features": 16, "width": 4, "hidden": 3, "loss": "cross-entropy"},
    "baseline": {"regularisation": 0.1},
    "baseline++": {"training_scale": 5.0, "scale": 3.0},
    "finetune": {"steps": 3, "most_steps": 7, "lr": 0.01, "start": "zero"},
}


@pytest.mark.parametrize("learner", list(LEARNERS))
def test_a_learner_of_the_table_knows_how_it_was_built(learner: str) -> None:
    arguments = OWN_ARGUMENTS.get(learner, {})
    for backbone, its_arguments in (
        ("conv4", {"channels": 3, "width": 16}),
        ("mlp", {"inputs": 4, "hidden": [3], "outputs": 16}),
        ("resnet12", {"channels": 1, "widths": [4, 4, 4, 16]}),
    ):
        spec = LearnerSpec(learner, backbone, arguments, its_arguments)
        assert spec_of(spec.build()) == spec


def test_another_learner_or_backbone_has_no_spec() -> None:
    assert spec_of(LEARNERS["protonet"](nn.Flatten())) is None
