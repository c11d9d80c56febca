"""Encoders that can learn, small enough to train in a moment: the mean of a text's words, and the mean colour of a photograph."""

from functools import partial
from pathlib import Path

import numpy as np
import torch
from onnx import helper, numpy_helper
from torch import Tensor, nn

from cases.onnx_graphs import BYTES, FLOAT, save
from cases.sentences import word_means, word_means_files
from kshot.encoders.encoder import Provenance
from kshot.encoders.encoder_folder import write_files
from kshot.encoders.photograph_encoder import PhotographEncoder, PhotographForm, photograph_files, read_photograph_encoder
from kshot.encoders.photograph_tuning import TunablePhotographs
from kshot.encoders.sentence_encoder import SentenceEncoder
from kshot.encoders.sentence_tuning import TunableSentences
from kshot.tasks.examples import Examples
from kshot.tasks.tune.plan import TunePlan

SUBJECTS = ("apple", "bolt", "cloud")
NOISE = tuple(f"noise{number}" for number in range(30))
WORDS = {word: number for number, word in enumerate(("[PAD]", "[UNK]", *SUBJECTS, *NOISE))}
PLAN = TunePlan(passes=15, batch=8, lr=0.1, proxy_lr=0.1, scale=8.0)


class Means(nn.Module):
    """Word numbers (M, T) → the mean of the words' vectors, with dropout in training."""

    def __init__(self, table: np.ndarray) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.from_numpy(table.copy()))
        self.dropout = nn.Dropout(0.1)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        mask = attention_mask.unsqueeze(-1).float()
        found: Tensor = (self.dropout(self.table[input_ids]) * mask).sum(1) / mask.sum(1)
        return found


def learning_encoder(folder: Path, D: int = 6) -> SentenceEncoder:
    """Write an encoder under which the words that say nothing weigh more than those that tell the classes apart."""
    table = np.random.default_rng(0).normal(0, 1, (len(WORDS), D)).astype(np.float32)
    table[2 + len(SUBJECTS) :] *= 3

    def files(network: Means, fingerprint: str) -> dict[str, bytes]:
        return word_means_files(8, "", WORDS, network.table.detach().numpy(), fingerprint=fingerprint)

    def learns(frozen: SentenceEncoder) -> TunableSentences:
        network = Means(table)
        return TunableSentences(frozen, network, [], partial(files, network))

    word_means(folder, most_tokens=8, words=WORDS, table=table)
    return SentenceEncoder(folder, learns=learns)


def noisy_texts(each: int, *, seed: int = 1, told: bool = True) -> Examples:
    """Return texts of five words that say nothing, and one that is the name of the class; without it if they are not `told`."""
    random = np.random.default_rng(seed)
    labels = [name for name in SUBJECTS for _ in range(each)]
    texts = [" ".join([*random.choice(NOISE, 5), *([label] if told else [])]) for label in labels]
    rows = [str(number) for number in range(1, len(texts) + 1)]
    return Examples("texts", texts, labels, rows, {"things": ["text"], "label": "kind"})


_HALF = np.array([0, 0, 0.5], np.float32)


class Colours(nn.Module):
    """Pixels (M, size, size, 3) → the mean of each colour, times a factor that is trained, plus 0, 0 and ½: (M, 3)."""

    def __init__(self) -> None:
        super().__init__()
        self.factors = nn.Parameter(torch.ones(3))

    def forward(self, pixels: Tensor) -> Tensor:
        found: Tensor = pixels.float().mean((1, 2)) / 255 * self.factors + torch.from_numpy(_HALF)
        return found


def learning_photograph_encoder(folder: Path, size: int = 16) -> PhotographEncoder:
    """Write an encoder of the mean colour, whose three factors learn."""

    def files(network: Colours, fingerprint: str) -> dict[str, bytes]:
        node, factors = helper.make_node, network.factors.detach().numpy() / np.float32(255)
        nodes = [
            node("Constant", [], ["factors"], value=numpy_helper.from_array(factors)),
            node("Cast", ["pixels"], ["light"], to=FLOAT),
            node("ReduceMean", ["light"], ["means"], axes=[1, 2], keepdims=0),
            node("Mul", ["means", "factors"], ["scaled"]),
            node("Constant", [], ["half"], value=numpy_helper.from_array(_HALF)),
            node("Add", ["scaled", "half"], ["vectors"]),
        ]
        graph = save(folder / "colours.onnx", nodes, [("pixels", BYTES, ("M", size, size, 3))], [("vectors", FLOAT, ("M", 3))])
        form = PhotographForm("colours", 3, fingerprint, size, "pixels", (), (), Provenance("MIT", "worked out by hand"))
        return photograph_files(form, graph.read_bytes())

    def learns(frozen: PhotographEncoder) -> TunablePhotographs:
        network = Colours()
        return TunablePhotographs(frozen, network, network.parameters(), partial(files, network))

    folder.mkdir(parents=True, exist_ok=True)
    write_files(folder, files(Colours(), "0123456789abcdef"))
    return read_photograph_encoder(folder, learns=learns)
