"""A learner on disk: the same answers after a round trip, whole or not at all, and every misfit named."""

import errno
import hashlib
import json
import os
import pickle
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from torch import Tensor, nn

from kshot.backbones.conv4 import Conv4
from kshot.data.pictures.ink import Ink
from kshot.errors import RecipeError, SavedError
from kshot.learners.learner import Learner
from kshot.learners.metric.protonet import ProtoNet
from kshot.learners.table import LearnerSpec
from kshot.saved.folder import load_folder, save
from kshot.saved.record_file import read_record

SPEC = LearnerSpec("protonet", "conv4", {}, {"channels": 1, "width": 3})
RECORD = {"data": "made", "seed": 4, "validation": [{"update": 1, "mean": 1 / 3}], "words": "fünf × 一"}


def learner(seed: int = 0) -> Learner:
    made = SPEC.build(seed)
    x = torch.rand(4, 1, 28, 28, generator=torch.Generator().manual_seed(seed))
    made.train().encode(x)  # so that running statistics are not those of the start
    return made.eval()


def logits(learner: Learner) -> Tensor:
    x = torch.rand(6, 1, 28, 28, generator=torch.Generator().manual_seed(9))
    with torch.no_grad():
        features = learner.encode(x)
        assert isinstance(features, Tensor)
        return learner.predict(learner.adapt(features[None, :4], torch.tensor([[0, 1, 2, 0]])), features[None])


def put(folder: Path, seed: int = 0) -> Learner:
    made = learner(seed)
    save(folder, made, spec=SPEC, preprocess=Ink(28), record={**RECORD, "seed": seed})
    return made


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def edit(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    content = json.loads((folder / "learner.json").read_text(encoding="utf-8"))
    change(content)
    (folder / "learner.json").write_text(json.dumps(content), encoding="utf-8")


def put_tensors(folder: Path, tensors: dict[str, Tensor] | bytes) -> None:
    """Other tensors in place of the saved ones, with a record that vouches for them."""
    data = tensors if isinstance(tensors, bytes) else safetensors.torch.save(tensors)
    (file,) = folder.glob("tensors-*")
    file.write_bytes(data)
    edit(folder, lambda content: content["tensors"].update(sha256=hashlib.sha256(data).hexdigest()))


def test_a_round_trip_gives_the_same_logits_to_the_bit(tmp_path: Path) -> None:
    made = put(tmp_path / "saved", seed=3)
    back = load_folder(tmp_path / "saved")
    assert torch.equal(logits(made), logits(back.learner))
    assert not back.learner.training
    assert back.preprocess == Ink(28)
    assert back.record == {**RECORD, "seed": 3}
    assert back.spec == SPEC
    assert back.folder == tmp_path / "saved"
    assert {name: value.dtype for name, value in back.learner.state_dict().items()} == {
        name: value.dtype for name, value in made.state_dict().items()
    }


def test_the_folder_holds_two_files_of_which_one_is_readable_json(tmp_path: Path) -> None:
    put(tmp_path / "saved")
    names = sorted(files(tmp_path / "saved"))
    assert names[0] == "learner.json"
    assert names[1].startswith("tensors-")
    assert len(names) == 2
    record = read_record(tmp_path / "saved")
    assert record["format"] == 1
    assert record["learner"] == {"name": "protonet", "arguments": {}}
    assert record["backbone"] == {"name": "conv4", "arguments": {"channels": 1, "width": 3}}
    assert record["family"] == "classification"
    assert record["preprocess"] == {"name": "ink", "arguments": {"size": 28, "zoom": 0.0, "levels": "full"}}
    assert record["tensors"]["shapes"]["backbone.blocks.0.conv.weight"] == "float32 (3, 1, 3, 3)"


def test_floating_point_numbers_can_be_stored_in_16_bits(tmp_path: Path) -> None:
    made = learner(seed=3)
    save(tmp_path / "whole", made, spec=SPEC)
    save(tmp_path / "half", made, spec=SPEC, dtype=torch.float16)
    (whole,), (half,) = (list((tmp_path / name).glob("tensors-*")) for name in ("whole", "half"))
    written = safetensors.torch.load_file(half)
    assert {value.dtype for value in written.values()} == {torch.float16, torch.int64}  # the counter of batch norm stays whole
    assert half.stat().st_size < whole.stat().st_size
    content = read_record(tmp_path / "half")
    assert content["tensors"]["stored_as"] == "float16"
    assert content["tensors"]["shapes"] == read_record(tmp_path / "whole")["tensors"]["shapes"]
    assert "stored_as" not in read_record(tmp_path / "whole")["tensors"]
    back = load_folder(tmp_path / "half").learner
    for name, value in made.state_dict().items():
        found = back.state_dict()[name]
        assert found.dtype == value.dtype
        expected = value.half().to(value.dtype) if value.is_floating_point() else value
        assert torch.equal(found, expected), name


def test_a_number_that_16_bits_cannot_hold_is_refused_and_the_folder_untouched(tmp_path: Path) -> None:
    put(tmp_path)
    before = files(tmp_path)
    made = learner()
    made.state_dict()["backbone.blocks.0.norm.running_var"].fill_(1e5)
    with pytest.raises(SavedError, match=r"running_var holds 100000, which is too large for float16\. Save the learner without dtype"):
        save(tmp_path, made, spec=SPEC, dtype=torch.float16)
    assert files(tmp_path) == before


def test_a_record_that_names_no_type_for_narrow_tensors_is_damaged(tmp_path: Path) -> None:
    save(tmp_path, learner(), spec=SPEC, dtype=torch.float16)
    edit(tmp_path, lambda content: content["tensors"].update(shapes={}))
    with pytest.raises(SavedError, match="is damaged: it names no type for backbone"):
        load_folder(tmp_path)


def test_saving_again_replaces_and_tidies_up(tmp_path: Path) -> None:
    put(tmp_path, seed=1)
    second = put(tmp_path, seed=2)
    assert len(files(tmp_path)) == 2
    assert torch.equal(logits(second), logits(load_folder(tmp_path).learner))
    put(tmp_path, seed=2)  # the very same once more
    assert len(files(tmp_path)) == 2
    assert torch.equal(logits(second), logits(load_folder(tmp_path).learner))


class Cut(BaseException):
    """What a kill looks like from inside: nothing catches it."""


@pytest.mark.slow
@pytest.mark.parametrize("error", [Cut(), OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))])
@pytest.mark.parametrize("call", ["fsync", "replace"])
@pytest.mark.parametrize("at", [1, 2])
def test_cut_short_at_any_write_the_old_learner_loads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, at: int, error: BaseException
) -> None:
    old = put(tmp_path, seed=1)
    was, calls = getattr(os, call), []

    def cut(*arguments: Any) -> Any:
        if call == "replace" or stat.S_ISREG(os.fstat(arguments[0]).st_mode):  # not the flushing of the folder
            calls.append(1)
            if len(calls) == at:
                raise error
        return was(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(os, call, cut)
        with pytest.raises(Cut if isinstance(error, Cut) else SavedError):
            put(tmp_path, seed=2)
    assert torch.equal(logits(old), logits(load_folder(tmp_path).learner))
    new = put(tmp_path, seed=2)
    assert torch.equal(logits(new), logits(load_folder(tmp_path).learner))
    assert len(files(tmp_path)) == 2


def test_a_first_saving_cut_short_can_be_repeated(tmp_path: Path) -> None:
    put(tmp_path)
    (tmp_path / "learner.json").rename(tmp_path / ".learner.json.abc123.part")  # killed before the record took its name
    (tmp_path / ".tensors-0123456789ab.safetensors.x_1.part").write_bytes(b"half")
    with pytest.raises(SavedError, match=r"is not a saved learner: it has no learner\.json"):
        load_folder(tmp_path)
    made = put(tmp_path, seed=5)
    assert torch.equal(logits(made), logits(load_folder(tmp_path).learner))
    assert len(files(tmp_path)) == 2


@pytest.mark.parametrize("name", ["thesis.txt", "tensors-final.safetensors", "tensors-0123456789ab.safetensors.bak", ".hidden", "sub/file"])
def test_a_folder_of_other_things_is_refused_and_untouched(tmp_path: Path, name: str) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text("mine")
    with pytest.raises(SavedError, match=r"holds other files and no saved learner\. Choose an empty or new folder"):
        put(tmp_path)
    assert [path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()] == [name]
    assert (tmp_path / name).read_text() == "mine"


def test_other_files_beside_a_saved_learner_are_left_alone(tmp_path: Path) -> None:
    put(tmp_path, seed=1)
    (tmp_path / "README.md").write_text("mine")
    (tmp_path / "tensors-mine.safetensors").write_text("mine")
    put(tmp_path, seed=2)
    assert (tmp_path / "README.md").read_text() == "mine"
    assert (tmp_path / "tensors-mine.safetensors").read_text() == "mine"
    load_folder(tmp_path)


def test_a_file_in_the_way_is_refused(tmp_path: Path) -> None:
    (tmp_path / "saved").write_text("mine")
    with pytest.raises(SavedError, match=r"saved is a file; a learner is saved as a folder"):
        put(tmp_path / "saved")
    with pytest.raises(SavedError, match=r"there is no folder .*nowhere"):
        load_folder(tmp_path / "nowhere")
    with pytest.raises(SavedError, match=r"there is no folder .*saved"):
        load_folder(tmp_path / "saved")
    (tmp_path / "link").symlink_to("gone")
    with pytest.raises(SavedError, match=r"link is a link to nothing; a learner is saved as a folder"):
        put(tmp_path / "link")


def test_a_record_and_a_type_that_are_none_are_refused(tmp_path: Path) -> None:
    learner = ProtoNet(nn.Linear(2, 2))
    for record in ([1], "record", 7):
        with pytest.raises(SavedError, match=f"the record must be a mapping of names to facts; found {type(record).__name__}"):
            save(tmp_path / "saved", learner, record=record)  # type: ignore[arg-type]
    with pytest.raises(SavedError, match=r"dtype must be a torch\.dtype, such as torch\.float16; found 'float16'"):
        save(tmp_path / "saved", learner, dtype="float16")  # type: ignore[arg-type]
    assert not (tmp_path / "saved").exists()


class Own(ProtoNet):
    """A user's own."""

    def __init__(self, width: int = 4) -> None:
        super().__init__(nn.Sequential(nn.Flatten(), nn.Linear(784, width)))


def test_a_users_own_learner_is_filled_by_into(tmp_path: Path) -> None:
    torch.manual_seed(0)
    made, empty = Own().eval(), Own()
    save(tmp_path, made)
    assert not torch.equal(logits(made), logits(empty.eval()))
    back = load_folder(tmp_path, into=empty.train())
    assert back.learner is empty
    assert not empty.training
    assert torch.equal(logits(made), logits(empty))
    assert back.preprocess is None
    assert back.spec is None
    assert back.record == {}
    with pytest.raises(SavedError, match=r"was saved from .*Own, which is not one of kshot's own .*backbones\. .*into=learner"):
        load_folder(tmp_path)


def test_into_fills_one_of_ours_too(tmp_path: Path) -> None:
    made = put(tmp_path)
    mine = ProtoNet(Conv4(width=3))
    assert load_folder(tmp_path, into=mine).learner is mine
    assert torch.equal(logits(made), logits(mine))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.pop("backbone.blocks.1.norm.bias"), r"backbone\.blocks\.1\.norm\.bias is missing from the folder"),
        (lambda t: t.update(extra=torch.zeros(2)), r"extra is not part of the learner"),
        (
            lambda t: t.update({"backbone.blocks.1.norm.bias": torch.zeros(4)}),
            r"backbone\.blocks\.1\.norm\.bias is float32 \(4,\) in the folder and float32 \(3,\) in the learner",
        ),
        (
            lambda t: t.update({"backbone.blocks.1.norm.bias": torch.zeros(3, dtype=torch.float64)}),
            r"backbone\.blocks\.1\.norm\.bias is float64 \(3,\) in the folder and float32 \(3,\) in the learner",
        ),
        (lambda t: t.clear(), r"backbone\.blocks\.0\.conv\.weight is missing from the folder; .*; and 23 more\."),
    ],
)
def test_tensors_that_do_not_fit_are_named_and_nothing_is_filled(
    tmp_path: Path, change: Callable[[dict[str, Tensor]], None], message: str
) -> None:
    made = put(tmp_path)
    tensors = {name: value.contiguous() for name, value in made.state_dict().items()}
    change(tensors)
    put_tensors(tmp_path, tensors)
    with pytest.raises(SavedError, match=message):
        load_folder(tmp_path)
    mine = ProtoNet(Conv4(width=3)).eval()
    before = logits(mine)
    with pytest.raises(SavedError, match=message):
        load_folder(tmp_path, into=mine)
    assert torch.equal(before, logits(mine))


@pytest.mark.parametrize("keep", [0, 5, 100, -1])
def test_cut_off_tensors_are_refused_by_their_file(tmp_path: Path, keep: int) -> None:
    put(tmp_path)
    (file,) = tmp_path.glob("tensors-*")
    file.write_bytes(file.read_bytes()[:keep])
    with pytest.raises(SavedError, match=rf"{file.name} is damaged or not a safetensors file: (it is not|its header describes)"):
        load_folder(tmp_path)


def test_a_single_flipped_bit_is_found(tmp_path: Path) -> None:
    put(tmp_path)
    (file,) = tmp_path.glob("tensors-*")
    data = bytearray(file.read_bytes())
    data[-10] ^= 1
    file.write_bytes(data)
    with pytest.raises(SavedError, match=r"not the saved ones"):
        load_folder(tmp_path)


def test_missing_files_are_named(tmp_path: Path) -> None:
    put(tmp_path)
    (file,) = tmp_path.glob("tensors-*")
    file.unlink()
    with pytest.raises(SavedError, match=rf"is cut off: {file.name} cannot be read \(No such file"):
        load_folder(tmp_path)
    (tmp_path / "learner.json").unlink()
    with pytest.raises(SavedError, match=r"is not a saved learner: it has no learner\.json"):
        load_folder(tmp_path)


class Bomb:
    """Unpickling it is noticed."""

    exploded = False

    def __reduce__(self) -> Any:
        return setattr, (Bomb, "exploded", True)


def test_a_pickle_in_place_of_the_tensors_is_refused_unread(tmp_path: Path) -> None:
    put(tmp_path)
    put_tensors(tmp_path, pickle.dumps(Bomb()))
    with pytest.raises(SavedError, match=r"tensors-.* is damaged or not a safetensors file"):
        load_folder(tmp_path)
    assert not Bomb.exploded
    torch.save(Bomb(), tmp_path / "learner.json")
    with pytest.raises(SavedError, match=r"learner\.json is damaged"):
        load_folder(tmp_path)
    assert not Bomb.exploded


def test_a_path_in_the_record_does_not_lead_out_of_the_folder(tmp_path: Path) -> None:
    put(tmp_path / "saved")
    put(tmp_path / "other", seed=2)
    (elsewhere,) = (tmp_path / "other").glob("tensors-*")
    edit(tmp_path / "saved", lambda content: content["tensors"].update(file=f"../other/{elsewhere.name}"))
    with pytest.raises(SavedError, match=r"is cut off"):
        load_folder(tmp_path / "saved")


def drop(key: str) -> Callable[[dict[str, Any]], None]:
    return lambda content: content.pop(key)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c.update(format=2), r"has format 2; this kshot reads up to 1\. Install a newer kshot"),
        (lambda c: c.update(format="1"), r"has no format"),
        (lambda c: c.update(format=True), r"has no format"),
        (drop("format"), r"has no format"),
        (drop("learner"), r"damaged: learner is missing"),
        (drop("preprocess"), r"damaged: preprocess is missing"),
        (drop("tensors"), r"damaged: tensors is missing"),
        (drop("record"), r"damaged: record is missing"),
        (lambda c: c.update(record=[1]), r"damaged: record must be a table; found \[1\]"),
        (lambda c: c.update(tensors={}), r"damaged: tensors\.file, tensors\.sha256 is missing"),
        (lambda c: c.update(tensors=None), r"damaged: tensors must be a table; found None"),
        (lambda c: c.update(learner="protonet"), r"damaged: learner must be a table; found 'protonet'"),
        (
            lambda c: c.update(backbone={"name": ["conv4"], "arguments": {}}),
            r"damaged: backbone\.name must be text in quotes; found \['conv4'\]",
        ),
        (lambda c: c["learner"].update(name="maml9000"), r"learner\.json describes cannot be built: there is no learner 'maml9000'"),
        (lambda c: c["backbone"].update(name="vgg"), r"cannot be built: there is no backbone 'vgg'"),
        (lambda c: c["backbone"]["arguments"].update(depth=9), r"cannot be built: .*depth"),
        (lambda c: c["backbone"]["arguments"].update(width=0), r"cannot be built: .*width must be at least 1; found 0"),
        (
            lambda c: c["backbone"]["arguments"].update(width=4),
            r"conv\.weight is float32 \(3, 1, 3, 3\) in the folder and float32 \(4, 1, 3, 3\)",
        ),
        (lambda c: c.update(family="poetry"), r"cannot be built: there is no task family 'poetry'"),
        (lambda c: c.update(preprocess={"name": "magic", "arguments": {}}), r"cannot be made: there is no preprocessing 'magic'"),
        (lambda c: c.update(preprocess={"name": "ink", "arguments": {"size": -1}}), r"cannot be made: size"),
        (lambda c: c.update(preprocess="ink"), r"cannot be made: a preprocessing is described by"),
    ],
)
def test_an_edited_record_is_refused_with_the_name(tmp_path: Path, change: Callable[[dict[str, Any]], None], message: str) -> None:
    put(tmp_path)
    edit(tmp_path, change)
    before = files(tmp_path)
    with pytest.raises(SavedError, match=message):
        load_folder(tmp_path)
    assert files(tmp_path) == before


@pytest.mark.parametrize("text", [b"", b"{", b"[1, 2]", b"null", b"\xff\xfe\x00", b'{"format": 1'])
def test_what_is_not_the_record_of_a_learner_is_refused(tmp_path: Path, text: bytes) -> None:
    put(tmp_path)
    (tmp_path / "learner.json").write_bytes(text)
    with pytest.raises(SavedError, match=r"learner\.json is (damaged|not the record of a saved learner)"):
        load_folder(tmp_path)


# Names of compiled modules, and state that is no tensor.


def compiled(learner: Learner) -> Learner:
    learner.register_module("backbone", torch.compile(learner.get_submodule("backbone"), backend="eager"))  # type: ignore[arg-type]  # a module
    return learner


@pytest.mark.slow
def test_a_compiled_backbone_is_saved_under_its_plain_names_and_built_again(tmp_path: Path) -> None:
    expected = logits(learner())
    save(tmp_path / "compiled", compiled(learner()), preprocess=Ink(28))
    assert not any("_orig_mod" in name for name in read_record(tmp_path / "compiled")["tensors"]["shapes"])
    loaded = load_folder(tmp_path / "compiled")
    assert loaded.spec == SPEC
    assert torch.equal(logits(loaded.learner), expected)


def test_a_compiled_and_a_plain_learner_fill_each_other(tmp_path: Path) -> None:
    def linear(seed: int) -> Learner:
        torch.manual_seed(seed)
        return ProtoNet(nn.Linear(4, 2))

    expected = {name: value.clone() for name, value in linear(0).state_dict().items()}
    save(tmp_path / "compiled", compiled(linear(0)))
    save(tmp_path / "plain", linear(0))
    for folder in ("compiled", "plain"):
        for into in (linear(1), compiled(linear(2))):
            found = load_folder(tmp_path / folder, into).learner.state_dict()
            assert [name.replace("_orig_mod.", "") for name in found] == [*expected]
            assert all(torch.equal(one, other) for one, other in zip(found.values(), expected.values(), strict=True))


def test_names_of_a_compiled_module_that_an_earlier_version_saved_are_read(tmp_path: Path) -> None:
    made = put(tmp_path / "old")
    content = json.loads((tmp_path / "old" / "learner.json").read_text(encoding="utf-8"))
    file = tmp_path / "old" / content["tensors"]["file"]
    named = {name.replace("backbone.", "backbone._orig_mod."): value for name, value in safetensors.torch.load(file.read_bytes()).items()}
    file.write_bytes(data := safetensors.torch.save(named))
    edit(tmp_path / "old", lambda content: content["tensors"].update(sha256=hashlib.sha256(data).hexdigest()))
    assert torch.equal(logits(load_folder(tmp_path / "old").learner), logits(made))


class Counting(nn.Linear):
    """Keeps a number beside its tensors."""

    def __init__(self, kept: Any) -> None:
        super().__init__(4, 2)
        self.kept = kept

    def get_extra_state(self) -> Any:
        return self.kept

    def set_extra_state(self, state: Any) -> None:
        self.kept = state


def test_state_that_is_no_tensor_is_refused_and_a_tensor_is_kept(tmp_path: Path) -> None:
    with pytest.raises(
        SavedError, match=r"'backbone\._extra_state' is a dict\. Keep it in a buffer \(register_buffer\), or let get_extra_state"
    ):
        save(tmp_path / "counted", ProtoNet(Counting({"calls": 3})))
    assert not (tmp_path / "counted").exists()
    save(tmp_path / "counted", ProtoNet(Counting(torch.tensor([3.0]))))
    into = ProtoNet(Counting(torch.tensor([0.0])))
    load_folder(tmp_path / "counted", into)
    assert into.backbone.get_extra_state().tolist() == [3.0]


def test_a_lazy_module_that_was_never_called_is_neither_saved_nor_filled(tmp_path: Path) -> None:
    lazy = ProtoNet(nn.LazyLinear(2))
    save(tmp_path / "plain", ProtoNet(nn.Linear(4, 2)))
    for ask in (lambda: save(tmp_path / "lazy", lazy), lambda: load_folder(tmp_path / "plain", lazy)):
        with pytest.raises(RecipeError, match=r"'backbone\.weight' has no shape yet: it belongs to a lazy module"):
            ask()
    assert not (tmp_path / "lazy").exists()
