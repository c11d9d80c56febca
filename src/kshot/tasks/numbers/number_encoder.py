"""Rows of numbers as things of an encoder: the columns of the examples are its only weights.

In: `NumberColumns`. Out: an `Encoder` that reads rows. It stands where the networks for photographs and texts stand.
"""

import json
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import ClassVar

import numpy as np

from kshot.encoders.encoder import Provenance, Reads
from kshot.errors import DataError
from kshot.tasks.numbers.columns import NumberColumns
from kshot.value_types import shortened


class NumberEncoder:
    """An encoder of rows.

    Args:
        columns: The fitted columns.
    """

    name: ClassVar[str] = "numbers"
    reads: ClassVar[Reads] = "numbers"
    provenance: ClassVar[Provenance] = Provenance("none", "the columns of the examples themselves")

    def __init__(self, columns: NumberColumns) -> None:
        self.columns = columns

    @property
    def features(self) -> int:
        """D, the length of a vector."""
        return self.columns.features

    @property
    def fingerprint(self) -> str:
        """16 hexadecimal digits over the columns."""
        record = {**self.columns.as_dict(), "findings": []}
        return sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()[:16]

    def read(self, thing: object) -> np.ndarray:
        """Return the vector of a row, float32 (D,).

        Args:
            thing: Values by the names of their columns.

        Raises:
            DataError: It is no such row, a column is missing, or a value is not of its kind.
        """
        if not isinstance(thing, Mapping):
            raise DataError(f"expected a row, values by the names of their columns; found {shortened(thing)}.")
        return self.columns.vector(thing)

    def encode(self, items: Sequence[object]) -> np.ndarray:
        """Stack the vectors of M rows, float32 (M, D)."""
        if not items:
            return np.empty((0, self.features), dtype=np.float32)
        return np.stack([np.asarray(item, dtype=np.float32) for item in items])
