"""States that nobody should go on from: each is refused before the new state is changed, with the reason."""

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from torch import Tensor

from kshot.backbones.mlp import MLP
from kshot.episodes.episode import EpisodeBatch
from kshot.errors import SavedError
from kshot.learners.metric.protonet import ProtoNet
from kshot.meta_train.optimization import Optimization
from kshot.meta_train.state import TrainState, on_cpu
from kshot.meta_train.state_file import read_state, restore, save_state
from kshot.meta_train.step import meta_step

RECIPE = {"seed": 3}
NAN = float("nan")


def fresh(optimizer: Any = "adam") -> TrainState:
    torch.manual_seed(0)
    learner = ProtoNet(MLP(4, [3], 2))
    return TrainState(learner, Optimization(optimizer).build(learner.parameters()))


def trained(optimizer: Any = "adam") -> TrainState:
    state = fresh(optimizer)
    random, y = torch.Generator().manual_seed(0), torch.arange(3).unsqueeze(0)
    batch = EpisodeBatch(torch.rand(1, 3, 4, generator=random), y, torch.rand(1, 3, 4, generator=random), y, 3, np.array([0]))
    for update in range(3):
        meta_step(state.learner.train(), state.optimizer, [batch], optimization=Optimization(optimizer), update=update, updates=9)
        state.update += 1
    state.best, state.best_score, state.best_update = on_cpu(state.learner.state_dict()), 0.5, 2
    state.history = [{"update": 2, "mean": 0.5, "interval": 0.1, "loss": 1.0}]
    return state


def change_file(file: Path, change: Callable[[dict[str, Any], dict[str, Tensor]], Any]) -> None:
    header, tensors = read_state(file)
    del header["checksum"]  # as earlier versions wrote it, and whoever crafts one
    change(header, tensors)
    file.write_bytes(safetensors.torch.save(tensors, {"kshot": json.dumps(header)}))


def without(beginning: str) -> Callable[[dict[str, Any], dict[str, Tensor]], None]:
    def drop(_: dict[str, Any], tensors: dict[str, Tensor]) -> None:
        for name in [name for name in tensors if name.startswith(beginning)]:
            del tensors[name]

    return drop


WEIGHT = "layers.0.weight"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda h, t: h.update(format=0), "formats are 1 and more; found 0"),
        (lambda h, t: h.update(format=-1), "formats are 1 and more; found -1"),
        (lambda h, t: h.update(update=-1), "update must be at least 0; found -1"),
        (lambda h, t: h.update(update="3"), "update must be a whole number; found '3'"),
        (lambda h, t: h.update(update=10**30), "update must be a whole number"),
        (lambda h, t: h.update(waited=1.5), "waited must be a whole number"),
        (lambda h, t: h.update(stopped=1), "stopped must be true or false"),
        (lambda h, t: h.update(recipe=[]), "recipe must be a table"),
        (lambda h, t: h.update(environment=None), "environment must be a table"),
        (lambda h, t: h.update(best_score=NAN), "best_score must be a number; found nan"),
        (lambda h, t: h.update(history={}), "history must be a list"),
        (lambda h, t: h["history"].append({"update": 3}), r"history\[1\]\.mean, .* is missing"),
        (lambda h, t: h["history"][0].update(mean="x"), "the mean of a validation must be a number; found 'x'"),
        (lambda h, t: h["history"][0].update(update=9), "the validations do not follow each other"),
        (lambda h, t: h["history"].append(h["history"][0]), "the validations do not follow each other"),
        (lambda h, t: h.update(optimizer=[]), "optimizer must be a table"),
        (lambda h, t: h.update(optimizer={"99": {}}), "the optimiser has 4 parameters; there is no parameter '99'"),
        (lambda h, t: h.update(optimizer={"-1": {}}), "there is no parameter '-1'"),
        (lambda h, t: h.update(optimizer={"x": {"step": 1}}), "there is no parameter 'x'"),
        (lambda h, t: t.update({"optimizer/7/step": torch.tensor(1.0)}), "there is no parameter '7'"),
        (without("optimizer/"), r"after 3 updates, what the optimiser keeps \(exp_avg, exp_avg_sq, step\) is missing"),
        (without("optimizer/0/exp_avg"), r"parameter 0 of the optimiser needs exp_avg, exp_avg_sq, step; found \['step'\]"),
        (lambda h, t: t.update({"optimizer/0/exp_avg": torch.zeros(5)}), r"exp_avg has the shape \(5,\) for a parameter of \(3, 4\)"),
        (lambda h, t: t.update({"optimizer/0/exp_avg": torch.tensor(1.0)}), r"optimizer/0/exp_avg is not a tensor of the shape \(3, 4\)"),
        (lambda h, t: t["optimizer/0/exp_avg"].fill_(NAN), "optimizer/0/exp_avg holds values that are no real numbers or not finite"),
        (
            lambda h, t: t.update({"optimizer/0/exp_avg": t["optimizer/0/exp_avg"].to(torch.complex64)}),
            "optimizer/0/exp_avg holds values that are no real numbers or not finite",
        ),
        (lambda h, t: t["optimizer/0/exp_avg_sq"].fill_(-1), "optimizer/0/exp_avg_sq holds a negative mean of squares"),
        (lambda h, t: t["optimizer/0/step"].fill_(-4), "optimizer/0/step must be from 0 to 3; found -4"),
        (lambda h, t: t.update({"optimizer/0/odd": torch.zeros(3, 4)}), "parameter 0 of the optimiser needs"),
        (lambda h, t: t[f"learner/backbone.{WEIGHT}"].fill_(NAN), rf"learner/backbone\.{WEIGHT} holds 12 of 12 values that are not finite"),
        (lambda h, t: t[f"best/backbone.{WEIGHT}"].fill_(NAN), rf"best/backbone\.{WEIGHT} holds 12 of 12 values that are not finite"),
        (lambda h, t: t.update({f"best/backbone.{WEIGHT}": torch.zeros(5, 4)}), r"its best state does not fit .*float32 \(5, 4\)"),
        (without("best/"), "its best state does not fit the learner .* is missing from the state"),
        (without("learner/"), "it does not fit the learner"),
    ],
)  # fmt: skip
def test_a_state_that_does_not_hold_together_is_refused(
    tmp_path: Path, change: Callable[[dict[str, Any], dict[str, Tensor]], Any], message: str
) -> None:
    file = tmp_path / "state"
    save_state(file, trained(), RECIPE)
    change_file(file, change)
    back = fresh()
    before = {name: tensor.clone() for name, tensor in back.learner.state_dict().items()}
    with pytest.raises(SavedError, match=message):
        restore(file, back, RECIPE)
    assert all(torch.equal(tensor, before[name]) for name, tensor in back.learner.state_dict().items())
    assert (back.update, back.best, back.optimizer.state_dict()["state"]) == (0, {}, {})


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "sgd"])
def test_the_state_of_an_earlier_version_is_read(tmp_path: Path, optimizer: str) -> None:
    save_state(tmp_path / "state", trained(optimizer), RECIPE)
    change_file(tmp_path / "state", lambda header, tensors: None)
    assert restore(tmp_path / "state", fresh(optimizer), RECIPE) == []


def test_a_validation_that_was_not_a_number_comes_back(tmp_path: Path) -> None:
    state = trained()
    state.history[0]["mean"] = NAN
    state.best, state.best_score = {}, None
    save_state(tmp_path / "state", state, RECIPE)
    back = fresh()
    restore(tmp_path / "state", back, RECIPE)
    assert np.isnan(back.history[0]["mean"])


@pytest.mark.skipif(sys.platform == "win32", reason="named pipes and devices have other names there")
def test_only_regular_files_of_a_size_that_fits_are_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "zero").symlink_to("/dev/zero")
    with (tmp_path / "giant").open("wb") as giant:
        giant.truncate(2**33)
    for name, reason in (("pipe", "a named pipe"), ("zero", "a device"), ("giant", "at most 67,109,[0-9]+ are read")):
        with pytest.raises(SavedError, match=reason):
            restore(tmp_path / name, fresh(), RECIPE)
