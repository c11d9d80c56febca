"""An encoder of texts that can learn, small enough to train in a moment: the mean of its words' vectors, which are trained."""

from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from cases.sentences import word_means, word_means_files
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
