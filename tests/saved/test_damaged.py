"""Saved learners that nobody should trust: crafted records, useless numbers, files that are none. Each is refused, with the reason."""

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import kshot
from kshot.backbones.conv4 import Conv4
from kshot.data.as_is import AsIs
from kshot.data.pictures.ink import Ink
from kshot.data.pictures.picture import Picture
from kshot.errors import SavedError
from kshot.learners.metric.protonet import ProtoNet
from kshot.saved.folder import load_folder, save
from kshot.saved.shipped import find

POSIX = pytest.mark.skipif(sys.platform == "win32", reason="named pipes and devices have other names there")


def put(folder: Path, **more: Any) -> ProtoNet:
    torch.manual_seed(0)
    learner = ProtoNet(Conv4(width=3)).eval()
    save(folder, learner, preprocess=Ink(28), **more)
    return learner


def edit(folder: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    content = json.loads((folder / "learner.json").read_text(encoding="utf-8"))
    change(content)
    (folder / "learner.json").write_text(json.dumps(content), encoding="utf-8")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c.update(format=0), "formats are 1 and more; found 0"),
        (lambda c: c.update(format=-3), "formats are 1 and more; found -3"),
        (lambda c: c.update(format=10**400), "has format"),
        (lambda c: c.update(family=["classification"]), r"family must be text in quotes; found \['classification'\]"),
        (lambda c: c.update(family="poetry\0"), "there is no task family"),
        (lambda c: c.update({"class": {}}), "class must be text in quotes"),
        (lambda c: c["tensors"].update(file="a\0b"), "is cut off: a.*b cannot be read"),
        (lambda c: c["tensors"].update(file="x" * 300), "is cut off: x+ cannot be read"),
        (lambda c: c["tensors"].update(file="."), "cannot be read"),
        (lambda c: c["tensors"].update(sha256=3), r"tensors\.sha256 must be text"),
        (lambda c: c["tensors"].update(shapes=[]), r"tensors\.shapes must be a table"),
        (lambda c: c["learner"].update(arguments=[1]), r"learner\.arguments must be a table"),
        (lambda c: c["learner"].update(name="pro\0to"), "cannot be built: there is no learner"),
        (lambda c: c["record"].update(division=3), r"record\.division must be a table; found 3"),
        (lambda c: c["record"].update(division={"train": "fox"}), r"division\.train must be a list of texts in quotes; found 'fox'"),
        (lambda c: c["record"].update(test_sizes=[1]), r"record\.test_sizes must be a list of 2 numbers"),
        (lambda c: c["record"].update(test_sizes=["a", "b"]), r"record\.test_sizes\[0\] must be a whole number"),
        (lambda c: c["record"].update(classes_seen=["fox"]), r"record\.classes_seen must be a table"),
        (lambda c: c["record"].update(classes_seen={"": [3]}), r"record\.classes_seen\.\[0\] must be text"),
        (lambda c: c.update(preprocess={"name": "ink", "arguments": {"size": 20_000}}), "size of 'ink' must be at most 1,024 pixels"),
        (lambda c: c.update(preprocess={"name": "ink", "arguments": {"size": [28]}}), "cannot be made"),
        (lambda c: c.update(preprocess={"name": "ink", "arguments": {"zoom": 1e39}}), "cannot be made"),
        (lambda c: c.update(preprocess={"name": "picture", "arguments": {"size": 28, "channels": 3}}), "its backbone cannot read"),
        (lambda c: c.update(preprocess={"name": "ink", "arguments": {"size": 8}}), r"its backbone cannot read the items of .* Ink\(size=8"),
        *[
            (lambda c, size=size: c["backbone"]["arguments"].update(width=size), "cannot be built|cannot read|does not fit")
            for size in (10**5, 10**6, 10**9, 10**12, 10**400)
        ],
        (lambda c: c["backbone"]["arguments"].update(width="3"), "cannot be built"),
        (lambda c: c["backbone"]["arguments"].update(width=None), "cannot be built"),
        (lambda c: c["backbone"]["arguments"].update(width=3.5), "cannot be built"),
    ],
)  # fmt: skip
def test_a_crafted_record_is_refused(tmp_path: Path, change: Callable[[dict[str, Any]], Any], message: str) -> None:
    put(tmp_path)
    edit(tmp_path, change)
    with pytest.raises(SavedError, match=message):
        load_folder(tmp_path)


@pytest.mark.parametrize("text", ['{"format": ' * 5000 + "1" + "}" * 5000, '{"format": NaN}', '{"format": 1e400}', "\ufeff{"])
def test_what_is_no_strict_json_is_refused(tmp_path: Path, text: str) -> None:
    put(tmp_path)
    (tmp_path / "learner.json").write_text(text, encoding="utf-8")
    with pytest.raises(SavedError, match=r"learner\.json is damaged: "):
        load_folder(tmp_path)


@POSIX
@pytest.mark.parametrize("file", ["learner.json", "tensors"])
@pytest.mark.parametrize("kind", ["pipe", "device", "giant", "folder"])
def test_only_regular_files_are_read(tmp_path: Path, file: str, kind: str) -> None:
    put(tmp_path)
    path = next(tmp_path.glob(f"{file}*"))
    path.unlink()
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    elif kind == "folder":
        path.mkdir()
    else:
        with path.open("wb") as giant:
            giant.truncate(2**40)
    with pytest.raises(SavedError, match=r"is damaged|is cut off"):
        load_folder(tmp_path)
    assert find(tmp_path) == tmp_path


NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("backbone.blocks.0.conv.weight", NAN, r"backbone\.blocks\.0\.conv\.weight holds 1 of 27 values that are not finite"),
        ("backbone.blocks.1.norm.bias", -INF, r"backbone\.blocks\.1\.norm\.bias holds 1 of 3 values that are not finite"),
        ("backbone.blocks.2.norm.running_mean", INF, r"backbone\.blocks\.2\.norm\.running_mean holds 1 of 3 values that are not finite"),
        ("backbone.blocks.2.norm.running_var", -0.5, r"backbone\.blocks\.2\.norm\.running_var holds a negative variance"),
    ],
)
def test_useless_numbers_are_refused_at_save_and_at_load(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: float, message: str
) -> None:
    learner = ProtoNet(Conv4(width=3)).eval()
    learner.state_dict()[name].view(-1)[0] = value
    with pytest.raises(SavedError, match=rf"the learner cannot be saved: {message}"):
        save(tmp_path / "saved", learner)
    assert not (tmp_path / "saved").exists()
    with monkeypatch.context() as patch:  # as an earlier version saved it
        patch.setattr("kshot.saved.folder.unusable", lambda *_: "")
        save(tmp_path / "saved", learner)
    mine = ProtoNet(Conv4(width=3)).eval()
    before = {key: tensor.clone() for key, tensor in mine.state_dict().items()}
    for into in (None, mine):
        with pytest.raises(SavedError, match=rf"saved cannot answer: {message}"):
            load_folder(tmp_path / "saved", into)
    assert all(torch.equal(tensor, before[key]) for key, tensor in mine.state_dict().items())


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ({"a": NAN}, r"record\.a is nan, which JSON does not have"),
        ({"a": {"b": [1, INF]}}, r"record\.a\.b\[1\] is inf"),
        ({"a": Path("x")}, r"record\.a is of type \w+Path"),
        ({"a": torch.zeros(1)}, r"record\.a is of type Tensor"),
        ({(1, 2): 3}, r"record has the name \(1, 2\)"),
        ({"division": 3}, r"record\.division must be a table; found 3\. kshot reads this name itself"),
        ({"classes_seen": ["fox"]}, r"record\.classes_seen must be a table"),
    ],
)
def test_a_record_that_cannot_be_kept_is_refused_before_anything_is_written(tmp_path: Path, record: Any, message: str) -> None:
    with pytest.raises(SavedError, match=message):
        put(tmp_path / "new", record=record)
    assert not (tmp_path / "new").exists()
    put(tmp_path / "old")
    before = {path.name: path.read_bytes() for path in (tmp_path / "old").iterdir()}
    with pytest.raises(SavedError, match=message):
        put(tmp_path / "old", record=record)
    assert {path.name: path.read_bytes() for path in (tmp_path / "old").iterdir()} == before


def test_a_name_that_is_not_utf_8_comes_back_as_it_was(tmp_path: Path) -> None:
    name = os.fsdecode(b"lat/caf\xe9")
    record = {"classes_seen": {"": [name, "fünf 一"]}, name: 1}
    put(tmp_path, record=record)
    assert load_folder(tmp_path).record == record
    assert b"caf\\udce9" in (tmp_path / "learner.json").read_bytes()
    json.loads((tmp_path / "learner.json").read_text(encoding="utf-8"))


def test_a_mask_of_minus_infinity_is_no_fault(tmp_path: Path) -> None:
    class Masked(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("mask", torch.full((2,), -INF))
            self.layer = nn.Linear(4, 2)

    save(tmp_path, ProtoNet(Masked()))
    load_folder(tmp_path, into=ProtoNet(Masked()))


@pytest.mark.slow
@pytest.mark.parametrize("name", kshot.shipped())
def test_the_shipped_learners_still_load(name: str) -> None:
    saved = kshot.open_saved(name)
    assert saved.spec is not None
    assert isinstance(saved.preprocess, AsIs if name == "tables-in-context" else (Ink, Picture))
