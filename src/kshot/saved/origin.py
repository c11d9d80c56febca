"""The origin of a learner: what it was trained on, for its record, so that a later test can refuse what it has seen.

In: the stream on which it was trained. Out: plain JSON values. Next: `kshot.saved.folder`.
"""

import os
from typing import Any, Protocol

from kshot.data.class_index import ClassIndex
from kshot.data.dataset import Dataset
from kshot.data.pictures.image_folder import ImageFolder
from kshot.data.pictures.omniglot import Omniglot
from kshot.saved.class_names import fold


class TrainingStream(Protocol):
    """The attributes that are read from an `EpisodeStream` or an `ItemStream`."""

    dataset: Dataset
    index: ClassIndex
    split: str
    seed: int


def origin_of(stream: TrainingStream) -> dict[str, Any]:
    """Return the data, the split and the classes of a stream.

    Data that kshot can open by name, that is Omniglot and folders, is named so that `kshot evaluate` finds it again.

    Args:
        stream: The stream. Its `split` is read as `NAME/PART`, for example `vinyals/train`.
    """
    split = stream.split.partition("/")[0]
    record = {
        "data": stream.dataset.name,
        "fingerprint": stream.dataset.fingerprint,
        "split": split,
        "classes_seen": fold(stream.index.names),
        "seed": stream.seed,
    }
    if isinstance(stream.dataset, Omniglot):
        record["recipe"] = {"data": {"name": "omniglot", "split": split, "rotations": stream.dataset.rotations}}
    elif isinstance(stream.dataset, ImageFolder):
        record["recipe"] = {"data": {"name": os.path.abspath(stream.dataset.name), "split": "fractions"}}
    return record
