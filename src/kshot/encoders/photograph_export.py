"""PyTorch networks as encoders of photographs: written once as an ONNX file that takes pixels. PyTorch is imported in functions.

    efficientnet_lite0, efficientnet_lite2     kshot's own, with the weights that packages carry
    efficientnet_lite0:early                   all but the last blocks, from which these learn
    encoder_of_network                         any module from Python

In: a network, or the name of one. Out: a `PhotographEncoder`. Next: `kshot.encoders.table`.
"""

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from kshot.backbones.published_weights import EFFICIENTNET_LITE0, EFFICIENTNET_LITE2, PublishedWeights
from kshot.encoders.encoder import Provenance, fingerprint_of, tuned_provenance
from kshot.encoders.encoder_folder import TemporaryFolder, kept_folder
from kshot.encoders.onnx_export import exported
from kshot.encoders.photograph_encoder import (
    IMAGENET_DEVIATION,
    IMAGENET_MEAN,
    PhotographEncoder,
    PhotographForm,
    photograph_files,
    read_photograph_encoder,
)
from kshot.encoders.photograph_tuning import TunablePhotographs
from kshot.errors import RecipeError

if TYPE_CHECKING:
    from torch import Tensor, nn

    from kshot.backbones.efficientnet_lite import EfficientNetLite0, EfficientNetLite2

VERSION = "2"
"""Of the graphs that this module writes, and of how pictures are brought to size: another one makes every graph again."""
FROM_PYTHON = Provenance("unknown", "a network given from Python")
_LITE_MEAN, _LITE_DEVIATION = (127 / 255,) * 3, (128 / 255,) * 3


def open_efficientnet_lite0(device: str = "cpu") -> PhotographEncoder:
    """Open EfficientNet-Lite0 with ImageNet's weights: photographs of 224 × 224 pixels, D = 1280.

    Raises:
        SetupError: The package with the weights, or what runs or writes ONNX files, is not installed.
    """
    return _open_lite("efficientnet_lite0", 224, EFFICIENTNET_LITE0, device)


def open_efficientnet_lite2(device: str = "cpu") -> PhotographEncoder:
    """Open EfficientNet-Lite2 with ImageNet's weights: photographs of 260 × 260 pixels, D = 1280.

    Raises:
        SetupError: The package with the weights, or what runs or writes ONNX files, is not installed.
    """
    return _open_lite("efficientnet_lite2", 260, EFFICIENTNET_LITE2, device)


def open_efficientnet_lite0_early(device: str = "cpu") -> PhotographEncoder:
    """Open the early blocks of EfficientNet-Lite0: D = 21,952, what the backbone `efficientnet_lite0_late` learns from.

    Raises:
        SetupError: As of `open_efficientnet_lite0`.
    """
    published, name = EFFICIENTNET_LITE0, "efficientnet_lite0:early"
    provenance = Provenance(published.licence, published.source, published.package)
    fingerprint = fingerprint_of("photographs", VERSION, name, published.digest, "224")

    def made() -> dict[str, bytes]:
        published.read()  # says what to install before PyTorch is loaded
        from kshot.backbones.efficientnet_lite0_late import EarlyLayers

        return network_files(EarlyLayers(), name, 224, _LITE_MEAN, _LITE_DEVIATION, provenance, fingerprint)

    folder, temporary = kept_folder(fingerprint, made)
    return read_photograph_encoder(folder, device, held=temporary)


def _open_lite(name: str, size: int, published: PublishedWeights, device: str) -> PhotographEncoder:
    provenance = Provenance(published.licence, published.source, published.package)
    fingerprint = fingerprint_of("photographs", VERSION, name, published.digest, str(size))

    def network() -> "EfficientNetLite0 | EfficientNetLite2":
        published.read()  # says what to install before PyTorch is loaded
        from kshot.backbones.efficientnet_lite import EfficientNetLite0, EfficientNetLite2

        return EfficientNetLite0(weights="imagenet") if name == "efficientnet_lite0" else EfficientNetLite2(weights="imagenet")

    def made() -> dict[str, bytes]:
        return network_files(network(), name, size, _LITE_MEAN, _LITE_DEVIATION, provenance, fingerprint)

    def learns(frozen: PhotographEncoder) -> TunablePhotographs:
        built = network()
        scaled, origin = _scaled(built, _LITE_MEAN, _LITE_DEVIATION), tuned_provenance(provenance)
        files = partial(network_files, built, name, size, _LITE_MEAN, _LITE_DEVIATION, origin)
        return TunablePhotographs(frozen, scaled, built.network.last_parameters(), files)

    folder, temporary = kept_folder(fingerprint, made)
    return read_photograph_encoder(folder, device, held=temporary, learns=learns)


def encoder_of_network(
    network: "nn.Module",
    *,
    name: str,
    size: int = 224,
    mean: Sequence[float] = IMAGENET_MEAN,
    deviation: Sequence[float] = IMAGENET_DEVIATION,
    provenance: Provenance = FROM_PYTHON,
) -> PhotographEncoder:
    """Make an encoder of any network for photographs. It is written as an ONNX file each time, which takes some seconds.

    Args:
        network: Photographs, float32 (M, 3, size, size), light less `mean` divided by `deviation` → vectors (M, D). It is used as it is in
            evaluation, and is not changed.
        name: What the encoder is called. A model that is fitted with it is complete only with its ONNX file.
        size: Side of the square that the network sees.
        mean: Of light in [0, 1], for red, green and blue.
        deviation: Likewise.
        provenance: Licence and source of the weights.

    Raises:
        RecipeError: The network cannot be written as an ONNX file, or does not return one vector per photograph.
        SetupError: What runs or writes ONNX files is not installed.
    """
    _check_scale(mean, deviation)
    files = network_files(network, name, size, mean, deviation, provenance)
    temporary = TemporaryFolder(files)
    return read_photograph_encoder(temporary.path, held=temporary)


def network_files(
    network: "nn.Module",
    name: str,
    size: int,
    mean: Sequence[float],
    deviation: Sequence[float],
    provenance: Provenance,
    fingerprint: str = "",
) -> dict[str, bytes]:
    """Return the files of the encoder that a network is; an empty fingerprint is taken from its graph."""
    import torch

    pixels = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (3, size, size, 3), dtype=np.uint8))
    scaled = _scaled(network, mean, deviation)
    graph, vectors = exported(scaled, {"pixels": pixels}, {"pixels": {0: "photographs"}}, name=name, extra="photos")
    form = PhotographForm(
        name=name,
        features=vectors.shape[1],
        fingerprint=fingerprint or fingerprint_of("photographs", VERSION, graph, str(size)),
        size=size,
        layout="pixels",
        mean=(),
        deviation=(),
        provenance=provenance,
    )
    return photograph_files(form, graph)


def _scaled(network: "nn.Module", mean: Sequence[float], deviation: Sequence[float]) -> "nn.Module":
    """Return a network that takes pixels: uint8 (M, size, size, 3)."""
    import torch
    from torch import nn

    class Scaled(nn.Module):
        shift: torch.Tensor
        scale: torch.Tensor

        def __init__(self) -> None:
            super().__init__()
            self.network = network
            self.register_buffer("shift", 255 * torch.tensor(mean, dtype=torch.float64).float().view(3, 1, 1))
            self.register_buffer("scale", 255 * torch.tensor(deviation, dtype=torch.float64).float().view(3, 1, 1))

        def forward(self, pixels: "Tensor") -> "Tensor":
            light = pixels.permute(0, 3, 1, 2).float()  # (M, 3, size, size)
            vectors: Tensor = self.network((light - self.shift) / self.scale)
            return vectors

    return Scaled()


def _check_scale(mean: Sequence[float], deviation: Sequence[float]) -> None:
    if len(mean) != 3 or len(deviation) != 3 or min(deviation) <= 0:
        raise RecipeError(
            f"mean and deviation are three numbers each, for red, green and blue, and deviations are positive; "
            f"found {tuple(mean)} and {tuple(deviation)}."
        )
