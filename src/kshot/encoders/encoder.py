"""What every encoder is: a frozen function from one thing to one vector, in two steps, with a name and a fingerprint.

    thing  --Encoder.read-->  item  --Encoder.encode-->  vector (D,) float32

A thing is what a user has: the path of a picture, a Pillow image, a text, a row of numbers. An item is its compact form, ready for the
network: pixels at the network's size, the numbers of tokens. Reading is done for each thing alone, on any thread; encoding takes many items
at once. Neither imports PyTorch. Next: `kshot.encoders.embed`, the one edge between things and vectors.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

import numpy as np

from kshot.errors import RecipeError

if TYPE_CHECKING:
    from torch import Tensor, nn

Reads = Literal["photographs", "texts", "numbers", "ink"]
"""What an encoder is for."""
_DIGITS = 16


@dataclass(frozen=True)
class Provenance:
    """Where the weights of an encoder come from, and what one may do with them; `kshot show` prints it.

    Attributes:
        licence: Its SPDX name, such as `Apache-2.0`, or `unknown`.
        source: Who trained the weights on what, and where they were published; for a file of the user, its path.
        package: The distribution that carries them, or an empty text.
    """

    licence: str
    source: str
    package: str = ""


class Encoder(Protocol):
    """A frozen network with all that stands before it.

    Attributes:
        name: As `--encoder` takes it: `efficientnet_lite0`, `efficientnet_lite0+efficientnet_lite2`, `all-MiniLM-L6-v2`, a path.
        reads: What it is for.
        features: D, the length of a vector.
        fingerprint: 16 hexadecimal digits over weights, graph and preprocessing. Encoders of one fingerprint give equal vectors, to
            rounding.
        provenance: Origin and licence of the weights.
    """

    @property
    def name(self) -> str: ...  # noqa: D102

    @property
    def reads(self) -> Reads: ...  # noqa: D102

    @property
    def features(self) -> int: ...  # noqa: D102

    @property
    def fingerprint(self) -> str: ...  # noqa: D102

    @property
    def provenance(self) -> Provenance: ...  # noqa: D102

    def read(self, thing: object) -> object:
        """Bring one thing to the form that `encode` takes. Several threads may call it at once.

        Raises:
            DataError: The thing cannot be read; the message names it and says why.
        """
        ...

    def encode(self, items: Sequence[object]) -> np.ndarray:
        """Return the vectors of M items, float32 (M, D). Each depends on its own item alone, to rounding."""
        ...


@runtime_checkable
class PortableEncoder(Encoder, Protocol):
    """An encoder that can be written into a folder, and read there by `kshot.encoders.table.read_encoder` on another machine."""

    def write(self, folder: Path) -> None:
        """Write what the encoder needs into a folder: `encoder.json`, `encoder.onnx`, and perhaps more files `encoder.*`.

        Raises:
            SavedError: The folder or the disk refused it.
        """
        ...


@runtime_checkable
class GraphEncoder(PortableEncoder, Protocol):
    """An encoder that is one ONNX graph, after a reading that can be said in words."""

    @property
    def input_form(self) -> Mapping[str, Any]:
        """What the graph takes, as plain JSON values, for people who bring things to that form without kshot."""
        ...

    def inputs(self, items: Sequence[Any]) -> Mapping[str, np.ndarray]:
        """Return what the graph takes for M items as `read` gives them, by the names of its inputs: arrays (M, …)."""
        ...


@runtime_checkable
class TextSide(Protocol):
    """An encoder of photographs whose vectors can be compared, by their angle, with vectors of texts."""

    def encode_texts(self, texts: Sequence[str]) -> np.ndarray:
        """Return the vectors of M texts, float32 (M, D), in the space of the photographs."""
        ...


class Tunable(Protocol):
    """The network of an encoder, as PyTorch trains it.

    Attributes:
        network: Takes what `given` returns, by keyword, and returns vectors (M, D) as the encoder does. Only its parameters that require
            gradients are trained. Without them and in evaluation mode, it gives the encoder's vectors, to rounding.
    """

    network: "nn.Module"

    def read(self, thing: object) -> np.ndarray:
        """Bring one thing to the form from which is learned. Errors are those of `Encoder.read`."""
        ...

    def cost(self, item: np.ndarray) -> int:
        """Return how much memory an item takes in training, in units of `most_cost`. Items of similar cost are learned together."""
        ...

    @property
    def most_cost(self) -> int:
        """How much the costliest item of a part of a batch, times the number of its items, may be."""
        ...

    def given(self, items: Sequence[np.ndarray], seeds: Sequence[int] | None = None) -> "Mapping[str, Tensor]":
        """Return what the network takes for M items.

        Args:
            items: Things, as `read` returns them.
            seeds: One number per item, by which it is varied, as photographs are; None: it is taken as it is.
        """
        ...

    def files(self, fingerprint: str) -> Mapping[str, bytes]:
        """Write the network as it is now, as the files of an encoder with that fingerprint. See `kshot.encoders.encoder_folder`.

        Raises:
            SetupError: What writes ONNX files is not installed.
            ContractError: The file gives other numbers than the network.
        """
        ...


@runtime_checkable
class TunableEncoder(Encoder, Protocol):
    """An encoder whose network can learn."""

    def tunable(self) -> Tunable:
        """Load the network, at the weights of the encoder. Each call gives another one.

        Raises:
            RecipeError: There is only the graph, which cannot learn.
            SetupError: What it needs is not installed.
        """
        ...


def fingerprint_of(*parts: str | bytes) -> str:
    """Return 16 hexadecimal digits that depend on every part and on their order.

    Example:
        >>> fingerprint_of("weights", b"graph") != fingerprint_of("weightsg", b"raph")
        True
    """
    digest = sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        digest.update(len(data).to_bytes(8, "little") + data)
    return digest.hexdigest()[:_DIGITS]


def tuned_provenance(provenance: Provenance) -> Provenance:
    """Return the provenance of weights after tuning: no package carries them."""
    return Provenance(provenance.licence, f"{provenance.source}; tuned on the examples of a model")


def cannot_learn(name: str) -> RecipeError:
    """Return the error for an encoder that cannot be tuned: its network is not here, or nothing here trains it."""
    return RecipeError(
        f"the encoder {name!r} answers and cannot learn. --tune trains efficientnet_lite0, efficientnet_lite2, all-MiniLM-L6-v2 and "
        "other sentence-transformers models, by their names or folders. Name one with --encoder, or leave --tune out."
    )
