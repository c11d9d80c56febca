"""An encoder that was made once is found again, whole, or made again."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TypedDict

import pytest

from cases.logged import Logged
from kshot.encoders.encoder_folder import DESCRIPTION, described, kept_folder, kind_of, read_description, write_files
from kshot.errors import SavedError


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("KSHOT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


class Form(TypedDict):
    kind: str
    digests: dict[str, str]


class Maker:
    def __init__(self) -> None:
        self.made = 0

    def __call__(self) -> Mapping[str, bytes]:
        self.made += 1
        return described({"kind": "any"}, {"encoder.onnx": b"graph", "encoder.words": b"words"})


def test_it_is_made_once(cache: Path) -> None:
    make = Maker()
    for _ in range(2):
        folder, temporary = kept_folder("key", make)
        assert (folder, temporary) == (cache / "encoders" / "key", None)
        assert (folder / "encoder.words").read_bytes() == b"words"
        assert kind_of(folder) == "any"
    assert make.made == 1
    kept_folder("another", make)
    assert make.made == 2


@pytest.mark.parametrize("name", ["encoder.onnx", "encoder.words", DESCRIPTION])
@pytest.mark.parametrize("damage", ["changed", "missing"])
def test_a_damaged_one_is_made_again(name: str, damage: str, logged: Logged) -> None:
    make = Maker()
    folder, _ = kept_folder("key", make)
    if damage == "missing":
        (folder / name).unlink()
    else:
        (folder / name).write_bytes(b"other")
    kept_folder("key", make)
    assert make.made == 2
    assert ("It is made again." in logged.text) == ((name, damage) != (DESCRIPTION, "missing"))
    kept_folder("key", make)
    assert make.made == 2


def test_where_nothing_can_be_kept_it_lies_in_a_temporary_folder(cache: Path, logged: Logged) -> None:
    cache.write_text("in the way")
    make = Maker()
    folder, temporary = kept_folder("key", make)
    assert "the encoder is not kept, and will be made again the next time" in logged.text
    assert temporary is not None
    assert (folder / "encoder.onnx").read_bytes() == b"graph"
    del temporary
    assert not folder.exists()


def test_without_a_home_folder_it_is_temporary_too(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_home() -> Path:
        raise RuntimeError("Could not determine home directory.")

    for variable in ("KSHOT_CACHE", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr(Path, "home", no_home)
    folder, temporary = kept_folder("key", Maker())
    assert temporary is not None
    assert (folder / "encoder.onnx").exists()


def test_a_folder_without_an_encoder_has_no_kind(tmp_path: Path) -> None:
    with pytest.raises(SavedError, match=r"cannot use .*encoder\.json: No such file"):
        kind_of(tmp_path)
    (tmp_path / DESCRIPTION).write_text("[]")
    with pytest.raises(SavedError, match=r"encoder\.kind must be text in quotes"):
        kind_of(tmp_path)


def test_a_file_larger_than_a_graph_can_be_is_not_read(tmp_path: Path) -> None:
    write_files(tmp_path, described({"kind": "k"}, {"encoder.onnx": b"graph"}))
    os.truncate(tmp_path / "encoder.onnx", 2**31 + 1)  # a sparse file, which takes no room
    with pytest.raises(SavedError, match=r"encoder\.onnx: it has 2,147,483,649 bytes"):
        read_description(tmp_path, Form, "k")
