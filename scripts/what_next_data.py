"""The labelled vectors that `measure_suggest.py` and `measure_doubt.py` measure on: BANKING77 and the Grocery Store photographs.

In: the folder of BANKING77 (`train.csv`, `test.csv`) and `grocery_store_84.zip`, as files. Out: vectors of the encoders that `kshot fit`
takes by itself, and classes as numbers.
"""

import csv
import io
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from kshot.encoders.embed import embed
from kshot.encoders.encoder import Encoder, Provenance
from kshot.encoders.table import DEFAULTS, open_encoder
from kshot.encoders.vector_cache import VectorCache
from kshot.tasks.heads.head import FittedHead
from kshot.tasks.model import EncoderFacts, Model


@dataclass(frozen=True, eq=False)
class Part:
    """Labelled vectors.

    Attributes:
        x: Vectors, float32 (n, D).
        y: Their classes, int64 (n,).
    """

    x: np.ndarray
    y: np.ndarray

    def __getitem__(self, rows: np.ndarray) -> "Part":
        return Part(self.x[rows], self.y[rows])

    def __len__(self) -> int:
        return len(self.y)


@dataclass(frozen=True, eq=False)
class Data:
    """A data set.

    Attributes:
        name: Its name.
        train: The pool that labels come from.
        test: What accuracy is measured on.
        way: Number of classes.
    """

    name: str
    train: Part
    test: Part
    way: int


def read_data(banking: Path, grocery: Path) -> tuple[Data, Data]:
    """Read and embed both data sets; what is in the cache of vectors is not embedded again."""
    return read_banking(banking), read_grocery(grocery)


def read_banking(folder: Path) -> Data:
    """Read BANKING77: its training file, 10,003 texts, and its test file, 3,080."""
    encoder, parts, names = open_encoder(DEFAULTS["texts"]), [], list[list[str]]()
    for part in ("train", "test"):
        with (folder / f"{part}.csv").open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        parts.append(_vectors(encoder, [row["text"] for row in rows]))
        names.append([row["category"] for row in rows])
    classes = sorted(set(names[0]))
    labels = [np.array([classes.index(name) for name in some]) for some in names]
    return Data("banking77", Part(parts[0], labels[0]), Part(parts[1], labels[1]), len(classes))


def read_grocery(file: Path) -> Data:
    """Read the Grocery Store photographs: its training part, 2,640 of them, and its test part, 2,485."""
    encoder, parts = open_encoder(DEFAULTS["photographs"]), list[Part]()
    with zipfile.ZipFile(file) as archive:
        names = archive.namelist()
        for part in ("train", "test"):
            (listed,) = (name for name in names if name.endswith(f"dataset/{part}.txt"))
            root = listed.removesuffix(f"{part}.txt")
            rows = [line.split(",") for line in archive.read(listed).decode().splitlines()]
            pictures = [Image.open(io.BytesIO(archive.read(root + path.strip()))).convert("RGB") for path, *_ in rows]
            parts.append(Part(_vectors(encoder, pictures), np.array([int(label) for _, label, *_ in rows])))
    return Data("grocery_store", parts[0], parts[1], int(parts[0].y.max()) + 1)


def _vectors(encoder: Encoder, things: Sequence[object]) -> np.ndarray:
    found = [one for one in embed(encoder, things, cache=VectorCache()) if isinstance(one, np.ndarray)]
    if len(found) < len(things):
        raise SystemExit(f"{len(things) - len(found)} of {len(things)} things cannot be read. Get the data again.")
    return np.stack(found)


def model_of(fitted: FittedHead, name: str, examples: Part, way: int) -> Model:
    """Return a model of a fitted head, of classes that are named by their numbers."""
    facts = EncoderFacts("vectors", "numbers", examples.x.shape[1], "0" * 16, Provenance("MIT", "vectors of another encoder"))
    return Model(
        facts, tuple(f"{label:02}" for label in range(way)), name, fitted, examples.x, examples.y, tuple(map(str, range(len(examples))))
    )
