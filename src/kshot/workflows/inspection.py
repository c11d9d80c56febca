"""Inspecting the tasks of a saved learner: which classes and episodes are hard for it, and how far they lie from its training classes.

In: a `Saved` learner and the `EpisodeSet` of a question (`kshot.workflows.question`). Out: a `TaskReport`. Next:
`kshot.score_commands` shows it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kshot.data.class_index import ClassIndex
from kshot.data.dataset import Dataset
from kshot.data.divided_dataset import divides_itself
from kshot.data.pictures.image_folder import ImageFolder
from kshot.data.pictures.ink import Ink
from kshot.data.pictures.near_copies import CELLS, MOST_APART, near_copies
from kshot.data.pictures.picture import Picture
from kshot.episodes.centres import class_centres, pixels
from kshot.errors import DataError, EpisodeError
from kshot.results.inspect.confusion import count_confusion
from kshot.results.inspect.difficulty import measure_difficulty
from kshot.results.inspect.shift import Centres, Shift, kin_of, measure_shift
from kshot.results.inspect.task_report import TaskReport
from kshot.results.score.answers import Answers
from kshot.results.score.episode_set import EpisodeSet
from kshot.results.score.evaluate import device_of, evaluating
from kshot.results.score.result import Results
from kshot.saved.class_names import unfold
from kshot.saved.folder import Saved
from kshot.workflows.build import open_dataset
from kshot.workflows.recipe import parse_recipe

_ITEMS = 10
"""The centre of a class is the mean of at most this many items. The number is the same in every part, so all centres are equally exact."""
_MOST_COMPARED = 20_000
"""Near copies are looked for among this many pictures; the time grows with the square of their number."""


@dataclass(frozen=True, eq=False)
class Part:
    """A part of the classes: the training classes, the validation classes, or the asked classes."""

    name: str
    dataset: Dataset
    index: ClassIndex

    @property
    def items(self) -> int:
        """Number of items that its centres use."""
        return int(self.index.sizes.clip(max=_ITEMS).sum())


def known_parts(saved: Saved, episodes: EpisodeSet) -> tuple[list[Part], tuple[str, ...]]:
    """Return the training classes of the learner, its validation classes if there are any, and the asked classes unless trained on.

    Returns:
        The parts, `train` first, and no sentence; or no parts and a sentence that says why: the record of the learner names no training
        classes, or they no longer exist.
    """
    try:
        return _parts(saved, episodes), ()
    except DataError as error:
        return [], (f"No distance from the training classes: {error}",)


def asked_part(parts: Sequence[Part], episodes: EpisodeSet) -> str:
    """Return the name of the asked classes among the parts."""
    return parts[-1].name if parts and parts[-1].index is episodes.index else "train"


def _parts(saved: Saved, episodes: EpisodeSet) -> list[Part]:
    record = saved.record
    seen, recipe = unfold(record.get("classes_seen", {})), record.get("recipe")
    if not seen or not isinstance(recipe, dict):
        raise DataError("the learner's record names none. Train it with kshot, or pass record={'classes_seen': …, 'recipe': …} to save.")
    data = parse_recipe({"data": recipe.get("data", {})}, "of the learner's record").data
    asked = episodes.dataset
    own = asked if asked.fingerprint == record.get("fingerprint") or asked.name == data.name else open_dataset(data, saved.preprocess)
    if divides_itself(own):
        held_out = own.split(str(record.get("split")), seed=data.split_seed).part("val").names
    else:
        held_out = tuple((record.get("division") or {}).get("val", ()))
    parts = [Part("train", own, own.index.subset(seen))]
    mine = set(episodes.index.names) if own is asked else set()
    val = [name for name in held_out if name not in set(seen)]
    if val and mine != set(val):
        parts.append(Part("val", own, own.index.subset(val)))
    if not mine or not mine <= set(seen):
        name = episodes.split.rpartition("/")[2]
        parts.append(Part("asked" if name in ("train", "trainval", "val") and own is not asked else name, asked, episodes.index))
    return parts


def measure_shifts(
    saved: Saved, parts: Sequence[Part], progress: Callable[[int], None] | None = None
) -> tuple[tuple[Shift, ...], tuple[str, ...]]:
    """Measure how far the parts lie from the training classes, in the learner's features and in the numbers of the items.

    Args:
        saved: The learner.
        parts: From `known_parts`.
        progress: Called with the number of items encoded since the last call. All items of all parts come twice.

    Returns:
        The shifts that can be measured, and a sentence for each that cannot, for example if the features of the learner are not vectors.
    """
    shifts, notes = [], []
    if not parts:
        return (), ()
    device = device_of(saved.learner)
    for space, encode in (("features", saved.learner.encode), ("pixels", pixels)):
        try:
            with evaluating(saved.learner):
                centres = {
                    part.name: Centres(
                        part.index.names,
                        _kin(part, parts[0]),
                        class_centres(part.dataset, part.index, encode=encode, items=_ITEMS, device=device, progress=progress),
                    )
                    for part in parts
                }
            train = centres.pop("train")
            shifts.append(measure_shift(space, train, centres))
        except (DataError, EpisodeError) as error:
            notes.append(f"No distances in the {'features' if space == 'features' else 'numbers of the items'}: {error}")
    return tuple(shifts), tuple(notes)


def near_copy_notes(parts: Sequence[Part], episodes: EpisodeSet) -> tuple[str, ...]:
    """Report the pictures of a user's folders that are nearly the same, among the parts or, where none are known, the asked classes."""
    parts = parts or [Part("asked", episodes.dataset, episodes.index)]
    kept: list[np.ndarray] = []
    classes: list[str] = []
    places: list[str] = []
    files: list[Path] = []
    for part in parts:
        if isinstance(part.dataset, ImageFolder) and isinstance(part.dataset.preprocess, Picture | Ink):
            pictures = part.index.items[: _MOST_COMPARED - len(files)]
            kept.append(np.asarray(part.dataset.gather(pictures)))
            classes += list(np.repeat(part.index.names, part.index.sizes)[: len(pictures)])
            places += [part.name] * len(pictures)
            files += [part.dataset.files[item] for item in pictures]
    if not files:
        return ()
    pairs = near_copies(np.concatenate(kept))
    if not len(pairs):
        return ()
    across = [(one, other) for one, other in pairs if classes[one] != classes[other]]
    learnt = [(one, other) for one, other in pairs if (places[one] == "train") != (places[other] == "train")]
    one, other = (learnt or across or list(pairs))[0]
    are = f"{len(pairs):,} pairs are" if len(pairs) > 1 else "1 pair is"
    return (
        f"Of {len(files):,} pictures, {are} nearly the same (to {MOST_APART:.0f} of 255 grey levels in "
        f"{CELLS} × {CELLS} cells): {len(across):,} in two classes, {len(learnt):,} with one in a training class. "
        f"Look at {files[one]} and {files[other]}.",
    )


def _kin(part: Part, train: Part) -> tuple[str, ...]:
    kin = kin_of(part.index.names, part.index.groups)
    return kin if part.dataset is train.dataset else tuple(f"elsewhere: {name}" for name in kin)  # equal names in other data are not kin


def report_tasks(
    episodes: EpisodeSet, answers: Sequence[Answers], results: Results, shifts: tuple[Shift, ...], part: str, notes: tuple[str, ...]
) -> TaskReport:
    """Join all findings in one report."""
    difficulty = measure_difficulty(answers)
    shown = {int(place) for place in (*difficulty.hardest(), *difficulty.easiest())}
    wanted = {int(difficulty.numbers[place]): place for place in shown}
    names = {
        wanted[int(number)]: tuple(episodes.index.names[position] for position in rectangle.classes[row])
        for rectangle in episodes.drawn
        for row, number in enumerate(rectangle.numbers)
        if int(number) in wanted
    }
    confusion = count_confusion(episodes.index, answers)
    return TaskReport(results, confusion, difficulty, names, shifts, part, notes)
