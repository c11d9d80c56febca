"""`certainty.json`, beside a saved learner: what its validation tasks tell of its sureness; and what is said of a user's task with it.

In: `ShapeCertainty`s. Out: a file, and from it a `TaskJudge`. Next: `kshot.tasks.classifier`. The file names the tensors of the learner by
their hash, so that it says nothing of a learner that has taken its place.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, TypedDict

import numpy as np

from kshot.atomic import finite_or_none, json_text, write_text
from kshot.errors import RecipeError, SavedError
from kshot.regular_file import look, read_json
from kshot.saved.record_file import read_record
from kshot.tasks.certainty.asked import Asked, Verdicts
from kshot.tasks.certainty.from_tasks import ShapeCertainty, familiarities
from kshot.tasks.certainty.sets import SURE, sets_of
from kshot.value_types import misfit

FILE = "certainty.json"
FORMAT = 1
_TELL = "the validation tasks of this learner can promise"


class _Shape(TypedDict):
    way: int
    shot: int
    tasks: int
    accuracy: float
    own: list[float | None]
    detector: str
    auroc: float
    familiar: list[float | None]


class _Content(TypedDict):
    format: int
    tensors: str
    tasks_of: str
    levels: list[float]
    shapes: list[_Shape]


@dataclass(frozen=True)
class TaskCertainty:
    """What validation tasks tell of a learner.

    Attributes:
        tasks_of: The data and the classes that the tasks were drawn from, for example `omniglot vinyals/val`.
        levels: The rates of the thresholds, ascending.
        shapes: What tasks of each shape tell.
    """

    tasks_of: str
    levels: tuple[float, ...]
    shapes: tuple[ShapeCertainty, ...]

    def nearest(self, way: int, shot: float) -> ShapeCertainty:
        """Return what tasks of the nearest shape tell: of the smallest ratio of ways and of shots."""
        return min(self.shapes, key=lambda one: abs(math.log(one.way / way)) + abs(math.log(one.shot / shot)))


def write_task_certainty(folder: Path, tasks_of: str, levels: Sequence[float], shapes: Sequence[ShapeCertainty]) -> None:
    """Write what tasks tell beside a saved learner, in the place of what was there.

    Raises:
        SavedError: The folder is no saved learner, or the disk refuses the file.
    """
    tensors = read_record(folder)["tensors"]["sha256"]
    rows = [{name: _rounded(value) for name, value in asdict(one).items()} for one in shapes]
    write_text(
        folder / FILE, json_text({"format": FORMAT, "tensors": tensors, "tasks_of": tasks_of, "levels": levels, "shapes": rows}) + "\n"
    )


def read_task_certainty(folder: Path | None) -> TaskCertainty | None:
    """Return what tasks tell of the learner in a folder; None if nothing lies beside it, or what does is of another one.

    Raises:
        SavedError: The file is damaged, or newer than this kshot.
    """
    if folder is None or look(folder / FILE, SavedError) != "file":
        return None
    file = folder / FILE
    try:
        content: Any = read_json(file)
    except (OSError, ValueError) as error:
        raise SavedError(f"{file} is damaged: {error}. Remove it, or copy the learner again.") from error
    if isinstance(content, dict) and isinstance(content.get("format"), int) and content["format"] > FORMAT:
        raise SavedError(
            f"{file} has format {content['format']}; this kshot reads up to {FORMAT}. Install a newer kshot, or remove the file."
        )
    fault = misfit(_Content, content) or _fault(content)
    if fault:
        raise SavedError(f"{file} is damaged: {fault}. Remove it, or copy the learner again.")
    if content["tensors"] != read_record(folder)["tensors"]["sha256"]:
        return None
    shapes = [
        ShapeCertainty(
            one["way"],
            one["shot"],
            one["tasks"],
            one["accuracy"],
            _bounds(one["own"]),
            one["detector"],
            one["auroc"],
            _bounds(one["familiar"]),
        )
        for one in content["shapes"]
    ]
    return TaskCertainty(content["tasks_of"], tuple(content["levels"]), tuple(shapes))


class TaskJudge:
    """Says of things what was asked, for a learner that has adapted to a user's task.

    Args:
        certainty: What validation tasks tell of the learner; None: nothing.
        way: Classes of the user's task.
        shot: Examples per class, on average.
        asked: What is asked.

    Attributes:
        notes: What the user should know, in sentences.

    Raises:
        RecipeError: The learner cannot promise what is asked.
    """

    def __init__(self, certainty: TaskCertainty | None, way: int, shot: float, asked: Asked) -> None:
        self._below: float | None = None
        self._unknown_below = -math.inf
        self.notes: tuple[str, ...] = ()
        if certainty is None:
            if asked.coverage is not None or asked.unknown is not None:
                raise RecipeError(
                    "nothing is known of how sure this learner is: no tasks of validation classes were kept with it. A model of kshot fit "
                    "learns it from two or more examples per class; omniglot-protonet has it. Leave --coverage and --unknown out."
                )
            return
        shape = certainty.nearest(way, shot)
        self._detector = shape.detector
        self._unknown_below = _at(certainty.levels, shape.familiar, asked.rate)
        if asked.unknown is not None and not math.isfinite(self._unknown_below):
            least = _least(certainty.levels, shape.familiar)
            raise RecipeError(f"--unknown {asked.unknown:g}: {_TELL} a false-alarm rate of {least:g} at least. Ask for that or more.")
        if asked.coverage is None:
            return
        self._below = _at(certainty.levels, shape.own, 1 - asked.coverage)
        if not math.isfinite(self._below):
            most = 1 - _least(certainty.levels, shape.own)
            raise RecipeError(f"--coverage {asked.coverage:g}: {_TELL} a coverage of {most:g} at most. Ask for that or less.")
        mine = f"{way}-way {shot:g}-shot"
        other = f"{shape.way}-way {shape.shot}-shot"
        nearest = "" if mine == other else f", the nearest to this {mine} task"
        told = f"the coverage is that over {shape.tasks:,} {other} tasks of {certainty.tasks_of}{nearest}"
        one = f". There, the label alone is right for {shape.accuracy:.3f} of things, so every set is one label" * (self._below >= SURE)
        self.notes = (f"{told}{one}.",)

    @property
    def set_from(self) -> float | None:
        """The log-probability from which on a class is in a set; None where no sets are asked for."""
        return self._below

    def __call__(self, logits: np.ndarray) -> Verdicts:
        """Judge M things by their logits, float64 (M, N)."""
        measured = familiarities(logits)
        sets = None if self._below is None else sets_of(logits - measured["energy"][:, None], self._below)
        if not math.isfinite(self._unknown_below):
            return Verdicts(sets, np.zeros(len(logits), dtype=bool))
        return Verdicts(sets, measured[self._detector] < self._unknown_below)


def _at(levels: Sequence[float], found: Sequence[float], rate: float) -> float:
    """Return the threshold of the largest level that is at most a rate; -∞ if there is none."""
    place = int(np.searchsorted(levels, rate + 1e-9, side="right")) - 1
    return found[place] if place >= 0 else -math.inf


def _least(levels: Sequence[float], found: Sequence[float]) -> float:
    """Return the smallest rate that has a threshold; 1 if none has."""
    return next((level for level, one in zip(levels, found, strict=True) if math.isfinite(one)), 1.0)


def _rounded(value: Any) -> Any:
    """Return numbers with six digits, and None in the place of -∞."""
    if isinstance(value, float):
        return float(f"{value:.6g}")
    return finite_or_none([float(f"{one:.6g}") for one in value]) if isinstance(value, tuple) else value


def _bounds(found: Sequence[float | None]) -> tuple[float, ...]:
    return tuple(-math.inf if one is None else float(one) for one in found)


def _fault(content: _Content) -> str:
    levels = content["levels"]
    if not levels or any(low >= high for low, high in pairwise(levels)) or not 0 < levels[0] <= levels[-1] < 1:
        return "levels must be between 0 and 1, ascending"
    if not content["shapes"]:
        return "there is no shape"
    for one in content["shapes"]:
        if one["way"] < 2 or one["shot"] < 1 or one["detector"] not in ("energy", "probability"):
            return f"way, shot and detector must be usable; found {one['way']}, {one['shot']}, {one['detector']!r}"
        for name in ("own", "familiar"):
            bounds = _bounds(one[name])
            if len(bounds) != len(levels) or any(low > high for low, high in pairwise(bounds)):
                return f"{name} must ascend, one number per level"
    return ""
