"""How often a model is right on labelled things that it has not seen.

In: a `Model`, its encoder and `Examples`. Out: a `Scored`. Next: `kshot estimate` and its report.
"""

from dataclasses import dataclass

import numpy as np

from kshot.data.tables.labels import alike
from kshot.encoders.encoder import Encoder
from kshot.encoders.vector_cache import VectorCache
from kshot.errors import DataError
from kshot.tasks.embedded import check_reads, embedded
from kshot.tasks.estimate import Estimate, score
from kshot.tasks.examples import Examples
from kshot.tasks.heads.answer import log_probabilities
from kshot.tasks.model import Model
from kshot.tasks.row_keys import row_keys

_NAMED = 5


@dataclass(frozen=True, eq=False)
class Scored:
    """The score of a model.

    Attributes:
        estimate: Accuracy, its interval, per class, and confusion.
        examples: The things that were scored.
        labels: The class of each, as its place in the model, int64 (M,).
        log_probabilities: The answers, float64 (M, N).
        notes: What the user should know, in sentences.
    """

    estimate: Estimate
    examples: Examples
    labels: np.ndarray
    log_probabilities: np.ndarray
    notes: tuple[str, ...]


def score_model(model: Model, encoder: Encoder, examples: Examples, *, cache: VectorCache | None = None, strict: bool = False) -> Scored:
    """Score a model.

    Args:
        model: The model.
        encoder: Its encoder.
        examples: Labelled things. Those of classes that the model does not know are left out and named.
        cache: Where vectors are looked up and kept.
        strict: Whether a thing that cannot be read stops the work, instead of being left out and named.

    Raises:
        DataError: No thing can be read, or none is of a class that the model knows.
    """
    check_reads(encoder, examples)
    classes = frozenset(model.classes)
    known = [number for number, name in enumerate(examples.labels) if name in classes]
    if unknown := sorted(set(examples.labels) - set(model.classes)):
        shown = ", ".join(map(repr, unknown[:_NAMED])) + (f" and {len(unknown) - _NAMED} more" if len(unknown) > _NAMED else "")
        like = [group for group in alike([*model.classes, *unknown]) if set(group) & set(unknown)]
        hint = f" {like[0][-1]!r} is written {like[0][0]!r} in the model." if like else ""
        told = f"{len(examples) - len(known):,} things are of classes that the model does not know, and left out: {shown}.{hint}"
        if not known:
            raise DataError(f"none of {len(examples):,} things is of a class that the model knows: {shown}.{hint}")
        examples = examples.keeping(known, told)
    kept, vectors = embedded(examples, encoder, cache, strict=strict)
    place = {name: number for number, name in enumerate(model.classes)}
    labels = np.array([place[name] for name in kept.labels], dtype=np.int64)
    answers = log_probabilities(model.head, vectors)
    notes = kept.notes
    if again := int(np.isin(row_keys(vectors), row_keys(model.vectors)).sum()):
        notes = (*notes, f"{again:,} of the {len(kept):,} things are examples of the model, which flatters the score.")
    return Scored(score(answers, labels, len(model.classes)), kept, labels, answers, notes)
