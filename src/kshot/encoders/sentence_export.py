"""A sentence-transformers model, written once as an ONNX file that `kshot.encoders.sentence_encoder` runs. Needs the extra `text`.

In: the folder of a model, as sentence-transformers saves it. Out: a `SentenceEncoder`, whose folder is kept in the user's cache. The graph
holds all that follows the tokenizer: the transformer, the pooling, and what the model puts after it. PyTorch is imported here alone, in
functions, and only where the graph is not there yet.
"""

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from functools import partial
from hashlib import file_digest
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from kshot.encoders.encoder import Provenance, fingerprint_of, tuned_provenance
from kshot.encoders.encoder_folder import GRAPH, MOST_BYTES, described, kept_folder
from kshot.encoders.onnx_export import exported, quiet
from kshot.encoders.sentence_encoder import INPUTS, KIND, SHARES, TOKENIZER, SentenceEncoder
from kshot.encoders.sentence_tuning import TunableSentences
from kshot.errors import SavedError, missing_extra
from kshot.printable import printable
from kshot.regular_file import look, names_in, opened

if TYPE_CHECKING:
    from torch import Tensor, nn

LAYERS, EARLY = ":layers", ":early"
"""Ends of a name: one asks for three layers, the other for what the last two layers take, from which they can learn."""
Form = Literal["vector", "layers", "early"]
LATE, EARLY_PIECES = 2, 46
"""Layers that `:early` leaves out, and word pieces that it keeps of a text."""
VERSION = "1"
"""Of the graphs that this module writes: another one makes every graph again."""
_DECIDING = (".json", ".txt", ".safetensors", ".model")
"""Ends of the names of the files that decide what a model computes. No pickle is among them."""
_MOST_TOKENS = 512
"""Word pieces of a model that names no limit."""
_EXAMPLES = ("Where is my card?", "A longer text, with a number (42), a name such as Zürich, and more words than the other.")


def sentence_encoder(name: str, model: Path, provenance: Provenance, device: str = "cpu") -> SentenceEncoder:
    """Open a sentence-transformers model as an encoder. Its graph is written into the cache folder first if it is not there.

    Args:
        name: What the encoder is called; `:layers` at its end asks for three layers, `:early` for what the last two take.
        model: The folder of the model.
        provenance: Of its weights.
        device: Where the network computes, as of `OnnxFile`.

    Raises:
        SavedError: The folder is no such model, or is damaged.
        RecipeError: The model cannot be written as a graph.
        SetupError: What it needs is not installed.
    """
    form: Form = "layers" if name.endswith(LAYERS) else "early" if name.endswith(EARLY) else "vector"
    asked = {"vector": (), "layers": SHARES, "early": (EARLY, LATE, EARLY_PIECES)}[form]
    fingerprint = fingerprint_of("texts", VERSION, repr(asked), *_digests(model))
    folder, held = kept_folder(fingerprint, lambda: _files(name, model, form, fingerprint, provenance))

    def learns(frozen: SentenceEncoder) -> TunableSentences:
        loaded = _quietly(model)
        files = partial(_written, name, loaded, form, provenance=tuned_provenance(provenance))
        return TunableSentences(frozen, _network(loaded, form), _embeddings(loaded), files)

    return SentenceEncoder(folder, device, name=name, held=held, learns=None if form == "early" else learns)


def _digests(model: Path) -> Iterator[str]:
    """Read what decides the vectors of a model: its files, without the words about it."""
    if "modules.json" not in names_in(model, SavedError):
        raise SavedError(f"{printable(model)} is no sentence-transformers model: it has no file modules.json. Save it with `model.save`.")
    for path in sorted(path for path in model.rglob("*") if path.suffix in _DECIDING and look(path, SavedError) == "file"):
        try:
            with opened(path, MOST_BYTES) as file:
                yield f"{path.relative_to(model).as_posix()} {file_digest(file, 'sha256').hexdigest()}"
        except OSError as error:
            raise SavedError(f"cannot read {printable(path)}: {error.strerror or error}. Copy the model again.") from error


def _files(name: str, model: Path, form: Form, fingerprint: str, provenance: Provenance) -> Mapping[str, bytes]:
    return _written(name, _quietly(model), form, fingerprint, provenance)


def _written(name: str, loaded: Any, form: Form, fingerprint: str, provenance: Provenance) -> Mapping[str, bytes]:
    tokenizer, inputs = loaded.tokenizer, _inputs(loaded)
    prompt = loaded.prompts.get(loaded.default_prompt_name, "") if loaded.default_prompt_name else ""
    given = tokenizer([prompt + text for text in _EXAMPLES], padding=True, return_tensors="pt")
    network = _network(loaded, form)
    dynamic = {one: {0: "texts", 1: "pieces"} for one in inputs}
    graph, vectors = exported(network, {one: given[one] for one in inputs}, dynamic, name=name, extra="text")
    places = getattr(loaded[0].auto_model.config, "max_position_embeddings", _MOST_TOKENS)
    description = {
        "kind": KIND,
        "name": name,
        "features": vectors.shape[1],
        "fingerprint": fingerprint,
        "most_tokens": min(int(loaded.max_seq_length or places), places, *([EARLY_PIECES] if form == "early" else [])),
        "prompt": prompt,
        "padding": int(tokenizer.pad_token_id or 0),
        "inputs": inputs,
        "provenance": asdict(provenance),
    }
    return described(description, {GRAPH: graph, TOKENIZER: tokenizer.backend_tokenizer.to_str().encode()})


def _quietly(model: Path) -> Any:
    with quiet():
        return _loaded(model)


def _inputs(loaded: Any) -> list[str]:
    return [one for one in INPUTS if one in loaded.tokenizer.model_input_names]


def _embeddings(loaded: Any) -> "list[nn.Parameter]":
    """Return the parameters that stand before the first layer: the vectors of word pieces and of places."""
    model = loaded[0].auto_model
    return [*model.get_input_embeddings().parameters(), *getattr(model, "embeddings", model.get_input_embeddings()).parameters()]


def _network(loaded: Any, form: Form) -> "nn.Module":
    """Return a module that takes the inputs by name and returns vectors (M, D)."""
    import torch
    from torch.nn.functional import normalize, pad

    loaded[0].auto_model.config.output_hidden_states = form != "vector"

    class Vectors(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = loaded

        def forward(self, **given: "Tensor") -> "Tensor":
            found = self.model(dict(given))
            parts = [found["sentence_embedding"]]
            if form == "vector":
                return normalize(parts[0], dim=1)
            states, mask = found["all_layer_embeddings"], given["attention_mask"].unsqueeze(-1).float()
            middle, words = ((states[place] * mask).sum(1) / mask.sum(1) for place in ((len(states) - 1) // 2, 0))
            if form == "early":  # rows of zeros fill up to the most pieces
                pieces = states[-1 - LATE] * mask  # (M, T, width)
                filled = pad(pieces, (0, 0, 0, EARLY_PIECES))[:, :EARLY_PIECES]
                return torch.cat([words.unsqueeze(1), middle.unsqueeze(1), filled], 1).flatten(1)
            parts += [middle, words]
            return torch.cat([share**0.5 * normalize(part, dim=1) for share, part in zip(SHARES, parts, strict=True)], 1)

    return Vectors().eval().requires_grad_(False)


def _loaded(model: Path) -> Any:
    try:
        from sentence_transformers import SentenceTransformer
        from transformers.utils.logging import disable_progress_bar
    except ImportError as error:
        raise missing_extra(error.name or "sentence-transformers", "text", "an encoder of texts") from error
    disable_progress_bar()  # type: ignore[no-untyped-call]  # transformers annotates nothing here
    try:
        return SentenceTransformer(str(model), device="cpu", local_files_only=True, model_kwargs={"use_safetensors": True}).eval()
    except Exception as error:  # what a damaged model raises is not one class
        reason = printable((str(error).splitlines() or [type(error).__name__])[0])
        raise SavedError(f"cannot open {printable(model)} as a sentence-transformers model: {reason} Save it again.") from error
