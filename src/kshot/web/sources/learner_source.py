"""Tasks of a saved learner. PyTorch is imported with this module.

The tasks of one learner are answered in one product: contracts say that a batch of B tasks gives what B single tasks give, to rounding. In:
a saved learner. Out: a `Source`. Next: `kshot.web.sources.table`.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from kshot.backbones.settled import settled
from kshot.data.as_is import AsIs
from kshot.data.inputs import Inputs, map_inputs
from kshot.data.pictures.ink import Ink
from kshot.encoders.encoder import fingerprint_of
from kshot.errors import DataError, KshotError, RecipeError, SavedError
from kshot.learners.asked import looked_at
from kshot.regular_file import read_bytes
from kshot.saved.folder import load_folder
from kshot.saved.record_file import RECORD
from kshot.saved.shipped import find
from kshot.short_repr import short_repr
from kshot.tasks.certainty.asked import Asked
from kshot.tasks.certainty.task_file import TaskJudge, read_task_certainty
from kshot.tasks.prediction import Prediction, predictions_of
from kshot.web.sources.nested import Structure, flattened, restored
from kshot.web.sources.source import COVERAGE, Answers, Learnt, Reader, State, Support, Vector, Wanted, X
from kshot.web.things import Thing

_MOST_RECORD = 2**26
_JUDGES = 64


@dataclass(frozen=True, eq=False)
class LearnerTask:
    """An adapted task of a learner.

    Attributes:
        classes: The names of the N classes.
        leaves: The tensors of what `adapt` returned, B = 1.
        structure: How they lie in it.
        shot: Examples per class, on average.
        judged: Returns what judges answers of so many classes and examples, as they are asked for.
    """

    classes: tuple[str, ...]
    leaves: tuple[Tensor, ...]
    structure: Structure
    shot: float
    judged: Callable[[int, float, Asked], TaskJudge]

    def __repr__(self) -> str:
        return short_repr("LearnerTask", [f"{len(self.classes)} classes", f"{len(self.leaves)} tensors"])

    @property
    def bytes(self) -> int:
        """How much memory it takes."""
        return sum(leaf.element_size() * leaf.nelement() for leaf in self.leaves) + sum(map(len, self.classes)) + 500

    @property
    def notes(self) -> tuple[str, ...]:
        """What its user should know."""
        return ()

    def notes_on(self, asked: Asked) -> tuple[str, ...]:
        """What the user of an answer should know."""
        return self.judge(asked)[1]

    def judge(self, asked: Asked) -> tuple[TaskJudge, tuple[str, ...]]:
        """Return what judges answers, with its notes.

        Raises:
            RecipeError: The learner cannot promise what is asked.
        """
        N = len(self.classes)
        if asked.coverage is not None:
            judge = self.judged(N, self.shot, asked)
            return judge, judge.notes
        try:
            judge = self.judged(N, self.shot, Asked(COVERAGE, asked.unknown))
        except RecipeError as error:
            judge = self.judged(N, self.shot, asked)
            return judge, (*judge.notes, f"no sets: {error}")
        return judge, judge.notes


class LearnerSource:
    """A saved learner.

    Args:
        name: How requests name it.
        folder: Its folder, or the name of a shipped one.

    Raises:
        SavedError: It cannot be read, or was saved without preprocessing.
    """

    kind = "learner"

    def __init__(self, name: str, folder: str | Path) -> None:
        place = find(folder)
        saved = load_folder(place)
        if saved.preprocess is None:
            raise SavedError(f"the learner {name!r} was saved without preprocessing, so it cannot read anything. Save it with preprocess=.")
        self.name = name
        self.takes = "numbers" if isinstance(saved.preprocess, AsIs) else "image"
        self.reads = "numbers" if self.takes == "numbers" else "ink" if isinstance(saved.preprocess, Ink) else "photographs"
        self.fingerprint = fingerprint_of("learner", read_bytes(place / RECORD, _MOST_RECORD))
        self._preprocess = saved.preprocess
        self._learner = saved.learner.eval()
        self._encoder = settled(self._learner)  # `encode` alone is asked of it
        self._structure: Structure | None = None
        certainty = read_task_certainty(place)
        self._judged = lru_cache(_JUDGES)(partial(TaskJudge, certainty))

    def __repr__(self) -> str:
        return short_repr("LearnerSource", [repr(self.name), repr(self._learner)])

    def reader_for(self, things: Sequence[Thing]) -> Reader:
        """Return the learner itself: it reads all tasks alike."""
        return self

    def reader_of(self, state: Any) -> Reader:
        """Return the learner itself: it reads all tasks alike."""
        return self

    def read(self, thing: object) -> np.ndarray:
        """Return a thing as the learner keeps it. Errors are those of its preprocessing."""
        if self.takes == "numbers" and not isinstance(thing, list):
            raise DataError("this learner reads rows of numbers: a list, without names.")
        return self._preprocess.read(thing)

    def vectors(self, items: Sequence[np.ndarray]) -> list[Vector]:
        """Return the features of kept things.

        Raises:
            DataError: They have several shapes, or their features are not finite.
        """
        if other := next((item for item in items if item.shape != items[0].shape), None):
            raise DataError(f"items must have one shape; found {items[0].shape} and {other.shape}. Bring them to one shape first.")
        with torch.no_grad():
            try:
                features = self._encoder.encode(self._preprocess.to_input(torch.from_numpy(np.stack(items))))
            except (RuntimeError, ValueError, IndexError) as error:
                if isinstance(error, KshotError):
                    raise
                raise DataError(f"the learner cannot read items of shape {items[0].shape}: {str(error).partition(chr(10))[0]}") from error
        named = dict(features) if isinstance(features, Mapping) else {X: features}
        arrays = {name: value.detach().cpu().numpy() for name, value in named.items()}
        if not all(np.isfinite(array).all() for array in arrays.values()):
            raise DataError("the learner gives numbers that are not finite for an item. Leave it out.")
        return [{name: array[place] for name, array in arrays.items()} for place in range(len(items))]

    def adapt(self, support: Support, reader: Reader) -> Learnt:
        """Adapt the learner to a task.

        Raises:
            DataError: A class has no example, or the features do not fit.
            RecipeError: Classes are described.
        """
        if any(support.descriptions.values()):
            raise RecipeError(f"the learner {self.name!r} reads no sentences, so descriptions mean nothing to it. Give examples.")
        if empty := [name for place, name in enumerate(support.classes) if place not in set(support.labels)]:
            raise DataError(f"class {empty[0]!r} has no example; a learner needs one of each class. Give one, or remove the class.")
        y = torch.tensor(support.labels).unsqueeze(0)  # (1, S)
        with torch.no_grad():
            adapted = self._learner.adapt(_stacked([support.vectors]), y, way=len(support.classes))
        leaves, self._structure = flattened(adapted)
        shot = len(support.labels) / len(support.classes)
        state = LearnerTask(support.classes, tuple(leaf.detach() for leaf in leaves), self._structure, shot, self._judged)
        arrays = {str(place): leaf.cpu().numpy() for place, leaf in enumerate(state.leaves)}
        return Learnt(state, {"shot": shot}, arrays)

    def restore(self, record: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> State | None:
        """Return a task from its arrays; None until this process has adapted to one, which tells how the arrays lie in it."""
        if self._structure is None or self._structure.leaves != len(arrays):
            return None
        leaves = tuple(torch.from_numpy(arrays[str(place)].copy()) for place in range(len(arrays)))
        return LearnerTask(tuple(record["classes"]), leaves, self._structure, record["shot"], self._judged)

    def answer(self, wanted: Sequence[Wanted]) -> list[Answers]:
        """Answer for many tasks: those whose tensors have the same shapes, and that are asked equally much, in one product."""
        found: list[Answers] = [[]] * len(wanted)
        alike: dict[tuple[object, ...], list[int]] = defaultdict(list)
        for place, one in enumerate(wanted):
            task: LearnerTask = one.state
            try:
                task.judge(one.asked)
            except RecipeError as error:
                found[place] = error
                continue
            forms = tuple((leaf.shape, leaf.dtype) for leaf in task.leaves)
            alone = place if any(leaf.ndim == 0 or leaf.shape[0] != 1 for leaf in task.leaves) else -1
            alike[(*forms, tuple(map(_form, one.vectors)), alone)].append(place)
        for places in alike.values():
            for place, answers in zip(places, self._together([wanted[place] for place in places]), strict=True):
                found[place] = answers
        return found

    def _together(self, wanted: Sequence[Wanted]) -> list[list[Prediction]]:
        tasks: list[LearnerTask] = [one.state for one in wanted]
        if len(tasks) == 1:
            leaves = tasks[0].leaves
        else:
            leaves = tuple(torch.cat(some) for some in zip(*(task.leaves for task in tasks), strict=True))
        with torch.no_grad(), looked_at():  # `vectors` has looked at each
            adapted, queries = restored(tasks[0].structure, leaves), _stacked([one.vectors for one in wanted])
            logits = self._learner.predict(adapted, queries).double()  # (B, Q, N)
            answers, scores = logits.log_softmax(-1).cpu().numpy(), logits.cpu().numpy()
        return [
            predictions_of(task.classes, rows, task.judge(one.asked)[0](own))
            for task, one, rows, own in zip(tasks, wanted, answers, scores, strict=True)
        ]


def _form(vector: Vector) -> tuple[object, ...]:
    return tuple((name, array.shape) for name, array in vector.items())


def _stacked(tasks: Sequence[Sequence[Vector]]) -> Inputs:
    """Return the features of B tasks of M items each, (B, M, …)."""
    names = list(tasks[0][0])
    both = {name: torch.from_numpy(np.stack([np.stack([one[name] for one in vectors]) for vectors in tasks])) for name in names}
    return map_inputs(lambda value: value, both) if names != [X] else both[X]
