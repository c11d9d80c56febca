"""Measure what a threshold per label brings where a thing has several: against 0.5 for all, on messages that ask for two things.

    python scripts/measure_several_labels.py ../shared/data

No public data set of several labels is at hand, so one is made: two texts of different intents, one after the other, are a message with
both labels. A draw takes 1.5 K texts of each class from the training file and makes K messages per class of them, half with one label, half
with two, so a class has 1.5 K of the K N messages. It is tested on messages of the test file, half of them with one label, half with two.
No two messages share a text. In: `banking77` and `clinc150` (its domain `banking`). Out: `scripts/several_labels.json`: F1 over all
labels, F1 as the mean of the classes, and how often all labels of a message are right, in per cent, with 95 % intervals over draws, for
the thresholds that `kshot fit --multi-label` chooses by leave-one-out and for 0.5; and their difference, paired by draw.
"""

import argparse
import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from kshot.atomic import write_json
from kshot.encoders.embed import embed
from kshot.encoders.encoder import Encoder
from kshot.encoders.table import DEFAULTS, open_encoder
from kshot.encoders.vector_cache import VectorCache
from kshot.regular_file import read_json
from kshot.results.compare.paired import paired_difference
from kshot.results.score.interval import mean_and_interval
from kshot.tasks.heads.answer import logits
from kshot.tasks.multi_label.estimate import estimate_labels
from kshot.tasks.multi_label.one_vs_rest import fit_one_vs_rest, probabilities_of

NUMBERS = Path(__file__).with_name("several_labels.json")
SHOTS, TESTED = {"clinc150_banking": (4, 10), "banking77": (4,)}, 300
"""Texts per class, K; and messages that are tested, at most."""
SCORES = ("f1", "macro_f1", "exact")
Texts = dict[str, list[str]]
"""The texts of each class."""


def main() -> None:
    """Measure both data sets, and write the record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--draws", type=int, default=20)
    options = parser.parse_args()
    encoder = open_encoder(DEFAULTS["texts"])
    found = {}
    for name, (train, test) in {"clinc150_banking": clinc(options.data), "banking77": banking(options.data)}.items():
        for shots in SHOTS[name]:
            found[f"{name}_{shots}"] = measure(name, train, test, shots, options.draws, encoder)
    write_json(NUMBERS, {"command": "python scripts/measure_several_labels.py ../shared/data", "results": found})


def measure(name: str, train: Texts, test: Texts, shots: int, draws: int, encoder: Encoder) -> dict[str, object]:
    """Return the record of a data set at one number of texts per class."""
    scores: dict[str, list[list[float]]] = {"chosen": [], "half": []}
    for draw in range(draws):
        random = np.random.default_rng([draw, shots])
        texts, y = messages({one: random.permutation(train[one])[: 3 * shots // 2].tolist() for one in train}, shots * len(train), random)
        fitted = fit_one_vs_rest(vectors(encoder, texts), y)
        asked, truth = messages({one: random.permutation(test[one]).tolist() for one in test}, TESTED, random)
        p = probabilities_of(logits(fitted.fitted, vectors(encoder, asked)))
        for rule, thresholds in {"chosen": fitted.thresholds, "half": np.full(y.shape[1], 0.5)}.items():
            estimate = estimate_labels(p >= thresholds, truth, "labelled data").as_dict()
            scores[rule].append([estimate[score] for score in SCORES])
        print(name, shots, draw, {rule: np.round(100 * np.mean(every, 0), 1).tolist() for rule, every in scores.items()}, flush=True)
    chosen, half = np.array(scores["chosen"]), np.array(scores["half"])  # (draws, 3)
    record: dict[str, object] = {"classes": len(train), "texts_per_class": shots, "tested": TESTED, "draws": draws}
    for place, score in enumerate(SCORES):
        difference = paired_difference(chosen[:, place], half[:, place])
        ends = {"chosen": mean_and_interval(chosen[:, place]), "half": mean_and_interval(half[:, place])}
        ends["difference"] = (difference.mean, difference.interval)
        record[score] = {rule: [round(100 * value, 2) for value in pair] for rule, pair in ends.items()}
    return record


def messages(texts: Texts, most: int, random: np.random.Generator) -> tuple[list[str], np.ndarray]:
    """Return messages and which labels each has, bool (m, N): of each class, a third of the texts alone, the others joined in pairs.

    Args:
        texts: The texts of each class. None is in two messages.
        most: How many messages are made at most, drawn from all of them.
        random: By which pairs are drawn; a pair of one class is left out.
    """
    classes = list(texts)
    thirds: list[list[tuple[str, int]]] = [[], [], []]
    for k, one in enumerate(classes):
        size = len(texts[one]) // 3
        for place, third in enumerate(thirds):
            third += [(text, k) for text in texts[one][place * size : (place + 1) * size]]
    alone, firsts, seconds = (random.permutation(len(third)) for third in thirds)
    pairs = [(thirds[1][first], thirds[2][second]) for first, second in zip(firsts, seconds, strict=True)]
    parts = [
        [(text, (k, k)) for text, k in (thirds[0][place] for place in alone)],
        [(f"{first} {second}", (k, other)) for (first, k), (second, other) in pairs if k != other],
    ]
    kept = [message for part in parts for message in part[: most // 2]]
    y = np.zeros((len(kept), len(classes)), dtype=bool)
    for row, (_, labels) in enumerate(kept):
        y[row, list(labels)] = True
    return [text for text, _ in kept], y


def vectors(encoder: Encoder, texts: Sequence[str]) -> np.ndarray:
    """Return the vectors of texts, (m, D)."""
    return np.stack([one for one in embed(encoder, texts, cache=VectorCache()) if isinstance(one, np.ndarray)])


def clinc(data: Path) -> tuple[Texts, Texts]:
    """Read the domain `banking` of CLINC150."""
    intents = read_json(data / "clinc150" / "domains.json", 2**26)["banking"]
    whole = read_json(data / "clinc150" / "data_full.json", 2**26)
    train, test = ({one: [text for text, label in whole[part] if label == one] for one in intents} for part in ("train", "test"))
    return train, test


def banking(data: Path) -> tuple[Texts, Texts]:
    """Read BANKING77."""
    found = []
    for part in ("train", "test"):
        texts: Texts = {}
        with (data / "banking77" / f"{part}.csv").open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                texts.setdefault(row["category"], []).append(row["text"])
        found.append(dict(sorted(texts.items())))
    return found[0], found[1]


if __name__ == "__main__":
    main()
