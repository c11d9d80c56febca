"""Texts to vectors: a sentence-transformers model as ONNX Runtime runs it, with its tokenizer. Neither torch nor transformers is imported.

    NAME            the model's own sentence vector at unit length; in all-MiniLM-L6-v2, the mean over the word pieces
    NAME:layers     beside it the means over the word pieces in the middle layer and before the first one. Each of the three has unit length
                    and is multiplied by the root of its share, so that the inner product of two texts is a mean of three cosines.

The last layer is trained to say what a text means, and gives up how the text says so. Few examples are told apart better by both. In: a
folder that `kshot.encoders.sentence_export` has filled. Out: an `Encoder`.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypedDict

import numpy as np

from kshot.encoders.encoder import Provenance, Reads, Tunable, cannot_learn
from kshot.encoders.encoder_folder import GRAPH, damaged, files_in, read_description, write_files
from kshot.encoders.onnx_file import OnnxFile
from kshot.errors import DataError, missing_extra
from kshot.regular_file import read_bytes
from kshot.short_repr import short_repr

SHARES = (0.6, 0.2, 0.2)
"""Of the three cosines in `NAME:layers`: the sentence vector, the middle layer, the word embeddings."""
TOKENIZER = "encoder.tokenizer.json"
KIND = "texts"
INPUTS = ("input_ids", "attention_mask", "token_type_ids")
"""What a graph may take."""
_BATCH = 16
"""Texts that one thread computes at a time, of similar length. Larger batches are no faster on a processor."""
_ON_GPU = 256
_LARGEST = 2**30


class Description(TypedDict):
    """What `encoder.json` holds of an encoder of texts.

    Attributes:
        kind: `texts`.
        name: As `--encoder` takes it.
        features: D.
        fingerprint: As of every encoder.
        most_tokens: Word pieces that are read of a text, with those that mark its ends.
        prompt: What the model wants before each text.
        padding: The number of the word piece that fills up.
        inputs: The inputs of the graph, of `INPUTS`.
        provenance: Of the weights.
        digests: File → SHA-256.
    """

    kind: str
    name: str
    features: int
    fingerprint: str
    most_tokens: int
    prompt: str
    padding: int
    inputs: list[str]
    provenance: dict[str, str]
    digests: dict[str, str]


class SentenceEncoder:
    """A frozen sentence encoder.

    Args:
        folder: Holds `encoder.json`, `encoder.onnx` and `encoder.tokenizer.json`.
        device: Where the network computes, as of `OnnxFile`.
        name: As `--encoder` took it; empty: as the folder says.
        held: What keeps the folder there, if it is a temporary one.
        learns: Loads the network that the graph was written from; None if only the graph is here.

    Raises:
        SavedError: A file is missing or damaged.
        SetupError: ONNX Runtime or tokenizers is not installed, or there is no GPU.
    """

    def __init__(
        self,
        folder: Path,
        device: str = "cpu",
        *,
        name: str = "",
        held: object = None,
        learns: "Callable[[SentenceEncoder], Tunable] | None" = None,
    ) -> None:
        self._folder, self._held, self._learns = folder, held, learns
        self._about: Description = read_description(folder, Description, KIND)
        if unknown := set(self._about["inputs"]) - {*INPUTS}:
            raise damaged(folder, f"encoder.inputs names {', '.join(sorted(unknown))}, which no text gives")
        self.name, self.features, self.fingerprint = name or self._about["name"], self._about["features"], self._about["fingerprint"]
        self.reads: Reads = "texts"
        try:
            self.provenance = Provenance(**self._about["provenance"])
        except TypeError as error:
            raise damaged(folder, "encoder.provenance must have licence, source and package") from error
        self._tokenizer = _tokenizer(folder / TOKENIZER, self._about["most_tokens"])
        self._graph = OnnxFile(folder / GRAPH, device, extra="text")

    def __repr__(self) -> str:
        return short_repr("SentenceEncoder", [f"name={self.name!r}", f"features={self.features}", f"fingerprint={self.fingerprint!r}"])

    def read(self, thing: object) -> np.ndarray:
        """Cut a text into the numbers of its word pieces, int64 (T,). What is over `most_tokens` is left out.

        Raises:
            DataError: It is no text, it is empty, or it has half a character, which UTF-8 cannot hold.
        """
        if not isinstance(thing, str):
            raise DataError(f"a text is expected; found {type(thing).__name__}. Name the column of the texts.")
        if not thing.strip():
            raise DataError("the text is empty. Write it, or leave the row out.")
        try:
            thing.encode()
        except UnicodeEncodeError as error:
            raise DataError(f"character {error.start + 1} of the text is half a character, which UTF-8 cannot hold. Repair it.") from error
        return np.array(self._tokenizer.encode(self._about["prompt"] + thing).ids, np.int64)

    def encode(self, items: Sequence[Any]) -> np.ndarray:
        """Return the vectors of M texts, float32 (M, D). Texts of similar length are computed together; the order stays."""
        vectors = np.empty((len(items), self.features), np.float32)
        order = sorted(range(len(items)), key=lambda place: -len(items[place]))  # the longest first: no thread ends long after the others
        size = _BATCH if self._graph.device == "cpu" else _ON_GPU
        parts = [order[start : start + size] for start in range(0, len(order), size)]
        found = self._graph.run_each([self.inputs([items[place] for place in part]) for part in parts])
        for part, some in zip(parts, found, strict=True):
            vectors[part] = some
        return vectors

    def write(self, folder: Path) -> None:
        """Write the encoder into a folder. See `PortableEncoder.write`."""
        write_files(folder, files_in(self._folder, self._about))

    def tunable(self) -> Tunable:
        """Load the network. See `TunableEncoder.tunable`."""
        if self._learns is None:
            raise cannot_learn(self.name)
        return self._learns(self)

    @property
    def input_form(self) -> Mapping[str, Any]:
        """What the graph takes, in words."""
        most = self._about["most_tokens"]
        pieces = f"int64 (M, T): the word pieces that the tokenizer makes of the prompt and the text, at most {most}"
        words = dict(zip(INPUTS, (pieces, "int64 (M, T): 1 for a word piece, 0 where there is none", "int64 (M, T): 0"), strict=True))
        return {**{name: words[name] for name in self._about["inputs"]}, "prompt": self._about["prompt"], "padding": self._about["padding"]}

    def inputs(self, rows: Sequence[np.ndarray]) -> Mapping[str, np.ndarray]:
        """Return what the graph takes for M texts as `read` gives them: int64 (M, T) by name, filled up to the longest one."""
        shape = (len(rows), max(map(len, rows)))
        given = {name: np.zeros(shape, np.int64) for name in INPUTS}
        given["input_ids"][:] = self._about["padding"]
        for place, row in enumerate(rows):
            given["input_ids"][place, : len(row)] = row
            given["attention_mask"][place, : len(row)] = 1
        return {name: given[name] for name in self._about["inputs"]}


def _tokenizer(path: Path, most_tokens: int) -> Any:
    try:
        from tokenizers import Tokenizer
    except ImportError as error:
        raise missing_extra("tokenizers", "text", "an encoder of texts") from error
    try:
        found = Tokenizer.from_buffer(read_bytes(path, _LARGEST))
        found.enable_truncation(most_tokens)
        found.no_padding()
    except Exception as error:  # tokenizers raises no class of its own
        raise damaged(path, error) from error
    return found
