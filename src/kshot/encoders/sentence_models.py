"""Sentence encoders by name: what a package carries, or a folder.

In: a name. Out: a `SentenceEncoder`. Next: `kshot.encoders.table`.
"""

from importlib.util import find_spec
from pathlib import Path

from kshot.backbones.published_weights import MINILM
from kshot.encoders.encoder import Provenance
from kshot.encoders.sentence_encoder import SentenceEncoder
from kshot.encoders.sentence_export import LAYERS, sentence_encoder
from kshot.errors import missing_extra
from kshot.regular_file import read_text


def open_minilm(name: str, device: str = "cpu") -> SentenceEncoder:
    """Open all-MiniLM-L6-v2, with or without `:layers` or `:early` at the end, from the package that carries its weights.

    Raises:
        SetupError: The package is not installed.
    """
    spec = find_spec(MINILM.module)
    if spec is None or spec.origin is None:
        raise missing_extra(MINILM.package, "text", f"the encoder {name}")
    provenance = Provenance(MINILM.licence, MINILM.source, MINILM.package)
    return sentence_encoder(name, (Path(spec.origin).parent / MINILM.file).parent, provenance, device)


def open_sentence_model(name: str, folder: Path, device: str = "cpu") -> SentenceEncoder:
    """Open the model in a folder.

    Args:
        name: What the encoder is called, with or without `:layers` at the end.
        folder: The folder of the model.
        device: Where the network computes.

    Raises:
        SavedError: The folder holds no such model, or it is damaged.
    """
    return sentence_encoder(name, folder, Provenance(_licence(folder), name.removesuffix(LAYERS)), device)


def _licence(folder: Path) -> str:
    """Read the licence in the head of a model's README."""
    try:
        lines = read_text(folder / "README.md").splitlines()
    except (OSError, ValueError):
        return "unknown"
    head = lines[1 : lines.index("---", 1)] if lines[:1] == ["---"] and "---" in lines[1:] else []
    return next((line.partition(":")[2].strip() for line in head if line.startswith("license:")), "") or "unknown"
