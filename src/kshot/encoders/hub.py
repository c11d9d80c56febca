"""Models of a hub: the folder of one that is in the hub's own cache, or is fetched into it. Only a name `OWNER/NAME` asks a network.

In: `OWNER/NAME`. Out: a folder, without pickles and without programs. Next: `kshot.encoders.table`.
"""

from pathlib import Path

from kshot.errors import SetupError, missing_extra
from kshot.printable import printable

_FILES = ("*.json", "*.txt", "*.safetensors", "*.model", "README.md")
"""What is fetched of a model of a hub: no pickle, and no program."""


def is_hub_name(name: str) -> bool:
    """Whether a name has the form `OWNER/NAME`."""
    owner, slash, rest = name.partition("/")
    return bool(slash and owner and rest) and "/" not in rest and "+" not in name and not owner.startswith((".", "~"))


def hub_folder(name: str) -> Path:
    """Return the folder of a model, from the hub's cache where it is there.

    Raises:
        SetupError: The hub cannot be reached, or has no such model.
    """
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
            "here; all-MiniLM-L6-v2 and efficientnet_lite0 need no network."
        ) from error
