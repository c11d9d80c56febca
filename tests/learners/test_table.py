"""Learners by name: the seed decides the first parameters, and what cannot be built is refused."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from kshot.backbones.mlp import MLP
from kshot.episodes.family import Classification, TaskFamily
from kshot.errors import ContractError, RecipeError
from kshot.learners.base_learners import SINGLE
from kshot.learners.ensemble import Ensemble
from kshot.learners.gradient.reptile import Reptile
from kshot.learners.learner import Learner
from kshot.learners.metric.pair_attention import PairAttention
from kshot.learners.metric.protonet import CosineProtoNet, ProtoNet
from kshot.learners.table import LEARNERS, LearnerSpec, spec_of
from kshot.saved.folder import load_folder, save


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
            r"no learner 'protonets'\. Did you mean 'protonet'\? The known ones are .*protonet, protonet_cosine",
        ),
        (LearnerSpec("protonet", "conv4", {"scale": 3.0}), r"learner 'protonet' has no argument 'scale'\. It has none\."),
        (LearnerSpec("protonet", "conv4", {"family": "regression"}), "learner 'protonet' has no argument 'family'"),
        (LearnerSpec("protonet_cosine", "conv4", {"scale": -3.0}), "must be a positive number; found -3.0"),
        (
            LearnerSpec("ridge", "conv4", {"scales": 3.0}),
            r"'ridge' has no argument 'scales'\. Did you mean 'scale'\? The known ones are regularisation, scale",
        ),
        (LearnerSpec("protonet_cosine", "conv4", {"scale": "big"}), "learner 'protonet_cosine': scale must be a number; found 'big'"),
        (LearnerSpec("protonet_cosine", "conv4", {"scale": True}), "learner 'protonet_cosine': scale must be a number; found True"),
        (LearnerSpec("finetune", "conv4", {"start": "best"}), "learner 'finetune': start must be one of 'means', 'zero'; found 'best'"),
        (LearnerSpec("pair_attention", "conv4", {"features": 8, "blocks": 2}), "blocks must be a list of whole numbers; found 2"),
        (
            LearnerSpec("maml", "conv4", {"features": 8, "inner_optimizer": 3}),
            "learner 'maml': inner_optimizer must be text in quotes or a table of settings; found 3",
        ),
        (
            LearnerSpec("maml", "conv4", {"features": 8, "layer_lr": {"head.*": "fast"}}),
            "learner 'maml': layer_lr must be a table of names, each with a number; found {'head.*': 'fast'}",
        ),
        (LearnerSpec("siamese", "conv4", {"features": -8}), "learner 'siamese': features must be at least 1; found -8"),
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
    "feat": {
        "features": 16,
        "heads": 2,
        "dropout": 0.25,
        "temperature": 2.0,
        "contrast": 0.5,
        "contrast_temperature": 3.0,
    },
    "matching_fce": {"features": 16, "processing_steps": 2},
    "ridge": {"regularisation": 3.0, "scale": 2.0},
    "in_context": {"features": 16, "reads": "table", "slots": 5, "width": 8, "layers": 2, "members": 3, "turned": False},
    "snail": {"features": 16, "slots": 5, "length": 6, "filters": 4, "keys": [4, 8, 8], "turned": False},
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
    "boil": {
        "features": 16,
        "outputs": 3,
        "inner_lr": 0.2,
        "inner_optimizer": "momentum",
        "layer_lr": {"backbone.*": 0.5},
        "inner_steps": 2,
        "adapt_steps": 4,
        "clip": 1.0,
        "inductive": "running",
        "mode": "flat",
    },
    "proto_maml": {
        "inner_lr": 0.2,
        "inner_optimizer": "momentum",
        "layer_lr": {"backbone.*": 0.5},
        "inner_steps": 2,
        "adapt_steps": 4,
        "clip": 1.0,
        "inductive": "running",
        "mode": "flat",
    },
    "meta_lstm": {"features": 16, "outputs": 3, "hidden": 5, "inner_steps": 2, "adapt_steps": 4, "inductive": "running"},
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


def test_what_a_learner_is_saved_with_stays_the_same() -> None:
    """As written before the constructors' arguments were kept by themselves: these are in the folders that people have."""
    network = nn.Linear(4, 16)
    assert Reptile(network, 16).arguments == {
        "features": 16, "outputs": 5, "inner_steps": 5, "inner_batch": 10, "adapt_steps": 50, "inner_lr": 0.001,
        "inner_optimizer": {"name": "adam", "beta1": 0.0}, "layer_lr": None,
    }  # fmt: skip
    assert PairAttention(network, features=16).arguments == {
        "features": 16, "width": 64, "blocks": [1, 1], "loss": "cross-entropy", "over_items": "log-mean-exp",
    }  # fmt: skip
    assert Ensemble(network, learner="ridge").arguments == {"learner": "ridge", "members": 1, "views": 1, "arguments": {}}
    assert ProtoNet(network).arguments == {}


def test_one_table_takes_a_new_learner() -> None:
    """Every learner can be a member of an ensemble, but for the ensemble itself."""
    assert {name for name in LEARNERS if name not in SINGLE} == {"ensemble"}, "a new learner's line belongs in SINGLE, in base_learners.py"


# A learner as a new developer writes it: nothing in its constructor keeps its arguments.


class Sharp(ProtoNet):
    """A prototypical network whose logits are multiplied by a constant."""

    def __init__(self, backbone: nn.Module, sharpness: float = 1.0, family: TaskFamily | None = None) -> None:
        super().__init__(backbone, family or Classification())
        self.sharpness = sharpness

    def predict(self, adapted: Any, query_features: Any) -> Tensor:
        return self.sharpness * super().predict(adapted, query_features)


class WithoutFamily(Sharp):
    def __init__(self, backbone: nn.Module, sharpness: float = 1.0) -> None:
        super().__init__(backbone, sharpness)


class Judging(Sharp):
    def __init__(self, backbone: nn.Module, judge: Callable[[Tensor], Tensor] = torch.tanh, family: TaskFamily | None = None) -> None:
        super().__init__(backbone, 1.0, family)
        self.judge = judge


@pytest.fixture
def sharp(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, made in (("sharp", Sharp), ("without_family", WithoutFamily), ("judging", Judging)):
        monkeypatch.setitem(LEARNERS, name, made)


def test_a_learner_that_keeps_nothing_by_hand_is_saved_with_its_arguments(sharp: None, tmp_path: Path) -> None:
    learner = Sharp(MLP(4, outputs=3), sharpness=7.0).eval()
    save(tmp_path, learner)
    again = load_folder(tmp_path).learner
    assert isinstance(again, Sharp)
    assert again.sharpness == 7.0
    task = torch.rand(1, 2, 3), torch.tensor([[0, 1]])
    queries = torch.rand(1, 5, 3)
    torch.testing.assert_close(again.predict(again.adapt(*task), queries), learner.predict(learner.adapt(*task), queries))


def test_a_constructor_without_family_is_refused_in_words(sharp: None) -> None:
    message = (
        "learner 'without_family' stands in the table, but its constructor takes no family; found the parameters backbone, sharpness. "
        "Give WithoutFamily.__init__ the parameter family"
    )
    with pytest.raises(ContractError, match=message):
        LearnerSpec("without_family", "mlp", {}, {"inputs": 4}).build()


def test_what_cannot_be_described_in_plain_values_has_no_spec(sharp: None) -> None:
    assert spec_of(Judging(MLP(4))) is None
    assert spec_of(Sharp(MLP(4))) is not None
