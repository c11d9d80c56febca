"""The encoder of a model: the one that it was fitted with, or the reason why it is not here.

In: a `Model`. Out: its encoder. Next: `kshot.tasks.answers`.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from kshot.encoders.encoder import Encoder
from kshot.encoders.encoder_folder import DESCRIPTION
from kshot.encoders.table import read_encoder
from kshot.errors import KshotError, SavedError
from kshot.regular_file import look
from kshot.tasks.encoder_by_name import open_by_name
from kshot.tasks.model import EncoderFacts
from kshot.tasks.model_record import RECORD
from kshot.tasks.numbers.columns import NumberColumns
from kshot.tasks.numbers.number_encoder import NumberEncoder


class Reading(Protocol):
    """A model of whichever kind, as far as its encoder matters: the attributes are those of `kshot.tasks.model.Model`."""

    @property
    def encoder(self) -> EncoderFacts: ...  # noqa: D102

    @property
    def numbers(self) -> NumberColumns | None: ...  # noqa: D102

    @property
    def folder(self) -> Path | None: ...  # noqa: D102

    @property
    def tuned(self) -> Mapping[str, Any] | None: ...  # noqa: D102


def encoder_of(model: Reading, device: str = "cpu") -> Encoder:
    """Open the encoder of a model.

    Args:
        model: The model.
        device: Where the network computes: `cpu`, or `cuda` for a GPU.

    Raises:
        KshotError: The encoder is not here: the message says what to install, and which fingerprint is wanted.
        SavedError: It has changed: its vectors would mean nothing to this model.
    """
    wanted = model.encoder
    encoder = _opened(model, device)
    if encoder.fingerprint != wanted.fingerprint:
        package = f", which the package {wanted.provenance.package} carried" if wanted.provenance.package else ""
        raise SavedError(
            f"the encoder {wanted.name!r} has changed: the model was fitted with the fingerprint {wanted.fingerprint}{package}; found "
            f"{encoder.fingerprint}. Install the version of that time, or fit the model again."
        )
    return encoder


def _opened(model: Reading, device: str) -> Encoder:
    if model.numbers is not None:
        return NumberEncoder(model.numbers)
    if model.folder is not None and look(model.folder / DESCRIPTION, SavedError) == "file":
        return read_encoder(model.folder, device=device)
    wanted = model.encoder
    if model.tuned is not None:
        raise SavedError(
            f"the encoder of this model was tuned on its examples, and is nowhere but beside {RECORD} (encoder.*), where it is missing. "
            "Copy the whole folder again, or fit the model again."
        )
    try:
        return open_by_name(wanted.name, device=device)
    except KshotError as error:
        raise type(error)(f"{error} This model needs the encoder {wanted.name!r} with the fingerprint {wanted.fingerprint}.") from error
