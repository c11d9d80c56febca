"""Encoders by name."""

from pathlib import Path

import pytest

from cases.encoders import Lengths
from kshot.encoders.table import ENCODERS, default_encoder, open_encoder
from kshot.errors import RecipeError


@pytest.fixture(autouse=True)
def two_encoders(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ENCODERS, "lengths", lambda device: Lengths(device))
    monkeypatch.setitem(ENCODERS, "widths", lambda device: Lengths("widths"))


def test_a_name_is_opened_on_its_device() -> None:
    assert open_encoder("lengths", device="cuda").name == "cuda"


def test_names_are_joined() -> None:
    joined = open_encoder("lengths+widths")
    assert (joined.name, joined.features) == ("cpu+widths", 4)
    assert open_encoder("widths + lengths").name == "widths+cpu"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "length",
            r"there is no encoder 'length', neither a known one nor a path\. Did you mean 'lengths'\? The known ones are .*lengths, widths",
        ),
        ("lengths+", "there is no encoder ''"),
        ("lengths+width", r"there is no encoder 'width', neither a known one nor a path\. Did you mean 'widths'"),
    ],
)
def test_an_unknown_name_is_refused(name: str, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        open_encoder(name)


def test_sentence_models_are_known_by_their_folder_or_their_owner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "modules.json").write_text("[]")
    monkeypatch.setattr("kshot.encoders.table.open_sentence_model", lambda name, folder, device: Lengths(f"{name} on {device}"))
    monkeypatch.setattr("kshot.encoders.table.hub_folder", lambda name: {"owner/model": tmp_path}[name])
    for name in (str(tmp_path), f"{tmp_path}:layers", "owner/model", "owner/model:layers"):
        assert open_encoder(name, device="cuda").name == f"{name} on cuda"
    assert open_encoder("owner/model+lengths").name == "owner/model on cpu+cpu"
    for name in (str(tmp_path / "nowhere"), "./model", "model:layers", "a/b/c"):
        with pytest.raises(RecipeError, match="there is no encoder"):
            open_encoder(name)


def test_the_usual_encoders() -> None:
    assert default_encoder("photographs") == "efficientnet_lite0"
    assert default_encoder("texts") == "all-MiniLM-L6-v2:layers"
    with pytest.raises(RecipeError, match="no encoder is the usual one for numbers; there is one for photographs and for texts"):
        default_encoder("numbers")
