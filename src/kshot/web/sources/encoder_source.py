"""Tasks of a frozen encoder: a head is chosen for each, exactly as `kshot fit` does, with sets and alarms.

In: an encoder. Out: a `Source`. The state of a task is a fitted model, which can be downloaded. Next: `kshot.web.sources.table`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np

from kshot.encoders.encoder import Encoder
from kshot.errors import DataError, KshotError, RecipeError, SavedError
from kshot.short_repr import short_repr
from kshot.tasks.answers import judge_of, predict_vectors
from kshot.tasks.certainty.asked import Asked
from kshot.tasks.certainty.certainty import Judge
from kshot.tasks.estimate import estimate_from_dict
from kshot.tasks.fit import refitted
from kshot.tasks.kept import Known
from kshot.tasks.model import EncoderFacts, Model
from kshot.tasks.model_folder import model_from, parts_of
from kshot.tasks.model_record import Content
from kshot.tasks.numbers.columns import fit_columns
from kshot.tasks.numbers.number_encoder import NumberEncoder
from kshot.tasks.row_keys import row_keys
from kshot.value_types import misfit
from kshot.web.sources.source import COVERAGE, Answers, Learnt, Reader, State, Support, Vector, Wanted, X
from kshot.web.things import Thing

NUMBERS = "numbers"
_JUDGES = 4


@dataclass(frozen=True, eq=False)
class ModelTask:
    """A fitted model as a task.

    Attributes:
        model: The model.
        notes: What its user should know.
    """

    model: Model
    notes: tuple[str, ...] = ()
    _judges: Any = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_judges", lru_cache(_JUDGES)(lambda asked: _judge(self.model, asked)))

    def judge(self, asked: Asked) -> tuple[Judge, tuple[str, ...]]:
        """Return what judges answers, with its notes. Made once for what is asked.

        Raises:
            RecipeError: The model cannot promise what is asked.
        """
        found: tuple[Judge, tuple[str, ...]] = self._judges(asked)
        return found

    def notes_on(self, asked: Asked) -> tuple[str, ...]:
        """What the user of an answer should know."""
        return (*self.notes, *self.judge(asked)[1])

    @property
    def bytes(self) -> int:
        """How much memory it takes, with what its judge keeps beside it."""
        return 3 * self.model.vectors.nbytes + sum(one.nbytes for one in self.model.head.arrays.values()) + 20_000


def _judge(model: Model, asked: Asked) -> tuple[Judge, tuple[str, ...]]:
    if asked.coverage is not None:
        judge = judge_of(model, asked)
        return judge, judge.notes
    try:
        judge = judge_of(model, Asked(COVERAGE, asked.unknown))
    except RecipeError as error:
        judge = judge_of(model, Asked(None, asked.unknown))
        return judge, (*judge.notes, f"no sets: {error}")
    return judge, judge.notes


class EncoderSource:
    """A frozen encoder.

    Args:
        name: How requests name it.
        encoder: The encoder; None for rows of numbers, whose columns are those of each task.
    """

    kind = "encoder"

    def __init__(self, name: str, encoder: Encoder | None) -> None:
        self.name = name
        self._encoder = encoder
        self.reads = NUMBERS if encoder is None else encoder.reads
        self.takes = {"texts": "text", "numbers": "numbers"}.get(self.reads, "image")
        self.fingerprint = "" if encoder is None else encoder.fingerprint

    def __repr__(self) -> str:
        return short_repr("EncoderSource", [repr(self.name), f"reads={self.reads!r}"])

    def reader_for(self, things: Sequence[Thing]) -> Reader:
        """Return what reads the things of a new task: for numbers, the columns that these rows have.

        Raises:
            DataError: The rows do not have the same columns.
        """
        if self._encoder is not None:
            return EncoderReader(self._encoder)
        if not things:
            raise DataError("rows of numbers need examples; descriptions say nothing of them. Give examples.")
        rows = [_row(thing) for thing in things]
        names = list(rows[0])
        if odd := next((row for row in rows if set(row) != set(names)), None):
            raise DataError(f"rows must have the same columns; found {len(names)} and {len(odd)} numbers, or other names.")
        return EncoderReader(NumberEncoder(fit_columns(rows, names)))

    def reader_of(self, state: ModelTask) -> Reader:
        """Return what reads the things of a task."""
        model = state.model
        return EncoderReader(self._encoder if self._encoder is not None else NumberEncoder(_columns_of(model)), _names(model))

    def adapt(self, support: Support, reader: Reader) -> Learnt:
        """Fit a model.

        Raises:
            DataError: There are fewer than two classes, or a class has neither an example nor a description.
            RecipeError: The encoder cannot read descriptions.
        """
        assert isinstance(reader, EncoderReader)
        encoder = reader.encoder
        numbers = encoder.columns if isinstance(encoder, NumberEncoder) else None
        columns = {} if numbers is None else {"things": reader.names or [one.name for one in numbers.columns]}
        sentences = {name: some for name, some in support.descriptions.items() if some}
        known = Known(EncoderFacts.of(encoder), columns, numbers, None)
        if isinstance(support.earlier, ModelTask):  # the head and the weights that it was fitted with stay
            known = Known.of(support.earlier.model)
        known = known.describing(encoder, support.classes, sentences, None)
        for place, name in enumerate(support.classes):
            if place not in set(support.labels) and name not in sentences:
                raise DataError(f"class {name!r} has neither an example nor a description. Give one of the two, or remove the class.")
        vectors = np.stack([one[X] for one in support.vectors]) if support.vectors else np.empty((0, encoder.features), np.float32)
        labels = np.asarray(support.labels, dtype=np.int64)
        kept = _without_copies(vectors, labels)
        names = tuple(support.names[place] for place in kept)
        model = refitted(known, support.classes, vectors[kept], labels[kept], names).model
        copies = len(labels) - len(kept)
        are = "1 example is a copy of another one of its class, and does" if copies == 1 else f"{copies} examples are copies, and do"
        notes = ((f"{are} not count.",) if copies else ()) + (() if numbers is None else numbers.findings)
        return learnt_model(model, notes)

    def restore(self, record: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> State | None:
        """Return a task from its parts."""
        content: Any = record["model"]
        if fault := misfit(Content, {**content, "arrays": {"file": "", "sha256": ""}}):
            raise SavedError(f"a task in the store is damaged: {fault}.")
        try:
            return ModelTask(model_from(content, arrays), tuple(record.get("notes", ())))
        except ValueError as error:
            raise SavedError(f"a task in the store is damaged: {error}.") from error

    def answer(self, wanted: Sequence[Wanted]) -> list[Answers]:
        """Answer for many tasks, one product each: heads differ from task to task."""
        return [_answered(one) for one in wanted]


class EncoderReader:
    """An encoder as the service reads with it.

    Args:
        encoder: The encoder.
        names: The names of columns, for rows without names.
    """

    def __init__(self, encoder: Encoder, names: Sequence[str] = ()) -> None:
        self.encoder, self.names = encoder, list(names)

    def __repr__(self) -> str:
        return short_repr("EncoderReader", [repr(self.encoder)])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, EncoderReader) and other.encoder is self.encoder

    def __hash__(self) -> int:
        return hash(id(self.encoder))

    def read(self, thing: object) -> object:
        """Bring a thing to the form that `vectors` takes. Errors are those of the encoder."""
        if self.encoder.reads == NUMBERS and isinstance(thing, list | dict):
            if self.names and isinstance(thing, list) and len(thing) != len(self.names):
                raise DataError(f"a row of this task has {len(self.names)} numbers; found {len(thing)}.")
            return self.encoder.read(_row(thing, self.names))
        return self.encoder.read(thing)

    def vectors(self, items: Sequence[Any]) -> list[Vector]:
        """Return the vectors of items.

        Raises:
            DataError: A number is not finite.
        """
        found = self.encoder.encode(items)
        if not np.isfinite(found).all():
            raise DataError(f"the encoder {self.encoder.name!r} gives numbers that are not finite for an item. Leave it out.")
        return [{X: row} for row in found]


def learnt_model(model: Model, notes: Sequence[str] = ()) -> Learnt:
    """Return a model as what a source has learned."""
    content, arrays = parts_of(model)
    told = str(estimate_from_dict(model.findings["estimate"]))
    return Learnt(ModelTask(model, tuple(notes)), {"model": content, "notes": list(notes)}, arrays, told)


def _answered(wanted: Wanted) -> Answers:
    task: ModelTask = wanted.state
    try:
        judge, _ = task.judge(wanted.asked)
        return predict_vectors(task.model, np.stack([one[X] for one in wanted.vectors]), judge)
    except KshotError as error:
        return error


def _row(thing: Any, names: Sequence[str] = ()) -> dict[str, Any]:
    if isinstance(thing, dict):
        return thing
    return dict(zip(names or map(str, range(1, len(thing) + 1)), thing, strict=True))


def _names(model: Model) -> list[str]:
    return list(model.columns.get("things", ()))


def _columns_of(model: Model) -> Any:
    if model.numbers is None:
        raise SavedError("a task of numbers has lost its columns. Restore the store from a copy.")
    return model.numbers


def _without_copies(vectors: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return the places of all vectors but copies of earlier ones of their class, which would be tested on themselves."""
    if not len(vectors):
        return np.arange(0)
    pairs = np.stack([row_keys(vectors), labels.astype(np.uint64)], axis=1)
    return np.sort(np.unique(pairs, axis=0, return_index=True)[1])
