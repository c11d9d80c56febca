"""The examples that can be read, as vectors.

In: `Examples` and an encoder. Out: those that can be read, with a note on the others, and their vectors (n, D). Next: `kshot.tasks.fit`,
`kshot.tasks.scoring`.
"""

import numpy as np

from kshot.data.reading import unusable
from kshot.encoders.embed import embed
from kshot.encoders.encoder import Encoder
from kshot.encoders.vector_cache import VectorCache
from kshot.errors import DataError
from kshot.passes import watched
from kshot.tasks.examples import Examples
from kshot.tasks.numbers.column_table import ColumnTable
from kshot.tasks.numbers.columns import NumberColumns
from kshot.tasks.numbers.number_encoder import NumberEncoder
from kshot.tasks.row_keys import row_keys

_NAMED = 3


def check_reads(encoder: Encoder, examples: Examples) -> None:
    """Refuse things that an encoder is not for.

    Raises:
        DataError: It reads other things.
    """
    if encoder.reads != examples.reads:
        raise DataError(f"the encoder {encoder.name!r} reads {encoder.reads}; found {examples.reads}. Choose another --encoder.")


def embedded(examples: Examples, encoder: Encoder, cache: VectorCache | None, *, strict: bool) -> tuple[Examples, np.ndarray]:
    """Return the examples that can be read, and their vectors, float32 (n, D).

    Args:
        examples: The examples.
        encoder: Reads and embeds them.
        cache: Where vectors are looked up and kept.
        strict: Whether an example that cannot be read stops the work, instead of being left out and named.

    Raises:
        DataError: No example can be read, or with `strict` one cannot.
    """
    if isinstance(encoder, NumberEncoder) and isinstance(examples.things, ColumnTable):
        return _rows_embedded(examples, examples.things, encoder.columns, strict=strict)
    vectors = np.empty((len(examples), encoder.features), np.float32)
    kept: list[int] = []
    faults = []
    with watched(f"{examples.reads} embedded", len(examples)) as done:
        for number, one in enumerate(embed(encoder, examples.things, cache=cache)):
            if isinstance(one, DataError):
                called = examples.called(number)
                faults.append(str(one) if called in str(one) else f"{called}: {one}")
            else:
                vectors[len(kept)] = one
                kept.append(number)
            done(1)
    if not faults:
        return examples, vectors
    return _without_faults(examples, kept, faults, strict=strict), vectors[: len(kept)]


def _rows_embedded(examples: Examples, table: ColumnTable, columns: NumberColumns, *, strict: bool) -> tuple[Examples, np.ndarray]:
    vectors, found = columns.vectors(table)
    if not found:
        return examples, vectors
    faults = [f"{examples.called(number)}: {fault}" for number, fault in sorted(found.items())]
    kept = np.setdiff1d(np.arange(len(examples)), list(found)).tolist()
    return _without_faults(examples, kept, faults, strict=strict), vectors[kept]


def _without_faults(examples: Examples, kept: list[int], faults: list[str], *, strict: bool) -> Examples:
    """Leave out what cannot be read, and name it. Errors are those of `embedded`."""
    if strict or not kept:
        raise unusable(faults, len(examples), examples.reads)
    more = f" and {len(faults) - _NAMED:,} more" if len(faults) > _NAMED else ""
    are = "1 example cannot be read and is" if len(faults) == 1 else f"{len(faults):,} examples cannot be read and are"
    return examples.keeping(kept, f"{are} left out: {' '.join(faults[:_NAMED])}{more}")


def equal_rows(examples: Examples, vectors: np.ndarray, labels: np.ndarray) -> list[str]:
    """Name rows of numbers that are equal and have different labels."""
    if examples.reads != "numbers":
        return []
    _, first, group = np.unique(row_keys(vectors), return_index=True, return_inverse=True)
    twins = first[group]  # the first row that is equal
    torn = np.flatnonzero(labels != labels[twins])
    if not len(torn):
        return []
    one, other = int(torn[0]), int(twins[torn[0]])
    return [
        f"{len(torn):,} {'row is' if len(torn) == 1 else 'rows are'} equal to a row with another label, such as row "
        f"{examples.names[one]} ({examples.labels[one]!r}) and row {examples.names[other]} ({examples.labels[other]!r}). Correct the "
        "labels."
    ]
