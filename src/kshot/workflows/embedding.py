"""Labelled things as a file of vectors: read, embedded by a frozen encoder, and written for `kshot.data.vectors`.

In: a folder of class folders or a table. Out: an `.npz` file. Next: `kshot train … --data FILE`.
"""

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kshot.atomic import write_bytes
from kshot.data.vectors import ENCODER, LABEL, X
from kshot.encoders.table import default_encoder
from kshot.encoders.vector_cache import VectorCache
from kshot.errors import DataError, RecipeError
from kshot.printable import printable
from kshot.regular_file import look
from kshot.tasks.embedded import check_reads, embedded
from kshot.tasks.encoder_by_name import check_fit, open_by_name
from kshot.tasks.examples import Asked, find_examples

_WIDEST = 8192
"""Numbers of a vector that is kept in the cache, too. A few thousand wider ones would drive out all others."""


@dataclass(frozen=True)
class EmbeddedFile:
    """What was written.

    Attributes:
        items: Number of items.
        classes: Number of classes.
        features: Numbers of a vector.
        reads: What the things are: `photographs` or `texts`.
        encoder: Name of the encoder.
        notes: What the user should know, in sentences.
    """

    items: int
    classes: int
    features: int
    reads: str
    encoder: str
    notes: tuple[str, ...]


def check_vector_file(out: Path) -> None:
    """Refuse a name that no vectors can be written to, before any work is done.

    Raises:
        RecipeError: It does not end in `.npz`, or there is something that is no file.
    """
    if out.suffix.lower() != ".npz":
        raise RecipeError(f"vectors are written into an .npz file; found --out {printable(out)}. Give it a name that ends in .npz.")
    if (found := look(out)) not in ("file", "nothing"):
        raise RecipeError(f"--out {printable(out)} is {'a folder' if found == 'folder' else 'no regular file'}. Give another name.")


def embed_examples(
    source: str,
    out: Path,
    *,
    encoder: str | None = None,
    label: str | None = None,
    text: str | None = None,
    path: str | None = None,
    depth: int | None = None,
    strict: bool = False,
    device: str = "cpu",
    cache: VectorCache | None = None,
) -> EmbeddedFile:
    """Embed labelled photographs or texts, and write their vectors.

    Args:
        source: A folder of class folders, or a table, as `kshot.tasks.examples.find_examples` takes it.
        out: The file.
        encoder: As `--encoder` takes it; None: the usual one.
        label: Column of the labels of a table.
        text: Column of the texts.
        path: Column of the paths.
        depth: How many parts of a folder's path name the class; None: all.
        strict: Whether a thing that cannot be read stops the work, instead of being left out and named.
        device: Where the encoder computes.
        cache: Where vectors are looked up and kept.

    Raises:
        DataError: There are no labelled things, they are rows of numbers, or they cannot be read.
        RecipeError: There is no such encoder.
        SavedError: The file cannot be written.
    """
    check_vector_file(out)
    found = find_examples(source, Asked(label, text, path, depth, classes=True))
    if found.reads == "numbers":
        raise DataError(f"{printable(source)} holds rows of numbers, which need no encoder. Train on them as arrays: kshot.ArrayDataset.")
    opened = open_by_name(encoder or default_encoder(found.reads), device=device)
    check_reads(opened, found)
    unfit = check_fit(opened, found.things)
    kept, vectors = embedded(found, opened, cache if opened.features <= _WIDEST else None, strict=strict)
    file = io.BytesIO()
    arrays: dict[str, Any] = {X: vectors, LABEL: np.array(kept.labels, dtype=np.str_), ENCODER: np.array(opened.name)}
    np.savez(file, **arrays)
    write_bytes(out, file.getvalue())
    return EmbeddedFile(len(kept), len(kept.counts), vectors.shape[1], kept.reads, opened.name, (*unfit, *kept.notes))
