"""Vectors with labels in an `.npz` file: what `kshot embed` writes, or any arrays of one's own.

    x        numbers (n, …), one row per item
    label    the class of each item: texts or whole numbers, (n,)
    encoder  what the vectors were made with, one text; may be missing

In: the file. Out: a `Dataset` whose items are the rows. Next: `kshot.episodes`; `kshot.tasks.learner_encoder`, for which the preprocessing
keeps the name of the encoder.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from kshot.data.arrays import ArrayDataset
from kshot.data.as_is import AsIs
from kshot.data.kind import Kind
from kshot.data.preprocess import Preprocess
from kshot.data.tables.array_rows import read_npz
from kshot.errors import DataError
from kshot.printable import printable
from kshot.regular_file import look

X, LABEL, ENCODER = "x", "label", "encoder"


@dataclass(frozen=True)
class Embedded(AsIs):
    """Vectors of a frozen encoder, as they are.

    Attributes:
        encoder: The encoder, as `--encoder` takes it; empty: it is not known, or the numbers come from no encoder.
    """

    name: ClassVar[str] = "embedded"

    encoder: str = ""

    def arguments(self) -> Mapping[str, Any]:
        """Return the encoder's name."""
        return {"encoder": self.encoder}


class Vectors(ArrayDataset):
    """The items of a file of vectors.

    A class whose name is a path, such as `fruit/apple`, is of the group `fruit`.

    Args:
        file: The file.
        preprocess: `Embedded`; where it names no encoder, the encoder of the file is filled in.

    Raises:
        DataError: It is no such file, its arrays do not belong together, or it was made with another encoder than a learner reads.
    """

    def __init__(self, file: str | Path, preprocess: Preprocess | None = None) -> None:
        arrays = read_npz(str(file))
        for name in (X, LABEL):
            if name not in arrays:
                raise DataError(
                    f"{printable(file)} has no array {name!r}; it has {', '.join(map(printable, arrays)) or 'none'}. A file of vectors "
                    f"holds {X!r}, one row of numbers per item, and {LABEL!r}, their classes: kshot embed writes one."
                )
        x, labels = arrays[X], arrays[LABEL]
        if x.ndim < 2 or x.dtype.kind not in "fiub" or labels.ndim != 1 or labels.dtype.kind not in "iuU":
            raise DataError(
                f"{printable(file)}: {X!r} must be numbers (n, …), and {LABEL!r} texts or whole numbers (n,); found {x.dtype} {x.shape} "
                f"and {labels.dtype} {labels.shape}. Save them again."
            )
        made_with = str(arrays[ENCODER]) if ENCODER in arrays and arrays[ENCODER].size == 1 else ""
        wanted = preprocess.encoder if isinstance(preprocess, Embedded) else ""
        if wanted and made_with and wanted != made_with:
            raise DataError(
                f"{printable(file)} holds vectors of the encoder {made_with}, and those of {wanted} are wanted. Make them: kshot embed "
                f"--encoder {wanted}"
            )
        groups = {name: name.rpartition("/")[0] for name in map(str, np.unique(labels))}
        super().__init__(
            x,
            labels.tolist(),
            groups=groups if any(groups.values()) else None,
            name=str(file),
            preprocess=Embedded(wanted or made_with) if preprocess is None or isinstance(preprocess, Embedded) else preprocess,
        )


def _open(name: str, preprocess: Preprocess) -> Vectors:
    return Vectors(name, preprocess)


VECTORS = Kind(
    what="an .npz file holds vectors",
    expects="an .npz file of vectors and labels",
    dataset=Vectors,
    preprocesses=(Embedded, AsIs),
    open=_open,
    holds=lambda path: path.suffix.lower() == ".npz" and look(path) == "file",
    find_again=lambda vectors: {"name": os.path.abspath(vectors.name)},
)
