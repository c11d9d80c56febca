"""Whether classes lie farther from a learner's training classes than its own held-out classes do, in one line.

In: a `Saved` learner, and the episodes of an evaluation or the classifier of a prediction. Out: notes. `kshot inspect` measures the same
(`kshot.workflows.inspection`) for all classes and in two spaces; this look takes at most `CLASSES` classes of a part, evenly spread, in the
features alone. It is taken only where the training data lie in the package, because reading a folder again may take minutes. Next:
`kshot.running`.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from kshot.data.class_index import ClassIndex
from kshot.data.dataset import Dataset
from kshot.data.divided_dataset import divides_itself
from kshot.data.pictures.first_look import first_look
from kshot.data.table import words
from kshot.data.target_dataset import has_targets
from kshot.episodes.centres import class_centres
from kshot.errors import DataError, EpisodeError
from kshot.results.inspect.shift import Centres, kin_of, measure_shift
from kshot.results.score.episode_set import EpisodeSet
from kshot.results.score.evaluate import device_of, evaluating
from kshot.saved.class_names import unfold
from kshot.saved.folder import Saved
from kshot.tasks.classifier import Classifier
from kshot.workflows.build import open_dataset
from kshot.workflows.question import trained_on_data
from kshot.workflows.recipe import parse_recipe

CLASSES = 200
"""At most this many classes of each part are compared."""
FARTHER = 1.15
"""Classes that lie this many times as far out as the learner's own held-out classes, or more, are worth a note.

For omniglot-protonet, 15 of its test classes lie 1.06 times as far out, 6 validation classes 0.96 times, and classes of random scribbles
of 20 and 60 lines 1.17 and 1.25 times.
"""
_ITEMS = 10


def farther_note(saved: Saved, episodes: EpisodeSet) -> tuple[str, ...]:
    """Return the note for an evaluation on other data than the learner's own; none if the classes lie no farther out."""
    own = saved.record.get("fingerprint") == episodes.dataset.fingerprint
    if own or has_targets(episodes.dataset) or _trained_on(saved) is None:
        return ()
    index = _some(episodes.index)
    items = min(_ITEMS, int(index.sizes.min()))
    try:
        rows = _centres(saved, episodes.dataset, index, items)
        return _note(saved, Centres(index.names, tuple(f"asked: {name}" for name in index.names), rows), items)
    except (DataError, EpisodeError):  # features that are no vectors, or too few training classes, have no distances
        return ()


def support_notes(saved: Saved, classifier: Classifier, pictures: Sequence[Path]) -> tuple[str, ...]:
    """Return what a user of a prediction should know about the support pictures.

    Args:
        saved: The learner.
        classifier: The learner, adapted to the pictures.
        pictures: The support pictures.
    """
    looked = first_look(pictures, classifier.preprocess).notes()
    if looked or _trained_on(saved) is None:
        return looked
    try:
        rows, items = classifier.centres(_ITEMS)
        return _note(saved, Centres(classifier.classes, tuple(f"asked: {name}" for name in classifier.classes), rows), items)
    except (DataError, EpisodeError):
        return ()


def _trained_on(saved: Saved) -> str | None:
    """Name the training data, if they lie in the package and the record names the classes."""
    name = (trained_on_data(saved.record) or {}).get("name")
    return name if name in words() and saved.record.get("classes_seen") else None


def _note(saved: Saved, asked: Centres, items: int) -> tuple[str, ...]:
    data = parse_recipe({"data": trained_on_data(saved.record) or {}}, "of the learner's record").data
    own = open_dataset(data, saved.preprocess)
    if not divides_itself(own):
        return ()
    split = own.split(str(saved.record.get("split")), seed=data.split_seed)
    seen = unfold(saved.record["classes_seen"])
    held_out = [name for name in split.part("test").names if name not in set(seen)]
    parts = {"train": own.index.subset(seen), "own": own.index.subset(held_out)}
    centres = {}
    for part, index in parts.items():
        chosen = _some(index)
        centres[part] = Centres(chosen.names, kin_of(chosen.names, chosen.groups), _centres(saved, own, chosen, items))
    shift = measure_shift("features", centres["train"], {"own": centres["own"], "asked": asked})
    times = shift.median("asked") / shift.median("own")
    if times < FARTHER:
        return ()
    return (
        f"these classes lie {times:.2f} times as far from the training classes as the learner's own test classes do (medians, in its "
        "features); expect a lower accuracy than on those.",
    )


def _some(index: ClassIndex) -> ClassIndex:
    count = min(CLASSES, len(index))
    return index.subset([index.names[number * len(index) // count] for number in range(count)])


def _centres(saved: Saved, dataset: Dataset, index: ClassIndex, items: int) -> np.ndarray:
    with evaluating(saved.learner):
        return class_centres(dataset, index, encode=saved.learner.encode, items=items, device=device_of(saved.learner))
