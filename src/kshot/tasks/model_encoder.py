"""The encoder of a model: the one that it was fitted with, or the reason why it is not here.

In: a `Model`. Out: its encoder. Next: `kshot.tasks.answers`.
"""

from kshot.encoders.encoder import Encoder
from kshot.encoders.table import open_encoder
from kshot.errors import KshotError, SavedError
from kshot.tasks.model import Model


def encoder_of(model: Model, device: str = "cpu") -> Encoder:
    """Open the encoder of a model.

    Args:
        model: The model.
        device: Where the network computes: `cpu`, or `cuda` for a GPU.

    Raises:
        KshotError: The encoder is not here: the message says what to install, and which fingerprint is wanted.
        SavedError: It has changed: its vectors would mean nothing to this model.
    """
    wanted = model.encoder
    try:
        encoder = open_encoder(wanted.name, device=device)
    except KshotError as error:
        raise type(error)(f"{error} This model needs the encoder {wanted.name!r} with the fingerprint {wanted.fingerprint}.") from error
    if encoder.fingerprint != wanted.fingerprint:
        package = f", which the package {wanted.provenance.package} carried" if wanted.provenance.package else ""
        raise SavedError(
            f"the encoder {wanted.name!r} has changed: the model was fitted with the fingerprint {wanted.fingerprint}{package}; found "
            f"{encoder.fingerprint}. Install the version of that time, or fit the model again."
        )
    return encoder
