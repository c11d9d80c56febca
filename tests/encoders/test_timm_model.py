"""timm's models, through a stand-in module: timm brings a torchvision that does not load beside the pinned PyTorch."""

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from kshot.encoders import timm_model
from kshot.encoders.table import open_encoder
from kshot.errors import RecipeError, SetupError


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    asked: list[Any] = []

    def create_model(name: str, **arguments: Any) -> nn.Module:
        asked.append((name, arguments))
        torch.manual_seed(0)
        network = nn.Sequential(nn.Flatten(), nn.Linear(3 * 8 * 8, 5))
        network.pretrained_cfg = {"license": "apache-2.0"}  # type: ignore[assignment]  # as timm's models have
        return network

    about = {"input_size": (3, 8, 8), "mean": (0.5, 0.5, 0.5), "std": (0.25, 0.25, 0.25)}
    data = SimpleNamespace(resolve_model_data_config=lambda model: about)
    stand_in = SimpleNamespace(is_model=lambda name: name == "tiny", create_model=create_model, data=data)
    monkeypatch.setitem(sys.modules, "timm", stand_in)
    monkeypatch.setattr(timm_model, "version", lambda name: "1.0.99")
    monkeypatch.setenv("KSHOT_CACHE", str(tmp_path / "cache"))
    return asked


@pytest.mark.slow
def test_a_model_is_made_without_its_classifier_and_only_once(asked: list[Any]) -> None:
    encoder = open_encoder("timm:tiny")
    pixels = np.random.default_rng(0).integers(0, 256, (2, 8, 8, 3), dtype=np.uint8)
    torch.manual_seed(0)
    network = nn.Sequential(nn.Flatten(), nn.Linear(3 * 8 * 8, 5))
    with torch.no_grad():
        expected = network((torch.from_numpy(pixels).permute(0, 3, 1, 2) / 255 - 0.5) / 0.25).numpy()
    np.testing.assert_allclose(encoder.encode(list(pixels)), expected, atol=1e-4)
    assert (encoder.name, encoder.features, encoder.provenance.licence) == ("timm:tiny", 5, "apache-2.0")
    assert encoder.provenance.source == "timm:tiny of timm 1.0.99"
    assert open_encoder("timm:tiny").fingerprint == encoder.fingerprint
    assert asked == [("tiny", {"pretrained": True, "num_classes": 0})]


def test_an_unknown_model_is_refused(asked: list[Any]) -> None:
    with pytest.raises(RecipeError, match="timm knows no model 'large'"):
        open_encoder("timm:large")


def test_weights_that_cannot_be_fetched_are_an_error(asked: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(name: str, **arguments: Any) -> nn.Module:
        raise OSError("no network")

    monkeypatch.setattr(sys.modules["timm"], "create_model", offline)
    with pytest.raises(SetupError, match="timm cannot make 'tiny' with its weights: no network Check the network"):
        open_encoder("timm:tiny")


def test_timm_that_is_not_installed_or_does_not_load(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("KSHOT_CACHE", str(tmp_path / "cache"))
    with pytest.raises(SetupError, match=r"needs timm, which is not installed. Install it with: pip install timm"):
        open_encoder("timm:tiny")
    monkeypatch.setattr(timm_model, "version", lambda name: "1.0.99")
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(SetupError, match=r"timm does not load: .*It needs a torchvision that fits the installed PyTorch"):
        open_encoder("timm:tiny")
