"""Where a run starts, and what of it does not learn: `training.start_from`, `training.backbone_from`, `training.frozen`.

A run starts from the parameters of a saved learner, from its backbone alone, or from its own. In: a new learner, the name of a saved one,
and the training classes. Out: the learner filled, and what its record says of its start. Next: `kshot.workflows.experiment`.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from torch import nn

from kshot.backbones.backbone import Backbone
from kshot.data.class_index import ClassIndex
from kshot.errors import RecipeError, SavedError
from kshot.learners.backbone_form import load_plain_state, plain_state
from kshot.learners.learner import Learner
from kshot.saved.class_names import unfold
from kshot.saved.folder import load_folder
from kshot.saved.record_file import read_record
from kshot.saved.shipped import find
from kshot.tensor_file import form, misfits
from kshot.workflows.recipe_sections import TrainingRecipe


def start_of(learner: Learner, training: TrainingRecipe, seen: ClassIndex) -> dict[str, Any] | None:
    """Fill a learner, or its backbone, as a recipe says, and freeze what shall not learn.

    Args:
        learner: The learner; its mode and device stay as they are.
        training: Its `start_from`, `backbone_from` and `frozen` say how.
        seen: The training classes of the run.

    Returns:
        Plain values for the record: `learner`, the source as given; `part`, `backbone`, if no more was taken; `sha256` of its tensors; and,
        as far as its own record names them, its `updates`, its `seed` and the learner that it `started_from`. None if the recipe names no
        source.

    Raises:
        SavedError: The learner cannot be found or read, or does not fit.
        RecipeError: It was trained on classes that are not training classes of this run, or it does not say on which; there are two
            sources; or the learner has no such part.
    """
    whole, backbone = training.start_from, training.backbone_from
    if "none" not in (whole, backbone):
        raise RecipeError(f"a run has one start; found training.start_from={whole!r} and training.backbone_from={backbone!r}. Give one.")
    found = None
    if whole != "none":
        found = _taken("start_from", whole, seen, lambda folder: _fill(learner, folder))
    elif backbone != "none":
        found = _taken("backbone_from", backbone, seen, lambda folder: _fill_backbone(learner, folder))
        found["part"] = "backbone"
    freeze(learner, training.frozen)
    return found


def freeze(learner: Learner, what: str) -> None:
    """Freeze a learner's backbone, or all of it but its last blocks; `none` freezes nothing.

    Raises:
        RecipeError: The learner has no backbone, or its backbone does not say which blocks are its last.
    """
    if what == "none":
        return
    backbone = _backbone_of(learner, f"training.frozen={what!r}")
    learning: set[int] = set()
    if what == "early":
        learning = set(map(id, backbone.last_parameters())) if isinstance(backbone, Backbone) else set()
        if not learning:
            raise RecipeError(
                f"training.frozen='early' needs a backbone that names its last blocks, such as efficientnet_lite0; found "
                f"{type(backbone).__name__}. Give training.frozen=none, or backbone."
            )
    for parameter in backbone.parameters():
        parameter.requires_grad_(id(parameter) in learning)
    learner.train(learner.training)  # the normalisation of frozen parts goes to evaluation mode


def _taken(key: str, source: str, seen: ClassIndex, fill: Callable[[Path], None]) -> dict[str, Any]:
    folder = find(source)
    content = read_record(folder)
    record = content["record"]
    if "classes_seen" not in record:
        raise RecipeError(
            f"training.{key}: the learner {source} does not say on which classes it was trained, so nobody would know what this run "
            "has seen. Start from a learner that kshot train saved."
        )
    foreign = sorted({*unfold(record["classes_seen"])} - {*seen.names})
    if foreign:
        shown = ", ".join(map(repr, foreign[:3])) + (f" and {len(foreign) - 3} more" if len(foreign) > 3 else "")
        raise RecipeError(
            f"training.{key}: the learner {source} was trained on classes that are not training classes of this run: {shown}. "
            "Train on the data, the division and the part that it was trained on."
        )
    fill(folder)
    kept = {name: record[name] for name in ("updates", "seed", "started_from") if name in record}
    return {"learner": source, "sha256": content["tensors"]["sha256"], **kept}


def _fill(learner: Learner, folder: Path) -> None:
    training = learner.training
    load_folder(folder, into=learner)
    learner.train(training)


def _fill_backbone(learner: Learner, folder: Path) -> None:
    ours = _backbone_of(learner, "training.backbone_from")
    theirs = _backbone_of(load_folder(folder).learner, "training.backbone_from")
    tensors = plain_state(theirs)
    if differing := misfits(plain_state(ours), {name: form(value) for name, value in tensors.items()}, "the saved one"):
        raise SavedError(f"the backbone of {folder} does not fit the learner's: {differing}. Give [backbone] its name and settings.")
    load_plain_state(ours, tensors)


def _backbone_of(learner: Learner, key: str) -> nn.Module:
    found = getattr(learner, "backbone", None)
    if not isinstance(found, nn.Module):
        raise RecipeError(f"{key} needs a learner with a backbone of its own; {type(learner).__name__} has none.")
    return found
