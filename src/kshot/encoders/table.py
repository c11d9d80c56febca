"""Encoders by name, as `--encoder` takes them.

    a name of `ENCODERS`        a network whose weights a package carries
    A+B                         several of them, joined
    FILE.onnx                   an ONNX file
    FOLDER                      a model of sentence-transformers, a vision model of transformers, or an encoder that was written there
    OWNER/NAME                  a model of a hub: from the hub's own cache, or else fetched
    NAME:layers                 three layers of a sentence-transformers model
    timm:NAME                   a model of timm, where it is installed

Opening one loads no more than it needs; what is not installed is an error with the line that installs it. `kshot.tasks` makes an encoder of
a saved learner, and asks here for everything else. In: a name. Out: an `Encoder`.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path

from kshot.encoders.encoder import Encoder, Reads
from kshot.encoders.encoder_folder import DESCRIPTION, kind_of
from kshot.encoders.hub import hub_folder, is_hub_name
from kshot.encoders.joined import KIND as JOINED
from kshot.encoders.joined import JoinedEncoder, read_joined
from kshot.encoders.onnx_photographs import open_onnx_photographs
from kshot.encoders.photograph_encoder import KIND as PHOTOGRAPHS
from kshot.encoders.photograph_encoder import read_photograph_encoder
from kshot.encoders.photograph_export import open_efficientnet_lite0, open_efficientnet_lite0_early, open_efficientnet_lite2
from kshot.encoders.photograph_text_encoder import KIND as PHOTOGRAPHS_AND_TEXTS
from kshot.encoders.photograph_text_encoder import read_photograph_text_encoder
from kshot.encoders.sentence_encoder import KIND as SENTENCES
from kshot.encoders.sentence_encoder import SentenceEncoder
from kshot.encoders.sentence_export import LAYERS
from kshot.encoders.sentence_models import open_minilm, open_sentence_model
from kshot.encoders.timm_model import TIMM, open_timm_model
from kshot.encoders.transformers_vision import is_vision_model, open_vision_model
from kshot.errors import RecipeError, SavedError, known_ones
from kshot.printable import printable
from kshot.regular_file import look, names_in

ENCODERS: dict[str, Callable[[str], Encoder]] = {
    "efficientnet_lite0": open_efficientnet_lite0,
    "efficientnet_lite0:early": open_efficientnet_lite0_early,
    "efficientnet_lite2": open_efficientnet_lite2,
    "all-MiniLM-L6-v2": partial(open_minilm, "all-MiniLM-L6-v2"),
    "all-MiniLM-L6-v2:early": partial(open_minilm, "all-MiniLM-L6-v2:early"),
    "all-MiniLM-L6-v2:layers": partial(open_minilm, "all-MiniLM-L6-v2:layers"),
}
"""Name → what opens the encoder on a device."""
KINDS: dict[str, Callable[..., Encoder]] = {
    PHOTOGRAPHS: read_photograph_encoder,
    PHOTOGRAPHS_AND_TEXTS: read_photograph_text_encoder,
    SENTENCES: SentenceEncoder,
}
"""Kind of an encoder in a folder → what reads it there, on a device, and keeps hold of what `held` is."""
DEFAULTS: dict[Reads, str] = {"photographs": "efficientnet_lite0", "texts": "all-MiniLM-L6-v2:layers"}
"""What is opened where no encoder is named."""


def open_encoder(name: str, *, device: str = "cpu") -> Encoder:
    """Open the encoder of that name.

    Args:
        name: As in the list above.
        device: Where the network computes: `cpu`, or `cuda` for a GPU.

    Raises:
        RecipeError: There is no such encoder, or names are joined that do not go together.
        SavedError: A file or a folder is damaged.
        SetupError: It needs a package, a device or a network that is not here.
    """
    if name in ENCODERS:
        return ENCODERS[name](device)
    if name.startswith(TIMM):
        return open_timm_model(name, device)
    place = name.removesuffix(LAYERS)
    if (found := look(place)) == "folder":
        return _in_folder(name, Path(place), device)
    if found != "nothing":
        return open_onnx_photographs(name, device)
    if "+" in name:
        return JoinedEncoder([open_encoder(part.strip(), device=device) for part in name.split("+")])
    if is_hub_name(place) and not place.endswith(".onnx"):
        return _in_folder(name, hub_folder(place), device)
    raise RecipeError(f"there is no encoder {name!r}, neither a known one nor a path.{known_ones(name, ENCODERS)}")


def read_encoder(folder: Path, *, device: str = "cpu", name: str = "", held: object = None) -> Encoder:
    """Open an encoder that `PortableEncoder.write` has written into a folder.

    Args:
        folder: The folder.
        device: Where the network computes.
        name: As `--encoder` took it; empty: as the folder says. Joined encoders keep the names of their parts.
        held: What keeps the folder there, if it is a temporary one.

    Raises:
        SavedError: There is none, or it is damaged or of a kind that this version does not know.
        SetupError: It needs a package or a device that is not here.
    """
    kind = kind_of(folder)
    if kind == JOINED:
        return read_joined(folder, partial(read_encoder, device=device))
    if kind not in KINDS:
        raise SavedError(f"{printable(folder)} holds an encoder of the kind {kind!r}.{known_ones(kind, KINDS)} A newer kshot may read it.")
    return KINDS[kind](folder, device, name=name, held=held)


def _in_folder(name: str, folder: Path, device: str) -> Encoder:
    names = names_in(folder)
    if "modules.json" in names:
        return open_sentence_model(name, folder, device)
    if DESCRIPTION in names and not name.endswith(LAYERS):
        return read_encoder(folder, device=device, name=name)  # a tuned one is known by its place alone
    if "config.json" in names and not name.endswith(LAYERS) and is_vision_model(folder):
        return open_vision_model(name, folder, device)
    raise RecipeError(
        f"there is no encoder {name!r} in {printable(folder)}: expected modules.json of sentence-transformers, config.json of a vision "
        f"model of transformers, or {DESCRIPTION} of kshot."
    )


def default_encoder(reads: Reads) -> str:
    """Name the encoder that is used where none is named.

    Raises:
        RecipeError: There is none for such things.
    """
    if reads not in DEFAULTS:
        raise RecipeError(f"no encoder is the usual one for {reads}; there is one for {' and for '.join(DEFAULTS)}. Name one.")
    return DEFAULTS[reads]
