"""Start a run from the parameters of a saved learner instead of new ones (`training.start_from`).

In: a new learner, the name of a saved one, and the training classes. Out: the learner filled, and what its record says of its start. Next:
`kshot.workflows.experiment`.
"""

from typing import Any

from kshot.data.class_index import ClassIndex
from kshot.errors import RecipeError
from kshot.learners.learner import Learner
from kshot.saved.class_names import unfold
from kshot.saved.folder import load_folder
from kshot.saved.record_file import read_record
from kshot.saved.shipped import find


def take_parameters(learner: Learner, source: str, seen: ClassIndex) -> dict[str, Any]:
    """Fill a learner with the parameters and buffers of a saved one.

    Args:
        learner: The learner; its mode and device stay as they are.
        source: The folder of a learner, the folder of a run, or the name of a shipped learner.
        seen: The training classes of the run.

    Returns:
        Plain values for the record: `learner`, the source as given; `sha256` of its tensors; and, as far as its own record names them, its
        `updates`, its `seed` and the learner that it `started_from`.

    Raises:
        SavedError: The learner cannot be found or read, or does not fit.
        RecipeError: It was trained on classes that are not training classes of this run, or it does not say on which.
    """
    folder = find(source)
    content = read_record(folder)
    record = content["record"]
    if "classes_seen" not in record:
        raise RecipeError(
            f"training.start_from: the learner {source} does not say on which classes it was trained, so nobody would know what this run "
            "has seen. Start from a learner that kshot train saved."
        )
    foreign = sorted({*unfold(record["classes_seen"])} - {*seen.names})
    if foreign:
        shown = ", ".join(map(repr, foreign[:3])) + (f" and {len(foreign) - 3} more" if len(foreign) > 3 else "")
        raise RecipeError(
            f"training.start_from: the learner {source} was trained on classes that are not training classes of this run: {shown}. "
            "Train on the data, the division and the part that it was trained on."
        )
    training = learner.training
    load_folder(folder, into=learner)
    learner.train(training)
    kept = {name: record[name] for name in ("updates", "seed", "started_from") if name in record}
    return {"learner": source, "sha256": content["tensors"]["sha256"], **kept}
