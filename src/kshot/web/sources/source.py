"""What a source of tasks is: it reads things, turns them into vectors, learns a task from vectors, and answers for many tasks at once.

    thing --Reader.read--> item --Reader.encode--> vector,   vectors --Source.adapt--> Learnt,   vectors --Source.answer--> predictions

A vector is a mapping of names to arrays, because the features of some learners are several tensors. Next: `kshot.web.answering`,
`kshot.web.changes`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from kshot.errors import KshotError
from kshot.tasks.certainty.asked import Asked
from kshot.tasks.prediction import Prediction
from kshot.web.things import Thing

Vector = Mapping[str, np.ndarray]
"""The features of one thing."""
COVERAGE = 0.9
"""Of the sets of a task that can promise it, where none is asked for."""
X = "x"
"""The name of features that are one array."""


@dataclass(frozen=True)
class Support:
    """What a task is learned from.

    Attributes:
        classes: The names of the N classes, sorted.
        labels: The class of each example, 0 … N - 1.
        vectors: The vectors of the examples.
        names: What each is called, such as `e7`.
        descriptions: Sentences that describe a class.
        earlier: The task before the change; None for a new one.
    """

    classes: tuple[str, ...]
    labels: Sequence[int]
    vectors: Sequence[Vector]
    names: Sequence[str]
    descriptions: Mapping[str, Sequence[str]] = field(default_factory=dict)
    earlier: "State | None" = None


class State(Protocol):
    """An adapted task in memory. It is never changed."""

    @property
    def bytes(self) -> int:
        """How much memory it takes."""
        ...

    @property
    def notes(self) -> tuple[str, ...]:
        """What its user should know, in sentences."""
        ...

    def notes_on(self, asked: Asked) -> tuple[str, ...]:
        """What the user of an answer should know, in sentences: why there are no sets, or no alarms."""
        ...


@dataclass(frozen=True, eq=False)
class Learnt:
    """What a source has learned of a task.

    Attributes:
        state: The adapted task.
        record: What is needed beside the arrays to restore it, as plain JSON values.
        arrays: Its arrays.
        estimate: How often it will be right, in words; empty if the source does not say.
    """

    state: State
    record: Mapping[str, Any]
    arrays: Mapping[str, np.ndarray]
    estimate: str = ""


@dataclass(frozen=True, eq=False)
class Wanted:
    """What is asked of one task.

    Attributes:
        state: The task.
        vectors: The things.
        asked: The coverage of sets and the rate of false alarms; None where the service chooses.
    """

    state: Any
    vectors: Sequence[Vector]
    asked: Asked


Answers = Sequence[Prediction] | KshotError
"""The answers for the things of one `Wanted`; or why there are none."""


class Reader(Protocol):
    """Reads and encodes things; both as `kshot.encoders.encoder.Encoder` says."""

    def read(self, thing: object) -> object: ...  # noqa: D102

    def vectors(self, items: Sequence[Any]) -> list[Vector]:
        """Return the vectors of items.

        Raises:
            DataError: They cannot be encoded together, or have numbers that are not finite.
        """
        ...


class Source(Protocol):
    """What tasks are made with.

    Attributes:
        name: How requests name it.
        kind: `learner` or `encoder`.
        reads: What its things are.
        takes: `image`, `text` or `numbers`.
        fingerprint: Of its network; vectors of another one mean nothing.
    """

    @property
    def name(self) -> str: ...  # noqa: D102

    @property
    def kind(self) -> str: ...  # noqa: D102

    @property
    def reads(self) -> str: ...  # noqa: D102

    @property
    def takes(self) -> str: ...  # noqa: D102

    @property
    def fingerprint(self) -> str: ...  # noqa: D102

    def reader_for(self, things: Sequence[Thing]) -> Reader:
        """Return what reads the things of a new task, of which these are the first.

        Raises:
            DataError: They cannot be read together.
        """
        ...

    def reader_of(self, state: Any) -> Reader:
        """Return what reads the things of a task."""
        ...

    def adapt(self, support: Support, reader: Reader) -> Learnt:
        """Learn a task.

        Raises:
            DataError: The examples are not enough, or do not fit.
            RecipeError: What is asked has no meaning to this source.
        """
        ...

    def restore(self, record: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> State | None:
        """Return a task from what `Learnt` held; None if it must be learned from its examples again.

        Raises:
            SavedError: Record and arrays do not fit.
        """
        ...

    def answer(self, wanted: Sequence[Wanted]) -> list[Answers]:
        """Answer for many tasks at once."""
        ...
