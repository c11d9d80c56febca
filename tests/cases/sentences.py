"""Encoders of texts small enough to work out on paper."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from kshot.encoders.encoder_folder import GRAPH, described, write_files
from kshot.encoders.sentence_encoder import KIND, TOKENIZER

WORDS = {"[PAD]": 0, "[UNK]": 1, "card": 2, "lost": 3, "my": 4}
TABLE = np.array([[9, 9], [0, 0], [1, 0], [0, 1], [1, 1]], np.float32)
"""The vector of each word; that of the padding would be seen."""


def word_means(
    folder: Path,
    *,
    most_tokens: int = 4,
    prompt: str = "",
    words: Mapping[str, int] = WORDS,
    table: np.ndarray = TABLE,
    **changes: object,
) -> Path:
    """Write an encoder whose vector is the mean of its words' vectors."""
    write_files(folder, word_means_files(most_tokens, prompt, words, table, **changes))
    return folder


def word_means_files(most_tokens: int, prompt: str, words: Mapping[str, int], table: np.ndarray, **changes: object) -> dict[str, bytes]:
    """Return the files of such an encoder."""
    from onnx import TensorProto, helper, numpy_helper
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace

    node = helper.make_node
    nodes = [
        node("Gather", ["table", "input_ids"], ["each"]),
        node("Cast", ["attention_mask"], ["mask"], to=TensorProto.FLOAT),
        node("Unsqueeze", ["mask", "last"], ["wide"]),
        node("Mul", ["each", "wide"], ["kept"]),
        node("ReduceSum", ["kept", "one"], ["sum"], keepdims=0),
        node("ReduceSum", ["mask", "one"], ["count"], keepdims=1),
        node("Div", ["sum", "count"], ["vectors"]),
    ]
    given = [helper.make_tensor_value_info(name, TensorProto.INT64, ["texts", "pieces"]) for name in ("input_ids", "attention_mask")]
    output = [helper.make_tensor_value_info("vectors", TensorProto.FLOAT, ["texts", table.shape[1]])]
    constants = {"table": table, "last": np.array([-1]), "one": np.array([1])}
    graph = helper.make_graph(nodes, "words", given, output, [numpy_helper.from_array(value, name) for name, value in constants.items()])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)
    tokenizer = Tokenizer(WordLevel(dict(words), unk_token="[UNK]"))
    tokenizer.pre_tokenizer = Whitespace()
    description = {
        "kind": KIND,
        "name": "word-means",
        "features": table.shape[1],
        "fingerprint": "0123456789abcdef",
        "most_tokens": most_tokens,
        "prompt": prompt,
        "padding": 0,
        "inputs": ["input_ids", "attention_mask"],
        "provenance": {"licence": "MIT", "source": "worked out by hand", "package": ""},
        **changes,
    }
    return described(description, {GRAPH: model.SerializeToString(), TOKENIZER: tokenizer.to_str().encode()})
