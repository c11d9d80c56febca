"""Vision models of transformers as encoders of photographs: DINOv2, SigLIP, CLIP and the like. PyTorch is imported in functions.

    a vision model               its pooled output; where it has none, the first token
    a model of pictures and texts    what it compares with texts, so that `encode_texts` gives vectors in the same space

In: the folder of a model, as transformers saves it. Out: an encoder, whose graphs are kept in the cache folder. A picture is brought to
size as every photograph is, with the size, the mean and the deviation that the model's own preprocessing names. Next:
`kshot.encoders.table`.
"""

from collections.abc import Mapping
from hashlib import file_digest
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from safetensors import SafetensorError

from kshot.encoders.encoder import Provenance, fingerprint_of
from kshot.encoders.encoder_folder import MOST_BYTES, kept_folder
from kshot.encoders.onnx_export import exported, quiet
from kshot.encoders.photograph_encoder import IMAGENET_DEVIATION, IMAGENET_MEAN, PhotographEncoder, read_photograph_encoder
from kshot.encoders.photograph_export import VERSION, network_files
from kshot.encoders.photograph_text_encoder import PhotographTextEncoder, TextForm, read_photograph_text_encoder, text_files
from kshot.errors import SavedError, missing_extra
from kshot.printable import printable
from kshot.regular_file import names_in, opened, read_json, read_text

if TYPE_CHECKING:
    from torch import Tensor, nn

_DECIDING = (".json", ".txt", ".safetensors", ".model")
"""Ends of the names of the files that decide what a model computes. No pickle is among them."""
_CONFIG, _PREPROCESSING = "config.json", "preprocessor_config.json"


def is_vision_model(folder: Path) -> bool:
    """Whether a folder holds a model of transformers that sees pictures."""
    config = _read(folder, _CONFIG)
    return "vision_config" in config or "image_size" in config


def open_vision_model(name: str, folder: Path, device: str = "cpu") -> PhotographEncoder | PhotographTextEncoder:
    """Open a vision model of transformers.

    Args:
        name: What the encoder is called.
        folder: The folder of the model.
        device: Where the network computes.

    Raises:
        SavedError: The folder holds no such model, or a damaged one.
        RecipeError: The model cannot be written as an ONNX file.
        SetupError: What it needs is not installed.
    """
    config = _read(folder, _CONFIG)
    reads_texts = "text_config" in config and "vision_config" in config
    fingerprint = fingerprint_of("vision", VERSION, *_digests(folder))
    provenance = Provenance(_licence(folder), name)

    def made() -> dict[str, bytes]:
        size, mean, deviation = _preprocessing(folder, config)
        model = _loaded(folder)
        files = network_files(_pictures(model, reads_texts), name, size, mean, deviation, provenance, fingerprint)
        return text_files(files, *_texts(model, folder, name)) if reads_texts else files

    kept, temporary = kept_folder(fingerprint, made)
    read = read_photograph_text_encoder if reads_texts else read_photograph_encoder
    return read(kept, device, name=name, held=temporary)


def _read(folder: Path, name: str) -> dict[str, Any]:
    try:
        found = read_json(folder / name)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise SavedError(f"cannot read {printable(folder / name)}: {reason}. Save the model again with save_pretrained.") from error
    if not isinstance(found, dict):
        raise SavedError(f"{printable(folder / name)} must hold a table. Save the model again with save_pretrained.")
    return found


def _digests(folder: Path) -> list[str]:
    """Read what decides the vectors of a model."""
    found = []
    for name in names_in(folder, SavedError):
        if name.endswith(_DECIDING):
            try:
                with opened(folder / name, MOST_BYTES) as file:
                    found.append(f"{name} {file_digest(file, 'sha256').hexdigest()}")
            except OSError as error:
                raise SavedError(f"cannot read {printable(folder / name)}: {error.strerror or error}. Copy the model again.") from error
    if not any(".safetensors " in one for one in found):
        raise SavedError(f"{printable(folder)} holds no weights as safetensors. Save the model again with save_pretrained.")
    return found


def _preprocessing(folder: Path, config: Mapping[str, Any]) -> tuple[int, tuple[float, ...], tuple[float, ...]]:
    """Return size, mean and deviation of a model's pictures."""
    own = _read(folder, _PREPROCESSING) if _PREPROCESSING in names_in(folder, SavedError) else {}
    vision = config.get("vision_config") or config
    sizes = own.get("crop_size") if own.get("do_center_crop") else own.get("size")
    size = _side(sizes) or _side(vision.get("image_size")) or 224
    if own.get("do_normalize", True):
        mean, deviation = own.get("image_mean", IMAGENET_MEAN), own.get("image_std", IMAGENET_DEVIATION)
    else:
        mean, deviation = (0.0,) * 3, (1.0,) * 3
    return size, tuple(mean), tuple(deviation)


def _side(size: object) -> int:
    """Return the side that a size names in one of the ways of transformers; 0 if none does."""
    if isinstance(size, Mapping):
        size = size.get("height") or size.get("shortest_edge")
    return size if isinstance(size, int) and size > 0 else 0


def _loaded(folder: Path) -> Any:
    try:
        from transformers import AutoModel
    except ImportError as error:
        raise missing_extra("transformers", "text", "a vision model of transformers") from error
    try:
        with quiet():
            return AutoModel.from_pretrained(str(folder), local_files_only=True, use_safetensors=True).eval()
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, ImportError, SafetensorError) as error:  # damage is not one class
        reason = printable((str(error).splitlines() or [type(error).__name__])[0])
        raise SavedError(f"cannot open {printable(folder)} as a model of transformers: {reason} Save it again.") from error


def _pictures(model: Any, reads_texts: bool) -> "nn.Module":
    from torch import nn

    class Pictures(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, x: "Tensor") -> "Tensor":
            found = self.model.get_image_features(pixel_values=x) if reads_texts else self.model(pixel_values=x)
            pooled = found.get("pooler_output")
            vectors: Tensor = found.last_hidden_state[:, 0] if pooled is None else pooled
            return vectors.flatten(1)

    return Pictures()


def _texts(model: Any, folder: Path, name: str) -> tuple[TextForm, bytes, bytes]:
    """Return the form, the graph and the tokenizer of a model's text side."""
    import torch
    from torch import nn
    from transformers import AutoTokenizer

    class Texts(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, input_ids: "Tensor") -> "Tensor":
            vectors: Tensor = self.model.get_text_features(input_ids=input_ids).pooler_output
            return vectors

    try:
        with quiet():
            tokenizer = AutoTokenizer.from_pretrained(str(folder), local_files_only=True, use_fast=True)
        words: bytes = tokenizer.backend_tokenizer.to_str().encode()
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, ImportError, AttributeError) as error:
        reason = printable((str(error).splitlines() or [type(error).__name__])[0])
        raise SavedError(
            f"{printable(folder)} has a text side, but its tokenizer cannot be read: {reason} Save the tokenizer beside it."
        ) from error
    length = int(model.config.text_config.max_position_embeddings)
    form: TextForm = {"length": length, "padding": int(tokenizer.pad_token_id or 0)}
    most = int(model.config.text_config.vocab_size)
    pieces = torch.from_numpy(np.random.default_rng(0).integers(0, most, (3, length)))
    graph, _ = exported(Texts(), {"input_ids": pieces}, {"input_ids": {0: "texts"}}, name=name, extra="text")
    return form, graph, words


def _licence(folder: Path) -> str:
    """Read the licence in the head of a model's README."""
    try:
        lines = read_text(folder / "README.md").splitlines()
    except (OSError, ValueError):
        return "unknown"
    head = lines[1 : lines.index("---", 1)] if lines[:1] == ["---"] and "---" in lines[1:] else []
    return next((line.partition(":")[2].strip() for line in head if line.startswith("license:")), "") or "unknown"
