"""Measure frozen photograph encoders on the Grocery Store photographs: all 81 classes at once, 1, 5 and 10 examples per class, 20 draws.

    python scripts/measure_grocery.py ../shared/data/grocery_store/grocery_store_84.zip

In: the zip. Out: `scripts/grocery_photographs.json`: the mean accuracy in per cent, with its 95 % interval over the draws, per encoder,
number of examples and head. The three parts of the data set are pooled; 25 photographs of each class are kept, by a fixed seed.
Each draw takes its examples from these, and the other photographs are its test. `chosen` is the head that `kshot fit` would choose;
`pixels` is the nearest neighbour on the photographs at 32×32 pixels.
"""

import argparse
import io
import zipfile
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from kshot.atomic import write_json
from kshot.encoders.embed import embed
from kshot.encoders.table import open_encoder
from kshot.encoders.vector_cache import VectorCache
from kshot.results.score.interval import mean_and_interval
from kshot.tasks.heads.answer import logits
from kshot.tasks.heads.choose import DEFAULT_HEADS, choose
from kshot.tasks.heads.head import Head
from kshot.tasks.heads.table import head_named

NUMBERS = Path(__file__).resolve().parent / "grocery_photographs.json"
ENCODERS = ("efficientnet_lite0", "efficientnet_lite0+efficientnet_lite2")
HEADS = ("discriminant", "kernel_ridge", "ridge", "class_means")
SHOTS, DRAWS, KEPT = (1, 5, 10), 20, 25


def photographs(file: Path) -> tuple[list[Image.Image], np.ndarray]:
    """Read 25 photographs of each class: pictures, and their classes 0 … 80."""
    by_class: dict[int, list[str]] = defaultdict(list)
    pictures, labels = [], []
    with zipfile.ZipFile(file) as archive:
        names = archive.namelist()
        for part in ("train", "val", "test"):
            (listed,) = (name for name in names if name.endswith(f"dataset/{part}.txt"))
            root = listed.removesuffix(f"{part}.txt")
            for line in archive.read(listed).decode().splitlines():
                path, fine, _ = line.split(",")
                by_class[int(fine)].append(root + path.strip())
        random = np.random.default_rng(0)
        for label in sorted(by_class):
            for place in random.permutation(len(by_class[label]))[:KEPT]:
                pictures.append(Image.open(io.BytesIO(archive.read(by_class[label][place]))).convert("RGB"))
                labels.append(label)
    return pictures, np.array(labels)


def vectors_by_name(pictures: Sequence[Image.Image]) -> Iterator[tuple[str, np.ndarray]]:
    """Yield each encoder's name and its vectors (n, D), then the pixels."""
    cache = VectorCache()
    for name in ENCODERS:
        found = [vector for vector in embed(open_encoder(name), pictures, cache=cache) if isinstance(vector, np.ndarray)]
        yield name, np.stack(found)
    yield "pixels", np.stack([np.asarray(picture.resize((32, 32)), np.float32).ravel() / 255 for picture in pictures])


def heads_for(encoder: str) -> Iterator[tuple[str, tuple[Head, ...]]]:
    """Yield a name and the heads to choose from."""
    if encoder == "pixels":
        yield "nearest", (head_named("nearest"),)
        return
    yield "chosen", DEFAULT_HEADS
    for name in HEADS:
        yield name, (head_named(name),)


def drawn(y: np.ndarray, shots: int, draw: int) -> np.ndarray:
    """Return which photographs are examples: bool (n,)."""
    random, support = np.random.default_rng([shots, draw]), np.zeros(len(y), bool)
    for label in np.unique(y):
        support[random.permutation(np.flatnonzero(y == label))[:shots]] = True
    return support


def measure(file: Path, draws: int) -> Iterator[dict[str, Any]]:
    """Yield one record per encoder, number of examples and head."""
    pictures, y = photographs(file)
    way = len(np.unique(y))
    for encoder, x in vectors_by_name(pictures):
        for shots in SHOTS:
            for name, heads in heads_for(encoder):
                scores = []
                for draw in range(draws):
                    support = drawn(y, shots, draw)
                    fitted = choose(x[support], y[support], way, heads).fitted
                    scores.append(100 * float((logits(fitted, x[~support]).argmax(1) == y[~support]).mean()))
                mean, half = (round(value, 2) for value in mean_and_interval(np.array(scores)))
                found = {"encoder": encoder, "shots": shots, "head": name, "accuracy": mean, "interval": half}
                yield {**found, "draws": draws, "tested": int((~support).sum())}


def main() -> None:
    """Measure, print a line per number, and write the file."""
    parser = argparse.ArgumentParser(description="Measure frozen photograph encoders on the Grocery Store photographs.")
    parser.add_argument("file", type=Path, help="grocery_store_84.zip")
    parser.add_argument("--draws", type=int, default=DRAWS)
    parser.add_argument("-o", "--output", type=Path, default=NUMBERS)
    asked = parser.parse_args()
    records = []
    for one in measure(asked.file, asked.draws):
        print(*(f"{key}={value}" for key, value in one.items()), flush=True)
        records.append(one)
    command = f"python scripts/measure_grocery.py {asked.file.name} --draws {asked.draws}"
    write_json(asked.output, {"command": command, "results": records})


if __name__ == "__main__":
    main()
