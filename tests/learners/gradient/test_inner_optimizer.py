"""Inner optimisers by name in every learner by gradient steps: they learn, they are saved, they are resumed; what is refused."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from torch import Tensor

from kshot.episodes.episode import EpisodeBatch
from kshot.errors import RecipeError, SavedError
from kshot.learners.gradient.maml import MAML
from kshot.learners.learner import Learner
from kshot.learners.table import LearnerSpec
from kshot.meta_train.state_file import restore, save_state
from kshot.saved.folder import save
from kshot.saved.shipped import load
from kshot.workflows.experiment import prepare
from kshot.workflows.recipe import read_recipe

LEARNERS = ("maml", "first_order_maml", "anil", "meta_sgd", "maml++", "imaml", "reptile")
OPTIMIZERS: dict[str, Any] = {
    "sgd": "sgd",
    "momentum": {"name": "momentum", "momentum": 0.5},
    "rmsprop": "rmsprop",
    "adam": "adam",
    "adam without means": {"name": "adam", "beta1": 0.0},
}


def built(name: str, **settings: Any) -> Learner:
    return LearnerSpec(name, "mlp", {"features": 6, "outputs": 3, **settings}, {"inputs": 4, "hidden": [6], "outputs": 6}).build(1)


def batch_of(B: int = 2) -> EpisodeBatch:
    generator = torch.Generator().manual_seed(0)
    y = torch.arange(3).repeat(2).expand(B, 6)
    centres = torch.randn(B, 3, 4, generator=generator)
    x = centres[:, torch.arange(3).repeat(2)] + 0.1 * torch.randn(B, 6, 4, generator=generator)
    return EpisodeBatch(x, y, x.flip(1), y.flip(1), 3, np.arange(B))


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", list(OPTIMIZERS))
@pytest.mark.parametrize("name", LEARNERS)
def test_every_learner_takes_every_optimiser(name: str, optimizer: str, tmp_path: Path) -> None:
    rate: dict[str, Any] = {"lowest": 0.01, "highest": 0.02} if name == "meta_sgd" else {"inner_lr": 0.02}
    learner, batch = built(name, inner_optimizer=OPTIMIZERS[optimizer], **rate), batch_of()
    losses = learner.meta_backward(batch, 0.5)
    assert losses.isfinite().all()
    gradients = [value.grad for value in learner.parameters() if value.requires_grad]
    assert any(value is not None and bool(value.abs().sum() > 0) for value in gradients)
    assert all(value is None or bool(value.isfinite().all()) for value in gradients)
    assert isinstance(batch.support_x, Tensor)
    learner.eval()
    adapted = learner.adapt(batch.support_x, batch.support_y, way=3)
    save(tmp_path / "learner", learner)
    again = load(tmp_path / "learner").eval()
    assert again.arguments["inner_optimizer"] == OPTIMIZERS[optimizer]
    answers = [kept.predict(kept.adapt(batch.support_x, batch.support_y, way=3), batch.query_x) for kept in (learner, again)]
    assert torch.equal(answers[0], learner.predict(adapted, batch.query_x))
    assert torch.equal(*answers)


def test_adam_takes_steps_of_the_rate_in_maml() -> None:
    learner, batch = built("maml", inner_optimizer="adam", inner_lr=0.01, adapt_steps=1), batch_of()
    assert isinstance(batch.support_x, Tensor)
    assert isinstance(learner, MAML)
    adapted = learner.adapt(batch.support_x, batch.support_y, way=3)
    moved = (adapted.parameters["head.weight"] - learner.head.weight.detach()).abs()
    torch.testing.assert_close(moved, torch.full_like(moved, 0.01), rtol=1e-3, atol=0)


def test_rates_of_layers_hold_in_the_steps() -> None:
    learner, batch = built("maml", layer_lr={"backbone.*": 1e-9, "head.*": 0.5}, adapt_steps=1), batch_of()
    assert isinstance(batch.support_x, Tensor)
    adapted = learner.adapt(batch.support_x, batch.support_y, way=3)
    own = dict(learner.named_parameters())
    moved = {name: float((value - own[name].detach()).abs().max()) for name, value in adapted.parameters.items()}
    assert max(size for name, size in moved.items() if name.startswith("backbone.")) < 1e-7
    assert moved["head.weight"] > 1e-3


@pytest.mark.parametrize("name", ["maml", "first_order_maml", "anil", "imaml", "reptile"])
def test_a_pattern_that_matches_nothing_is_refused(name: str) -> None:
    with pytest.raises(RecipeError, match=r"layer_lr names 'tail\.\*', which matches no parameter that adapts"):
        built(name, layer_lr={"tail.*": 0.1})


@pytest.mark.parametrize("name", LEARNERS)
def test_an_optimiser_that_does_not_exist_is_refused(name: str) -> None:
    with pytest.raises(RecipeError, match=r"there is no inner optimizer 'adem'\. Did you mean 'adam'\?"):
        built(name, inner_optimizer="adem")


def reptile(tmp_path: Path, optimizer: str) -> Any:
    settings = (
        "training.updates=4", "training.save_every=2", "validation.episodes=2", "validation.every=4", "episodes.tasks=2",
        "backbone.width=4", f"learner.inner_optimizer={optimizer}", "learner.adapt_steps=2",
    )  # fmt: skip
    return prepare(read_recipe("omniglot-reptile", settings), tmp_path / "run", device="cpu")


@pytest.mark.slow
def test_what_reptile_s_optimiser_remembers_is_in_the_state_and_another_shape_is_refused(tmp_path: Path) -> None:
    ready, file = reptile(tmp_path, "momentum"), tmp_path / "state.safetensors"
    learner = ready.state.learner
    learner.train().meta_backward(ready.stream.batches(0)[0], 0.0)
    velocity = learner.get_buffer("velocity_0").clone()
    assert float(velocity.abs().max()) > 0
    save_state(file, ready.state, {})
    fresh = reptile(tmp_path, "momentum").state
    restore(file, fresh, {})
    assert torch.equal(fresh.learner.get_buffer("velocity_0"), velocity)
    data = file.read_bytes()
    tensors = safetensors.torch.load(data)
    header = json.loads(json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])["__metadata__"]["kshot"])
    header["checksum"] = ""
    tensors["learner/velocity_0"] = torch.zeros(7)
    file.write_bytes(safetensors.torch.save(tensors, {"kshot": json.dumps(header)}))
    with pytest.raises(SavedError, match="does not fit the learner that its recipe builds today: velocity_0"):
        restore(file, reptile(tmp_path, "momentum").state, {})
    with pytest.raises(SavedError, match=r"does not fit the learner .*means_0"):
        restore(file, reptile(tmp_path, "adam").state, {})
