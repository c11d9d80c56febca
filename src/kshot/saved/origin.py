"""The origin of a learner: what it was trained on, for its record, so that a later test can refuse what it has seen.

In: the stream on which it was trained. Out: plain JSON values. Next: `kshot.saved.folder`.
"""

from typing import Any, Protocol

from kshot.data.class_index import ClassIndex
from kshot.data.dataset import Dataset
from kshot.data.table import found_again
from kshot.saved.class_names import fold


class TrainingStream(Protocol):
    """The attributes that are read from an `EpisodeStream` or an `ItemStream`."""

    dataset: Dataset
    index: ClassIndex
    split: str
    seed: int


def origin_of(stream: TrainingStream) -> dict[str, Any]:
    """Describe the data, the split and the classes of a stream.

    Data of a kind that kshot opens by name (`kshot.data.table`) are described in such a way that `kshot evaluate` finds them again.

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
    data = found_again(stream.dataset, split)
    return record if data is None else {**record, "recipe": {"data": data}}
