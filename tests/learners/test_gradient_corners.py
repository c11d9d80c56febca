"""Corners that all learners by gradient steps share: frozen parts, last steps, autocast, seeds, real targets, and places without a tape."""

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from kshot.backbones.conv4_strided import Conv4Strided
from kshot.episodes.episode import EpisodeBatch
from kshot.episodes.family import Regression
from kshot.errors import DataError, RecipeError
from kshot.learners.gradient.anil import ANIL
from kshot.learners.gradient.first_order_maml import FirstOrderMAML
from kshot.learners.gradient.imaml import IMAML
from kshot.learners.gradient.maml import MAML
from kshot.learners.gradient.maml_plus_plus import MAMLPlusPlus
from kshot.learners.gradient.meta_sgd import MetaSGD
from kshot.learners.gradient.proto_maml import ProtoMAML
from kshot.learners.gradient.reptile import Reptile
from kshot.learners.learned_updates.meta_lstm import MetaLSTM
from kshot.learners.learner import Learner

LEARNERS: dict[str, Callable[..., Any]] = {
    "maml": MAML, "first_order_maml": FirstOrderMAML, "anil": ANIL, "meta_sgd": MetaSGD, "maml++": MAMLPlusPlus, "imaml": IMAML,
    "reptile": Reptile, "meta_lstm": MetaLSTM, "proto_maml": lambda backbone, features, outputs, **own: ProtoMAML(backbone, **own),
}  # fmt: skip
Y = torch.tensor([[0, 1, 0, 1]])


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 4), nn.Tanh())


def made(name: str, backbone: nn.Module | None = None, **settings: Any) -> Learner:
    torch.manual_seed(1)
    learner: Learner = LEARNERS[name](network() if backbone is None else backbone, features=4, outputs=2, **settings)
    return learner


def items(*shape: int) -> Tensor:
    return torch.randn(1, 4, *shape, generator=torch.Generator().manual_seed(2))


@pytest.mark.parametrize("name", [name for name in LEARNERS if name != "proto_maml"])  # its head is made, and adapts
def test_a_learner_without_trainable_parameters_says_so(name: str) -> None:
    learner = made(name).requires_grad_(False)
    with pytest.raises(RecipeError, match=r"nothing adapts|is frozen"):
        learner.adapt(items(4), Y, way=2)


@pytest.mark.parametrize("name", LEARNERS)
def test_inference_mode_is_named(name: str) -> None:
    learner = made(name).eval()
    with torch.inference_mode(), pytest.raises(RecipeError, match=r"inside torch.inference_mode\(\). Use torch.no_grad\(\)"):
        learner.adapt(items(4), Y, way=2)
    with torch.no_grad():
        learner.adapt(items(4), Y, way=2)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in LEARNERS if name != "anil"])
def test_a_backbone_frozen_later_stays(name: str) -> None:
    learner = made(name).eval()
    backbone: Any = learner.backbone
    backbone.requires_grad_(False)
    adapted = learner.adapt(items(4), Y, way=2)
    assert not any(part.startswith(("backbone.", "0.")) for part in adapted.parameters)
    learner.train()
    learner.meta_backward(EpisodeBatch(items(4), Y, items(4), Y, 2, np.arange(1)), 1.0)
    assert all(value.grad is None for value in backbone.parameters())


@pytest.mark.parametrize("name", ["meta_sgd", "maml++"])
def test_learnt_rates_keep_to_their_parameters(name: str) -> None:
    backbone: Any = network()
    backbone[0].requires_grad_(False)
    learner: Any = made(name, backbone)
    rates = learner.learnt_rates() if name == "meta_sgd" else learner._learnt()
    own = next(rate for part, rate in rates.items() if part.endswith("2.weight"))
    backbone[2].requires_grad_(False)
    assert not any(rate is own for rate in (learner.learnt_rates() if name == "meta_sgd" else learner._learnt()).values())
    backbone[0].requires_grad_(True)
    with pytest.raises(RecipeError, match=r"0.weight' has no inner rate, because it was frozen when the learner was made"):
        learner.adapt(items(4), Y, way=2)


@pytest.mark.parametrize(("name", "settings"), [("maml", {"adapt_steps": 1}), ("anil", {"adapt_steps": 1}), ("maml++", {"inner_steps": 1})])
def test_the_last_step_is_looked_at(name: str, settings: dict[str, Any]) -> None:
    with pytest.raises(DataError, match="after 1 of 1 steps"):
        made(name, inner_lr=1e37, **settings).eval().adapt(items(4) * 100, Y, way=2)


def test_meta_sgd_names_its_own_settings() -> None:
    with pytest.raises(RecipeError, match=r"lowest must be a positive number; found 0.0"):
        made("meta_sgd", lowest=0.0)
    with pytest.raises(DataError, match="smaller lowest and highest"):
        made("meta_sgd", lowest=1e37, highest=1e37).eval().adapt(items(4) * 100, Y, way=2)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["rows", "maps", "strided"])
@pytest.mark.parametrize("running", [1.0, 1e6, float("inf")])
def test_support_statistics_know_nothing_of_the_running_ones(kind: str, running: float) -> None:
    torch.manual_seed(0)
    rows, maps = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4)), nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Flatten())
    backbone = {"rows": rows, "maps": maps, "strided": Conv4Strided(1, 4)}[kind]
    x = items(4) if kind == "rows" else items(1, 3, 3) if kind == "maps" else items(1, 16, 16)
    learner = made("maml", backbone).eval()
    expected = learner.predict(learner.adapt(x, Y, way=2), x)
    for norm in backbone.modules():
        if isinstance(norm, nn.modules.batchnorm._BatchNorm):
            assert norm.running_var is not None
            norm.running_var.fill_(running)
    assert torch.equal(learner.predict(learner.adapt(x, Y, way=2), x), expected)


@pytest.mark.slow
@pytest.mark.parametrize("name", LEARNERS)
def test_autocast_changes_neither_adaptation_nor_answers(name: str) -> None:
    learner = made(name).eval()
    answers = []
    for enabled in (False, True):
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            answers.append(learner.predict(learner.adapt(items(4), Y, way=2), items(4)))
    assert answers[1].dtype == torch.float32
    assert torch.equal(*answers)


@pytest.mark.slow
@pytest.mark.parametrize("name", LEARNERS)
def test_dropout_in_training_draws_from_the_generator(name: str) -> None:
    learner = made(name, nn.Sequential(network(), nn.Dropout(0.5))).train()
    batch = EpisodeBatch(items(4), Y, items(4), Y, 2, np.arange(1))
    losses = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        losses.append(float(copy.deepcopy(learner).meta_backward(batch, 1.0)))
    assert losses[0] == losses[1]
    assert losses[0] != losses[2]


@pytest.mark.parametrize("name", [name for name in LEARNERS if name != "proto_maml"])  # it classifies
def test_real_targets_of_another_form(name: str) -> None:
    learner = LEARNERS[name](network(), features=4, outputs=1, family=Regression())
    x, y = items(4), torch.randn(1, 4)
    with pytest.raises(RecipeError, match=r"real targets are \(B, S, T\); found \(1, 4\)"):
        learner.adapt(x, y)
    with pytest.raises((DataError, RecipeError), match=r"target|rows? of outputs"):
        learner.train().meta_backward(EpisodeBatch(x, y.unsqueeze(-1), x, torch.randn(1, 4, 2), None, np.arange(1)), 0.0)


@pytest.mark.parametrize("name", LEARNERS)
def test_labels_that_are_none(name: str) -> None:
    learner = made(name)
    with pytest.raises(DataError, match="labels must lie between 0 and 1; found 0 to 7"):
        learner.adapt(items(4), torch.tensor([[0, 1, 7, 0]]), way=2)
    with pytest.raises(DataError, match=r"labels must be int64; found torch.int32"):
        learner.adapt(items(4), Y.int(), way=2)


def test_one_item_has_no_statistics() -> None:
    learner = made("maml", nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4))).eval()
    with pytest.raises(DataError, match="needs two numbers a channel for its statistics"):
        learner.adapt(items(4)[:, :1], Y[:, :1], way=2)


def test_maml_plus_plus_tries_the_second_order_before_the_first_update() -> None:
    class Bag(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.bag = nn.EmbeddingBag(6, 4)

        def forward(self, x: Tensor) -> Tensor:
            return self.bag(x)  # type: ignore[no-any-return]

    words = torch.randint(6, (1, 4, 3), generator=torch.Generator().manual_seed(0))
    batch = EpisodeBatch(words, Y, words, Y, 2, np.arange(1))
    with pytest.raises(RecipeError, match="no second derivative"):
        made("maml++", Bag(), second_order_from=0.5).train().meta_backward(batch, 0.0)
    made("maml++", Bag(), second_order_from=1.0).train().meta_backward(batch, 0.0)
