"""Encoders by name."""

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
        ("length", r"there is no encoder 'length'\. Did you mean 'lengths'\? The known ones are .*lengths, widths"),
        ("lengths+", "there is no encoder ''"),
        ("lengths+width", r"there is no encoder 'width'\. Did you mean 'widths'"),
    ],
)
def test_an_unknown_name_is_refused(name: str, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        open_encoder(name)


def test_the_usual_encoders() -> None:
    assert default_encoder("photographs") == "efficientnet_lite0"
    assert default_encoder("texts") == "all-MiniLM-L6-v2"
    with pytest.raises(RecipeError, match="no encoder is the usual one for numbers; there is one for photographs and for texts"):
        default_encoder("numbers")
