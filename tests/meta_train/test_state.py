"""A training state on disk: what is read is what was written, and what cannot be read says why."""

import errno
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from torch import Tensor, nn

from kshot.backbones.conv4 import Conv4
from kshot.episodes.episode import EpisodeBatch
from kshot.errors import SavedError
from kshot.learners.learner import Learner
from kshot.learners.metric.protonet import CosineProtoNet, ProtoNet
from kshot.meta_train.optimization import Optimization
from kshot.meta_train.same_run import differences, environment
from kshot.meta_train.state import TrainState, on_cpu
from kshot.meta_train.state_file import read_state, restore, save_state
from kshot.meta_train.step import meta_step

RECIPE = {"seed": 3, "training": {"lr": 0.1, "updates": 5}, "data": {"fractions": [0.5, 0.25, 0.25]}}


def batch(seed: int = 0) -> EpisodeBatch:
    random = torch.Generator().manual_seed(seed)
    y = torch.arange(3).unsqueeze(0)
    x = [torch.rand(1, 3, 1, 28, 28, generator=random) for _ in range(2)]
    return EpisodeBatch(x[0], y, x[1], y, 3, np.array([seed]))


def fresh(optimizer: Any = "adam", kind: Callable[..., Learner] = CosineProtoNet) -> tuple[TrainState, Optimization]:
    torch.manual_seed(0)
    learner = kind(Conv4(width=3))
    optimization = Optimization(optimizer)
    return TrainState(learner, optimization.build(learner.parameters())), optimization


def trained(optimizer: Any = "adam", updates: int = 3) -> tuple[TrainState, Optimization]:
    state, optimization = fresh(optimizer)
    advance(state, optimization, updates)
    state.best = {name: value * 2 for name, value in on_cpu(state.learner.state_dict()).items()}
    state.best_score, state.best_update, state.waited, state.stopped = 0.1 + 0.2, 2, 1, True
    state.history = [{"update": 2, "mean": 1 / 3, "interval": 0.0123456789012345, "loss": 2 / 3}]
    state.loss_sum = 0.1 + 0.7
    return state, optimization


def advance(state: TrainState, optimization: Optimization, updates: int) -> None:
    for update in range(state.update, state.update + updates):
        meta_step(state.learner.train(), state.optimizer, [batch(update)], optimization=optimization, update=update, updates=100)
        state.update += 1


def optimizer_tensors(state: TrainState) -> dict[str, Tensor]:
    rows = state.optimizer.state_dict()["state"].items()
    return {f"{number}/{name}": value for number, values in rows for name, value in values.items() if isinstance(value, Tensor)}


def same(a: dict[str, Tensor], b: dict[str, Tensor]) -> None:
    assert a.keys() == b.keys()
    for name in a:
        assert a[name].dtype == b[name].dtype, name
        assert torch.equal(a[name], b[name]), name


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "sgd"])
def test_everything_comes_back_to_the_bit(tmp_path: Path, optimizer: str) -> None:
    state, optimization = trained(optimizer)
    file = tmp_path / "state"
    save_state(file, state, RECIPE)
    back, _ = fresh(optimizer)
    assert restore(file, back, json.loads(json.dumps(RECIPE))) == []
    same(state.learner.state_dict(), back.learner.state_dict())
    same(state.best, back.best)
    assert len(optimizer_tensors(state)) >= 13
    same(optimizer_tensors(state), optimizer_tensors(back))
    for name in ("update", "best_score", "best_update", "waited", "stopped", "history", "loss_sum"):
        assert getattr(back, name) == getattr(state, name), name
    for one in (state, back):
        one.stopped = False
        advance(one, optimization, 3)
    same(state.learner.state_dict(), back.learner.state_dict())
    same(optimizer_tensors(state), optimizer_tensors(back))


def test_memory_layouts_come_back(tmp_path: Path) -> None:
    state, _ = trained()
    weight = next(parameter for parameter in state.learner.parameters() if parameter.ndim == 4 and parameter.shape[1] > 1)
    assert not weight.is_contiguous()  # channels last
    save_state(tmp_path / "state", state, RECIPE)
    back, _ = fresh()
    restore(tmp_path / "state", back, RECIPE)
    for (name, mine), theirs in zip(state.learner.named_parameters(), back.learner.parameters(), strict=True):
        assert mine.stride() == theirs.stride(), name
        for key in ("exp_avg", "exp_avg_sq"):
            assert state.optimizer.state[mine][key].stride() == back.optimizer.state[theirs][key].stride(), (name, key)


def test_what_was_saved_does_not_change_with_the_learner(tmp_path: Path) -> None:
    state, optimization = trained()
    save_state(tmp_path / "state", state, RECIPE)
    written = (tmp_path / "state").read_bytes()
    kept = {name: value.clone() for name, value in state.learner.state_dict().items()}
    back, _ = fresh()
    restore(tmp_path / "state", back, RECIPE)
    best = {name: value.clone() for name, value in back.best.items()}
    advance(back, optimization, 2)
    same(best, back.best)
    same(kept, state.learner.state_dict())
    save_state(tmp_path / "again", state, RECIPE)
    assert (tmp_path / "again").read_bytes() == written


def test_a_state_before_the_first_update(tmp_path: Path) -> None:
    state, _ = fresh()
    save_state(tmp_path / "state", state, RECIPE)
    back, _ = fresh()
    restore(tmp_path / "state", back, RECIPE)
    assert back.update == 0
    assert back.best == {}
    assert back.best_score is None
    same(back.best_or_last(), state.learner.state_dict())


def test_another_environment_is_told(tmp_path: Path) -> None:
    state, _ = trained()
    save_state(tmp_path / "state", state, RECIPE)
    header, tensors = read_state(tmp_path / "state")
    header["environment"] |= {"threads": 64, "torch": "1.0"}
    del header["checksum"]
    rewrite(tmp_path / "state", header, tensors)
    now = environment()
    assert restore(tmp_path / "state", fresh()[0], RECIPE) == [
        f"torch was '1.0', is {now['torch']!r}",
        f"threads was 64, is {now['threads']}",
    ]


def rewrite(file: Path, header: Any, tensors: dict[str, Tensor]) -> None:
    file.write_bytes(safetensors.torch.save(tensors, {"kshot": json.dumps(header)}))


def test_another_recipe_is_refused_key_by_key(tmp_path: Path) -> None:
    state, _ = trained()
    save_state(tmp_path / "state", state, RECIPE)
    other = {"seed": 3, "training": {"lr": 0.2, "updates": 5, "new": 1}, "data": {"fractions": [0.5, 0.5, 0.0]}}
    back, _ = fresh()
    before = {name: value.clone() for name, value in back.learner.state_dict().items()}
    with pytest.raises(SavedError) as caught:
        restore(tmp_path / "state", back, other)
    message = str(caught.value)
    assert str(tmp_path / "state") in message
    assert "training.lr was 0.1, is 0.2" in message
    assert "training.new was not set, is 1" in message
    assert "data.fractions was [0.5, 0.25, 0.25], is [0.5, 0.5, 0.0]" in message
    assert "seed" not in message
    same(before, back.learner.state_dict())
    assert back.update == 0


def test_differences_look_into_tables_and_both_ways() -> None:
    assert differences({"a": {"b": 1}}, {"a": {"b": 1}}) == []
    assert differences({"a": {"b": 1}}, {"a": {"c": 1}}) == ["a.b was 1, is not set", "a.c was not set, is 1"]
    assert differences({"a": {"b": 1}}, {"a": 5}) == ["a was {'b': 1}, is 5"]


@pytest.mark.parametrize("keep", [0, 7, 8, 100, -1])
def test_a_cut_off_file_is_refused(tmp_path: Path, keep: int) -> None:
    file = tmp_path / "state"
    save_state(file, trained()[0], RECIPE)
    file.write_bytes(file.read_bytes()[:keep])
    with pytest.raises(SavedError, match=r"state is not a whole training state"):
        read_state(file)


def test_what_is_no_state_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "state"
    with pytest.raises(SavedError, match=r"there is no training state .*state"):
        read_state(file)
    with pytest.raises(SavedError, match=r"not a whole training state .*directory"):
        read_state(tmp_path)
    safetensors.torch.save_file({"x": torch.zeros(1)}, file)
    with pytest.raises(SavedError, match=r"not a whole training state"):
        read_state(file)
    rewrite(file, [1, 2], {"x": torch.zeros(1)})
    with pytest.raises(SavedError, match=r"has no format"):
        read_state(file)
    torch.save({"x": torch.zeros(1)}, file)
    with pytest.raises(SavedError, match=r"not a whole training state"):
        read_state(file)


def test_a_newer_format_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "state"
    save_state(file, trained()[0], RECIPE)
    header, tensors = read_state(file)
    rewrite(file, {"format": header["format"] + 1}, tensors)
    with pytest.raises(SavedError, match=r"has format 2; this kshot reads up to 1\. Install a newer kshot"):
        restore(file, fresh()[0], RECIPE)


def test_a_header_without_a_key_is_refused_by_its_name(tmp_path: Path) -> None:
    file = tmp_path / "state"
    save_state(file, trained()[0], RECIPE)
    header, tensors = read_state(file)
    del header["waited"]
    rewrite(file, header, tensors)
    with pytest.raises(SavedError, match=r"damaged: waited is missing"):
        restore(file, fresh()[0], RECIPE)


def test_numbers_that_were_not_written_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "state"
    save_state(file, trained()[0], RECIPE)
    header, tensors = read_state(file)
    written = file.read_bytes()
    file.write_bytes(written[:-4] + b"\x00\x00\xc0\x7f")  # the last number of the last tensor
    with pytest.raises(SavedError, match=r"is damaged: its contents have changed since it was written"):
        read_state(file)
    rewrite(file, {**header, "update": 4}, tensors)
    with pytest.raises(SavedError, match=r"is damaged: its contents"):
        restore(file, fresh()[0], RECIPE)
    del header["checksum"]
    rewrite(file, header, tensors)  # as earlier versions wrote it
    restore(file, fresh()[0], RECIPE)


def test_a_learner_of_another_shape_is_refused(tmp_path: Path) -> None:
    save_state(tmp_path / "state", trained()[0], RECIPE)
    learner = ProtoNet(Conv4(width=5))
    with pytest.raises(
        SavedError, match=r"state: it does not fit the learner that its recipe builds today: .*log_scale is not part of the learner"
    ):
        restore(tmp_path / "state", TrainState(learner, Optimization().build(learner.parameters())), RECIPE)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("recipe", []),
        ("environment", None),
        ("optimizer", []),
        ("optimizer", {"x": {}}),
        ("optimizer", {"0": 3}),
        ("update", "x"),
        ("update", -1),
        ("update", 2.5),
        ("best_score", "high"),
        ("best_update", None),
        ("waited", True),
        ("stopped", "no"),
        ("history", 3),
        ("history", [1]),
        ("history", [{"update": "x"}]),
        ("loss_sum", "0.1"),
    ],
)
def test_a_header_of_other_values_is_refused_by_its_key(tmp_path: Path, key: str, value: Any) -> None:
    file = tmp_path / "state"
    save_state(file, trained()[0], RECIPE)
    header, tensors = read_state(file)
    rewrite(file, {**header, key: value, "checksum": ""}, tensors)
    with pytest.raises(SavedError, match=rf"is damaged: ({key}|history\[0\].*|optimizer\.0|the optimiser has) .*\. Start the run again"):
        restore(file, fresh()[0], RECIPE)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "tensor", "message"),
    [
        (
            "learner/log_scale",
            torch.zeros(3),
            r"does not fit the learner .*: log_scale is float32 \(3,\) in the state",
        ),
        ("learner/log_scale", None, "does not fit the learner that its recipe builds today: log_scale is missing"),
        ("best/log_scale", torch.zeros(3), "its best state does not fit the learner"),
        ("best/log_scale", None, "its best state does not fit the learner"),
        ("optimizer/0/exp_avg", torch.zeros(3), r"optimizer/0/exp_avg has the shape \(3,\) for a parameter"),
        ("optimizer/0/step", torch.zeros(3), r"optimizer/0/step has the shape \(3,\)"),
        ("optimizer/77/exp_avg", torch.zeros(3), "there is no parameter '77'"),
        ("optimizer/x/exp_avg", torch.zeros(3), "there is no parameter 'x'"),
        ("optimizer/0", torch.zeros(3), r"parameter 0 of the optimiser needs|optimizer/0 has the shape"),
        ("optimizer/0/exp_avg", None, "damaged: parameter 0 of the optimiser needs exp_avg, exp_avg_sq, step"),
    ],
)
def test_tensors_that_do_not_fit_are_refused_by_name(tmp_path: Path, name: str, tensor: Tensor | None, message: str) -> None:
    file = tmp_path / "state"
    save_state(file, trained()[0], RECIPE)
    header, tensors = read_state(file)
    assert tensors.pop(name, None) is not None or tensor is not None
    rewrite(file, {**header, "checksum": ""}, tensors if tensor is None else {**tensors, name: tensor})
    with pytest.raises(SavedError, match=message):
        restore(file, fresh()[0], RECIPE)


@pytest.mark.parametrize("refusing", ["fsync", "replace"])
def test_a_full_disk_keeps_the_earlier_state_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refusing: str) -> None:
    state, optimization = trained()
    file = tmp_path / "state"
    save_state(file, state, RECIPE)
    written = file.read_bytes()
    advance(state, optimization, 1)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, refusing, full)
        with pytest.raises(SavedError, match=r"cannot write .*state .*No space left on device; the earlier file is untouched"):
            save_state(file, state, RECIPE)
    assert file.read_bytes() == written
    assert [path.name for path in tmp_path.iterdir()] == ["state"]
    back, _ = fresh()
    restore(file, back, RECIPE)
    assert back.update == 3
    save_state(file, state, RECIPE)  # and when there is room again, it goes on
    restore(file, back, RECIPE)
    assert back.update == 4


@pytest.mark.slow
def test_a_compiled_learner_continues_a_plain_one_and_the_other_way_round(tmp_path: Path) -> None:
    def compiled() -> TrainState:
        state, _ = fresh()
        state.learner.register_module("backbone", torch.compile(state.learner.get_submodule("backbone"), backend="eager"))  # type: ignore[arg-type]  # a module
        return state

    whole, _ = trained()
    save_state(tmp_path / "plain", whole, RECIPE)
    first = compiled()
    assert restore(tmp_path / "plain", first, RECIPE) == []
    save_state(tmp_path / "compiled", first, RECIPE)
    second, _ = fresh()
    assert restore(tmp_path / "compiled", second, RECIPE) == []
    assert all(torch.equal(value, whole.learner.state_dict()[name]) for name, value in second.learner.state_dict().items())


class Counting(nn.Linear):
    """Keeps a number beside its tensors."""

    def get_extra_state(self) -> dict[str, int]:
        return {"calls": 3}

    def set_extra_state(self, state: object) -> None:
        pass


def test_state_that_is_no_tensor_is_copied_in_memory_and_refused_in_a_file(tmp_path: Path) -> None:
    learner = ProtoNet(Counting(4, 2))
    kept = on_cpu(learner.state_dict())
    assert kept["backbone._extra_state"] == {"calls": 3}
    learner.load_state_dict(kept)
    with pytest.raises(SavedError, match=r"'backbone\._extra_state' is a dict"):
        save_state(tmp_path / "state", TrainState(learner, Optimization().build(learner.parameters())), RECIPE)
    assert not (tmp_path / "state").exists()
