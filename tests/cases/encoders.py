"""Encoders small enough to work out on paper."""

import threading
from collections.abc import Sequence
from typing import Any

import numpy as np

from kshot.data.pictures.picture_file import opened_picture
from kshot.encoders.encoder import Provenance, Reads, fingerprint_of
from kshot.errors import DataError


class Lengths:
    """A text to (number of characters, number of spaces); counts what it is asked."""

    def __init__(self, name: str = "lengths", reads: Reads = "texts", scale: float = 1.0) -> None:
        self.name, self.reads, self.scale = name, reads, scale
        self.features = 2
        self.fingerprint = fingerprint_of(name, str(scale))
        self.provenance = Provenance("MIT", f"worked out by hand: {name}")
        self.n_read, self.batches = 0, list[int]()
        self._lock = threading.Lock()

    def read(self, thing: object) -> str:
        with self._lock:
            self.n_read += 1
        if not isinstance(thing, str):
            raise DataError(f"a text is a str; found {type(thing).__name__}.")
        if not thing.strip():
            raise DataError("the text is empty. Leave it out.")
        return thing

    def encode(self, items: Sequence[Any]) -> np.ndarray:
        self.batches.append(len(items))
        return np.array([[len(item), item.count(" ")] for item in items], np.float32).reshape(-1, 2) * np.float32(self.scale)


class Colours:
    """A photograph to the mean of its red, green and blue, from 0 to 1; another `scale` is another encoder."""

    reads: Reads = "photographs"
    features = 3

    def __init__(self, name: str = "colours", scale: float = 1.0) -> None:
        self.name, self.scale = name, scale
        self.fingerprint = fingerprint_of(name, str(scale))
        self.provenance = Provenance("MIT", "worked out by hand", "colours-package")

    def read(self, thing: object) -> np.ndarray:
        with opened_picture(thing) as image:
            return np.asarray(image.convert("RGB"), np.float32).mean((0, 1)) / 255

    def encode(self, items: Sequence[Any]) -> np.ndarray:
        return np.stack([np.asarray(item) for item in items]).astype(np.float32) * np.float32(self.scale)
