"""The contract suite over every learner of kshot, on pictures and on mappings, and over one with real targets."""

from collections.abc import Callable
from inspect import signature
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from cases.batches import batch_of_curves
from cases.learners import GRADIENT, quickly
from kshot.backbones.conv4 import Conv4
from kshot.backbones.conv_block import ConvBlock
from kshot.data.inputs import Inputs
from kshot.episodes.episode import EpisodeBatch
from kshot.episodes.family import Regression, TaskFamily
from kshot.learners.contract.check import ALWAYS, CLASSIFICATION, EPISODIC, FIRST, INDUCTIVE, ITEMS, UNORDERED, check_learner
from kshot.learners.learner import Learner, backward_of_query_loss
from kshot.learners.table import LEARNERS

EVERY_RULE = [*FIRST, *ALWAYS, *CLASSIFICATION, *UNORDERED, *INDUCTIVE, *EPISODIC]


class TwoBlocks(nn.Module):
    """The first half of Conv4 and the mean of its maps: pictures (M, 1, H, W) → (M, 8), at half the price of each gradient step."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.Sequential(ConvBlock(1, 8), ConvBlock(8, 8))

    def forward(self, x: Tensor) -> Tensor:
        features: Tensor = self.blocks(x).mean((2, 3))
        return features


class TwoEyes(nn.Module):
    """Reads a mapping: a vector and a few tokens, as a picture and its caption would be."""

    def __init__(self) -> None:
        super().__init__()
        self.vector = nn.Linear(6, 8)
        self.tokens = nn.Embedding(10, 8)  # an EmbeddingBag has no second derivative, which MAML needs

    def forward(self, x: Inputs) -> Tensor:
        assert not isinstance(x, Tensor)
        features: Tensor = torch.tanh(self.vector(x["vector"])) + self.tokens(x["tokens"]).mean(-2)
        return features


def batch_of_mappings() -> EpisodeBatch:
    generator = torch.Generator().manual_seed(0)
    y = torch.arange(4).repeat(3, 3)

    def items(y: Tensor) -> Inputs:
        noise = torch.randn(*y.shape, 6, generator=generator)
        return {"vector": noise + y[..., None], "tokens": torch.randint(10, (*y.shape, 5), generator=generator)}

    return EpisodeBatch(items(y[:, :8]), y[:, :8], items(y), y, 4, np.arange(3))


CASES: dict[str, tuple[Callable[[], nn.Module], Callable[[], EpisodeBatch | None]]] = {
    "pictures": (lambda: Conv4(width=8), lambda: None),
    "pictures, two blocks": (TwoBlocks, lambda: None),
    "mappings": (TwoEyes, batch_of_mappings),
}


ARGUMENTS: dict[str, dict[str, Any]] = {
    "ensemble": {"learner": "protonet", "members": 2},
    "feat": {"features": 8},
    "matching_fce": {"features": 8},
    "finetune": {"most_steps": 2},
    "imaml": {"features": 8, "steps": 2, "iterations": 2},
    "local_matching": {"features": 8},
    "pair_attention": {"features": 8, "width": 16},
    "relation": {"features": 8, "width": 8},
    "maml": {"features": 8, "adapt_steps": 2},
    "first_order_maml": {"features": 8, "adapt_steps": 2},
    "anil": {"features": 8, "adapt_steps": 2},
    "boil": {"features": 8, "adapt_steps": 2},
    "proto_maml": {"inner_steps": 2, "adapt_steps": 2},
    "meta_sgd": {"features": 8},
    "maml++": {"features": 8, "inner_steps": 2},
    "reptile": {"features": 8, "inner_steps": 2, "adapt_steps": 2},
    "siamese": {"features": 8},
    "in_context": {"features": 8, "slots": 6, "width": 8, "layers": 2, "members": 2},
    "snail": {"features": 8, "slots": 6, "length": 12, "filters": 4, "keys": [4, 6, 8]},
    "meta_lstm": {"features": 8, "hidden": 4, "inner_steps": 2, "adapt_steps": 2},
    "mann": {"features": 8, "hidden": 12, "slots": 16, "width": 6},
    "lstm_control": {"features": 8, "hidden": 12},
    "simple_shot": {"features": 8},
}
"""Every backbone gives 8 features, which these learners are told."""
SCHEDULES = {"pictures": 5, "mappings": 4}
"""What learners with a head of so many outputs are told."""


@pytest.mark.parametrize("case", [pytest.param("pictures", marks=pytest.mark.slow), "mappings"])
@pytest.mark.parametrize("name", quickly(LEARNERS))
def test_every_learner_keeps_every_rule(name: str, case: str) -> None:
    torch.manual_seed(0)
    smaller = case == "pictures" and name in GRADIENT and name != "maml"
    backbone, batch = CASES["pictures, two blocks" if smaller else case]
    head = {"outputs": SCHEDULES[case]} if "outputs" in signature(LEARNERS[name]).parameters else {}
    learner = LEARNERS[name](backbone(), **ARGUMENTS.get(name, {}), **head)
    held = check_learner(learner, batch())
    of_training = {"episodes": EPISODIC, "items": ITEMS, "none": {}}[learner.training_source]
    ordered = {*UNORDERED} if learner.depends_on_support_order else set()
    assert sorted(held) == sorted({*EVERY_RULE} - {*EPISODIC} - ordered | {*of_training})


# Real targets.


class Examples(NamedTuple):
    """What kernel regression learns of a task: its support items (B, S, D) and their targets (B, S, T)."""

    features: Tensor
    targets: Tensor


class KernelRegression(Learner):
    """Nadaraya-Watson: the mean of the targets, weighted by exp(-‖q - x‖² / h²) with a learnt bandwidth h."""

    def __init__(self, backbone: nn.Module, family: TaskFamily) -> None:
        super().__init__()
        self.backbone = backbone
        self.log_bandwidth = nn.Parameter(torch.zeros(()))
        self.family = family

    def encode(self, x: Inputs) -> Tensor:
        features: Tensor = self.backbone(x)
        return features

    def adapt(self, support_features: Inputs, support_y: Tensor, *, way: int | None = None) -> Examples:
        assert isinstance(support_features, Tensor)
        return Examples(support_features if self.training else support_features.detach(), support_y)

    def predict(self, adapted: Examples, query_features: Inputs) -> Tensor:
        assert isinstance(query_features, Tensor)
        scaled = torch.cdist(query_features, adapted.features).square() * (-2 * self.log_bandwidth).exp()  # (B, Q, S)
        return (-scaled).softmax(-1) @ adapted.targets  # (B, Q, T)

    def meta_backward(self, batch: EpisodeBatch, progress: float) -> Tensor:
        return backward_of_query_loss(self, batch)


def test_a_learner_of_real_targets_keeps_every_rule_that_applies() -> None:
    held = check_learner(KernelRegression(nn.Identity(), Regression()), batch_of_curves(dtype=torch.float32))
    assert sorted(held) == sorted({*EVERY_RULE} - {*CLASSIFICATION})
