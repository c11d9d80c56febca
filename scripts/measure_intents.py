"""Measure frozen text encoders on the fixed few-shot files of BANKING77 and CLINC150: heads and descriptions, from 0 to 10 shots.

    python scripts/measure_intents.py ../shared/data/intents_few_shot

In: the folder of the files; each part has `seq.in`, one text per line, and `label`. Out: `scripts/intents.json`, the accuracy on the full
test set in per cent, with Wilson's 95 % interval, for each encoder, data set, number of shots, use of descriptions and head. Each text is
answered by itself. The 5 and 10 shots are the published files. 1 and 2 shots are the first ones of each class in `train_10`; 0 shots are
descriptions alone. `names` describes a class by its name, `sentences` by its name and its sentence in `scripts/descriptions`. `chosen` is
the head whose left-out answers are the most likely, as `kshot fit` chooses it.
"""

import argparse
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from kshot.atomic import write_json
from kshot.encoders.embed import embed
from kshot.encoders.encoder import Encoder
from kshot.encoders.table import open_encoder
from kshot.encoders.vector_cache import VectorCache
from kshot.results.score.counts import wilson
from kshot.tasks.descriptions import Described, description_vectors, head_of_descriptions, read_descriptions
from kshot.tasks.heads.answer import logits
from kshot.tasks.heads.choose import DEFAULT_HEADS, choose
from kshot.tasks.heads.head import FittedHead, Head
from kshot.tasks.heads.table import head_named

HERE = Path(__file__).resolve().parent
NUMBERS = HERE / "intents.json"
DATA = {"BANKING77": "banking77.toml", "CLINC150": "clinc150.toml"}
ENCODERS = ("all-MiniLM-L6-v2:layers", "all-MiniLM-L6-v2")
SHOTS = (0, 1, 2, 5, 10)
HEADS = ("kernel_ridge", "logistic", "shrunken_means", "class_means")
DESCRIPTIONS = ("none", "names", "sentences")


def read_part(folder: Path) -> tuple[list[str], list[str]]:
    """Read texts and their labels."""
    texts, labels = ((folder / name).read_text(encoding="utf-8").splitlines() for name in ("seq.in", "label"))
    if len(texts) != len(labels):
        raise SystemExit(f"{folder} has {len(texts)} texts and {len(labels)} labels.")
    return texts, labels


def vectors_of(encoder: Encoder, texts: Sequence[Any], cache: VectorCache) -> np.ndarray:
    """Embed texts, all of which can be read: (n, D)."""
    return np.stack([vector for vector in embed(encoder, texts, cache=cache) if isinstance(vector, np.ndarray)])


def heads_to_measure(shots: int, asked: Sequence[str]) -> Iterator[tuple[str, tuple[Head, ...]]]:
    """Yield a name and the heads to choose from; logistic regression only where there are published numbers beside it."""
    yield "chosen", DEFAULT_HEADS
    for name in asked:
        if name != "logistic" or shots >= 5:
            yield name, (head_named(name),)


def measure(folder: Path, encoders: Sequence[str], asked: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Yield one record per encoder, data set, number of shots, use of descriptions and head."""
    cache = VectorCache()
    for encoder_name in encoders:
        encoder = open_encoder(encoder_name)
        for data, file in DATA.items():
            parts = {part: read_part(folder / data / part) for part in ("train_5", "train_10", "test")}
            classes = sorted(set(parts["test"][1]))
            labels = {part: np.array([classes.index(name) for name in names]) for part, (_, names) in parts.items()}
            vectors = {part: vectors_of(encoder, texts, cache) for part, (texts, _) in parts.items()}
            sentences = read_descriptions(HERE / "descriptions" / file)
            described = {"names": description_vectors(encoder, classes, cache=cache)}
            described["sentences"] = description_vectors(encoder, classes, sentences, cache=cache)
            about = {"encoder": encoder_name, "data": data}
            for shots in SHOTS:
                x, y = examples(vectors, labels, len(classes), shots)
                for kind in DESCRIPTIONS:
                    if shots == 0 and kind != "none":
                        fitted = head_of_descriptions(described[kind])
                        yield {**about, **record(shots, kind, "descriptions", "", fitted, vectors["test"], labels["test"], 0.0)}
                    elif shots:
                        for name, heads in heads_to_measure(shots, asked):
                            start = time.perf_counter()
                            known = heads if kind == "none" else tuple(Described(head, described[kind]) for head in heads)
                            choice = choose(x, y, len(classes), known)
                            spent = time.perf_counter() - start
                            yield {**about, **record(shots, kind, name, choice.name, choice.fitted, vectors["test"], labels["test"], spent)}


def examples(vectors: dict[str, np.ndarray], labels: dict[str, np.ndarray], way: int, shots: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the examples of a number of shots."""
    if shots in (5, 10):
        return vectors[f"train_{shots}"], labels[f"train_{shots}"]
    rows = np.concatenate([np.flatnonzero(labels["train_10"] == place)[:shots] for place in range(way)])
    return vectors["train_10"][rows], labels["train_10"][rows]


def record(
    shots: int, kind: str, name: str, chosen: str, fitted: FittedHead, x: np.ndarray, y: np.ndarray, seconds: float
) -> dict[str, Any]:
    """Return what one head reaches on the test set."""
    right = int((logits(fitted, x).argmax(1) == y).sum())
    low, high = (float(end) for end in wilson(np.array([right]), np.array([len(y)]))[0])
    found: dict[str, Any] = {"shots": shots, "descriptions": kind, "head": name, **({"chosen": chosen} if name == "chosen" else {})}
    found |= {"accuracy": round(100 * right / len(y), 2), "interval": [round(100 * low, 2), round(100 * high, 2)], "texts": len(y)}
    if "descriptions" in fitted.settings:
        found["used"] = bool(fitted.settings["descriptions"])
    return {**found, "seconds": round(seconds, 1)}


def main() -> None:
    """Measure, print a line per number, and write the file."""
    parser = argparse.ArgumentParser(description="Measure frozen text encoders on BANKING77 and CLINC150.")
    parser.add_argument("folder", type=Path, help="the folder intents_few_shot")
    parser.add_argument("--encoders", nargs="+", default=list(ENCODERS))
    parser.add_argument("--heads", nargs="*", default=list(HEADS), help="heads to measure besides the chosen one")
    parser.add_argument("-o", "--output", type=Path, default=NUMBERS)
    asked = parser.parse_args()
    records = []
    for one in measure(asked.folder, asked.encoders, asked.heads):
        print(*(f"{key}={value}" for key, value in one.items()), flush=True)
        records.append(one)
    write_json(asked.output, {"command": "python scripts/measure_intents.py ../shared/data/intents_few_shot", "results": records})


if __name__ == "__main__":
    main()
