"""An encoder of photographs with a text side, as of CLIP: photographs and texts become vectors in one space.

In: a folder that `kshot.encoders.transformers_vision` has filled. Out: an encoder of photographs that has `encode_texts`. Next:
`kshot.encoders.embed`, and the tasks that begin with the names of their classes.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypedDict

import numpy as np

from kshot.encoders.encoder import Provenance, Reads
from kshot.encoders.encoder_folder import DESCRIPTION, GRAPH, damaged, described, files_in, read_description, write_files
from kshot.encoders.onnx_file import OnnxFile
from kshot.encoders.photograph_encoder import KIND as PHOTOGRAPHS
from kshot.encoders.photograph_encoder import PhotographDescription, PhotographEncoder, form_of
from kshot.errors import DataError, missing_extra
from kshot.regular_file import parse_json, read_bytes
from kshot.short_repr import short_repr

KIND = "photographs and texts"
TEXT_GRAPH, TOKENIZER = "encoder.texts.onnx", "encoder.tokenizer.json"
_AT_ONCE = 16
_MOST_TOKENIZER = 2**28


class TextForm(TypedDict):
    """How texts are given to the text side.

    Attributes:
        length: Word pieces of every text: longer ones are cut, shorter ones filled up.
        padding: The number of the word piece that fills up.
    """

    length: int
    padding: int


class _Description(PhotographDescription):
    texts: TextForm


class PhotographTextEncoder:
    """A frozen network for photographs with a text side.

    Args:
        folder: Holds its files.
        device: Where the networks compute.
        name: As `--encoder` took it; empty: as the folder says.
        held: What keeps the folder there, if it is a temporary one.

    Raises:
        SavedError: A file is missing or damaged.
        SetupError: ONNX Runtime or tokenizers is not installed, or cannot use the device.
    """

    def __init__(self, folder: Path, device: str = "cpu", *, name: str = "", held: object = None) -> None:
        found: _Description = read_description(folder, _Description, KIND)
        self._found, self._folder = found, folder
        self._photographs = PhotographEncoder(OnnxFile(folder / GRAPH, device), form_of(found, name), held=held)
        self._texts = OnnxFile(folder / TEXT_GRAPH, device, extra="text")
        self._tokenizer = _tokenizer(folder / TOKENIZER, found["texts"]["length"])
        self.name, self.features, self.fingerprint = self._photographs.name, self._photographs.features, self._photographs.fingerprint
        self.provenance: Provenance = self._photographs.provenance
        self.reads: Reads = "photographs"

    def __repr__(self) -> str:
        about = [repr(self.name), repr(self._photographs.form.size), f"features={self.features}", f"fingerprint={self.fingerprint!r}"]
        return short_repr("PhotographTextEncoder", about)

    def read(self, thing: object) -> np.ndarray:
        """Return a photograph as uint8 (size, size, 3). Arguments and errors are those of `PhotographEncoder.read`."""
        return self._photographs.read(thing)

    def encode(self, items: Sequence[Any]) -> np.ndarray:
        """Return the vectors (M, D) of M photographs."""
        return self._photographs.encode(items)

    @property
    def input_form(self) -> Mapping[str, Any]:
        """What the graph of the photographs takes, in words."""
        return self._photographs.input_form

    def inputs(self, items: Sequence[np.ndarray]) -> Mapping[str, np.ndarray]:
        """Return what the graph of the photographs takes for M of them. See `GraphEncoder.inputs`."""
        return self._photographs.inputs(items)

    def encode_texts(self, texts: Sequence[str]) -> np.ndarray:
        """Return the vectors (M, D) of M texts, in the space of the photographs.

        Raises:
            DataError: One is empty or no text.
        """
        for number, text in enumerate(texts):
            if not isinstance(text, str) or not text.strip():
                raise DataError(
                    f"text {number} is {'empty' if isinstance(text, str) else type(text).__name__}; expected a name or a sentence."
                )
        if not texts:
            return np.empty((0, self.features), np.float32)
        length, padding = self._found["texts"]["length"], self._found["texts"]["padding"]
        pieces = np.full((len(texts), length), padding, np.int64)
        for row, text in zip(pieces, texts, strict=True):
            numbers = self._tokenizer.encode(text).ids
            row[: len(numbers)] = numbers
        parts = [pieces[start : start + _AT_ONCE] for start in range(0, len(pieces), _AT_ONCE)]
        return np.concatenate(self._texts.run_each([{self._texts.inputs[0].name: part} for part in parts]))

    def write(self, folder: Path) -> None:
        """Write the encoder into a folder; see `PortableEncoder.write`."""
        write_files(folder, files_in(self._folder, self._found))


def read_photograph_text_encoder(folder: Path, device: str = "cpu", *, name: str = "", held: object = None) -> PhotographTextEncoder:
    """Open the encoder in a folder; arguments and errors are those of `PhotographTextEncoder`."""
    return PhotographTextEncoder(folder, device, name=name, held=held)


def text_files(photographs: Mapping[str, bytes], form: TextForm, graph: bytes, tokenizer: bytes) -> dict[str, bytes]:
    """Add a text side to the files of an encoder of photographs."""
    description = parse_json(photographs[DESCRIPTION].decode())
    assert description["kind"] == PHOTOGRAPHS
    files = {name: content for name, content in photographs.items() if name != DESCRIPTION}
    return described({**description, "kind": KIND, "texts": form}, {**files, TEXT_GRAPH: graph, TOKENIZER: tokenizer})


def _tokenizer(path: Path, length: int) -> Any:
    try:
        from tokenizers import Tokenizer
    except ImportError as error:
        raise missing_extra("tokenizers", "text", "the text side of an encoder") from error
    try:
        found = Tokenizer.from_buffer(read_bytes(path, _MOST_TOKENIZER))
        found.enable_truncation(length)
        found.no_padding()
    except Exception as error:  # tokenizers raises no class of its own
        raise damaged(path, error) from error
    return found
