"""A fitted model: what tells a user's own classes apart, and all that it was fitted from.

    thing --encoder--> vector (D,) --head--> label, probability, second

A model keeps the vectors of its examples, so that classes and examples come and go without any example being read again. It is plain
arrays, names and numbers: `kshot.tasks.model_folder` writes and reads it without a pickle. Nothing here imports PyTorch or scikit-learn.
In: what `kshot.tasks.fit` found. Next: `kshot.tasks.answers`.

n is the number of examples, N the number of classes, D the number of features.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from kshot.encoders.encoder import Encoder, Provenance, Reads
from kshot.errors import DataError, known_ones
from kshot.short_repr import short_repr
from kshot.tasks.certainty.certainty import Certainty
from kshot.tasks.class_weights import ClassWeights
from kshot.tasks.heads.head import FittedHead
from kshot.tasks.numbers.columns import NumberColumns


@dataclass(frozen=True)
class EncoderFacts:
    """Which encoder a model reads with.

    Attributes:
        name: As `--encoder` takes it.
        reads: What it is for.
        features: D.
        fingerprint: 16 hexadecimal digits; another fingerprint gives other vectors, and the model's answers would mean nothing.
        provenance: Origin and licence of its weights.
    """

    name: str
    reads: Reads
    features: int
    fingerprint: str
    provenance: Provenance

    @classmethod
    def of(cls, encoder: Encoder) -> "EncoderFacts":
        """Return the facts of an encoder."""
        return cls(encoder.name, encoder.reads, encoder.features, encoder.fingerprint, encoder.provenance)

    def as_dict(self) -> dict[str, Any]:
        """Return what a record holds, in values that JSON has."""
        own = {"name": self.name, "reads": self.reads, "features": self.features, "fingerprint": self.fingerprint}
        return {**own, "licence": self.provenance.licence, "source": self.provenance.source, "package": self.provenance.package}


@dataclass(frozen=True, eq=False)
class Model:
    """A fitted model.

    Attributes:
        encoder: Which encoder its things are read with.
        classes: The names of the N classes, sorted.
        head_name: Name of the head.
        head: The fitted head, which answers.
        vectors: The vectors of the examples, float32 (n, D).
        labels: The class of each example, int64 (n,).
        names: What each example is called: its path, or its row in the table.
        findings: How well the model does, and which heads it was chosen from, as plain JSON values: `estimate`, `choice`, `head` (the
            choice in words), and `asked_head`, the head that the user named; after `--tune`, `tuned`. See `kshot.tasks.fit` and
            `kshot.tasks.tune.fit_tuned`.
        columns: Columns of the table that hold the things and the label, where the examples were a table: `things` and `label`.
        numbers: How rows become vectors, for a model of numbers; else None.
        descriptions: Sentences that describe a class, by the name of the class, beside the name itself.
        description_vectors: Their vectors, float32 (N, D), NaN for a class without a description; None without descriptions.
        weights: Weights of the classes, which its head and its findings count.
        certainty: What it has learnt of how sure its answers are; None: it is of an older kshot.
        folder: The folder that it was read from, which may hold the encoder itself; None for a model that was just fitted.
    """

    encoder: EncoderFacts
    classes: tuple[str, ...]
    head_name: str
    head: FittedHead
    vectors: np.ndarray
    labels: np.ndarray
    names: tuple[str, ...]
    findings: Mapping[str, Any] = field(default_factory=dict)
    columns: Mapping[str, Any] = field(default_factory=dict)
    numbers: NumberColumns | None = None
    descriptions: Mapping[str, Sequence[str]] = field(default_factory=dict)
    description_vectors: np.ndarray | None = None
    weights: ClassWeights = field(default_factory=ClassWeights)
    certainty: Certainty | None = None
    folder: Path | None = None

    def __repr__(self) -> str:
        """Return the classes, the sizes, the encoder and the head."""
        shown = ", ".join(map(repr, self.classes[:10])) + (" …" if len(self.classes) > 10 else "")
        parts = [f"{len(self.classes)} classes: {shown}", f"{len(self.labels)} examples", f"encoder={self.encoder.name!r}"]
        return short_repr("Model", [*parts, f"head={self.head_name!r}"])

    @property
    def counts(self) -> dict[str, int]:
        """How many examples each class has."""
        numbers = np.bincount(self.labels, minlength=len(self.classes))
        return {name: int(number) for name, number in zip(self.classes, numbers, strict=True)}

    @property
    def described(self) -> bool:
        """Whether the head counts the descriptions of classes as examples."""
        return bool(self.head.settings.get("descriptions"))

    @property
    def tuned(self) -> Mapping[str, Any] | None:
        """How the encoder was tuned; None for a frozen one. A tuned encoder is nowhere but in the folder of its model."""
        tuned: Mapping[str, Any] | None = self.findings.get("tuned")
        return tuned if tuned is not None and tuned["kept"] else None

    def position(self, name: str) -> int:
        """Return the place of a class.

        Raises:
            DataError: There is no such class.
        """
        if name not in self.classes:
            raise DataError(f"there is no class {name!r}.{known_ones(name, self.classes)}")
        return self.classes.index(name)
