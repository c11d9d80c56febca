"""Encoders by name, as `--encoder` takes them.

    a name of `ENCODERS`        a network whose weights a package carries
    a folder, OWNER/NAME        a sentence-transformers model: on disk, or of the hub; with `:layers` at its end, three of its layers
    A+B                         several of them, joined

Opening one loads no more than it needs; what is not installed is an error with the line that installs it. `kshot.tasks` makes an encoder of
a saved learner, and asks here for everything else. In: a name. Out: an `Encoder`.
"""

from collections.abc import Callable
from functools import partial

from kshot.encoders.encoder import Encoder, Reads
from kshot.encoders.joined import JoinedEncoder
from kshot.encoders.photograph_export import open_efficientnet_lite0, open_efficientnet_lite2
from kshot.encoders.sentence_models import is_sentence_model, open_minilm, open_sentence_model
from kshot.errors import RecipeError, known_ones

ENCODERS: dict[str, Callable[[str], Encoder]] = {
    "efficientnet_lite0": open_efficientnet_lite0,
    "efficientnet_lite2": open_efficientnet_lite2,
    "all-MiniLM-L6-v2": partial(open_minilm, "all-MiniLM-L6-v2"),
    "all-MiniLM-L6-v2:layers": partial(open_minilm, "all-MiniLM-L6-v2:layers"),
}
"""Name → what opens the encoder on a device."""
DEFAULTS: dict[Reads, str] = {"photographs": "efficientnet_lite0", "texts": "all-MiniLM-L6-v2:layers"}
"""What is opened where no encoder is named."""


def open_encoder(name: str, *, device: str = "cpu") -> Encoder:
    """Open the encoder of that name.

    Args:
        name: As in the list above.
        device: Where the network computes: `cpu`, or `cuda` for a GPU.

    Raises:
        RecipeError: There is no such encoder, or names are joined that do not go together.
        SavedError: A folder holds a damaged model.
        SetupError: It needs a package, a device or a network that is not here.
    """
    if name in ENCODERS:
        return ENCODERS[name](device)
    if is_sentence_model(name):
        return open_sentence_model(name, device)
    if "+" in name:
        return JoinedEncoder([open_encoder(part.strip(), device=device) for part in name.split("+")])
    raise RecipeError(f"there is no encoder {name!r}.{known_ones(name, ENCODERS)}")


def default_encoder(reads: Reads) -> str:
    """Name the encoder that is used where none is named.

    Raises:
        RecipeError: There is none for such things.
    """
    if reads not in DEFAULTS:
        raise RecipeError(f"no encoder is the usual one for {reads}; there is one for {' and for '.join(DEFAULTS)}. Name one.")
    return DEFAULTS[reads]
