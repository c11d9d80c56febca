"""From examples with several labels to a model: embed them, fit one head per class, say how well it will do.

In: `Examples` whose labels are sets, joined with `SEPARATOR`, and an encoder. Out: a `MultiLabelModel`. Next:
`kshot.tasks.multi_label.model`, `kshot.tasks.multi_label.answers`.
"""

from dataclasses import dataclass

import numpy as np

from kshot.atomic import finite_or_none
from kshot.data.tables.labels import SEPARATOR, alike
from kshot.encoders.encoder import Encoder
from kshot.encoders.vector_cache import VectorCache
from kshot.errors import DataError
from kshot.passes import watched
from kshot.tasks.embedded import check_reads, embedded
from kshot.tasks.encoder_by_name import check_fit
from kshot.tasks.examples import Examples
from kshot.tasks.heads.answer import logits
from kshot.tasks.model import EncoderFacts
from kshot.tasks.multi_label.estimate import LabelsEstimate, estimate_labels
from kshot.tasks.multi_label.model import MultiLabelModel
from kshot.tasks.multi_label.one_vs_rest import fit_one_vs_rest, probabilities_of
from kshot.tasks.numbers.number_encoder import NumberEncoder
from kshot.tasks.row_keys import row_keys

FEWEST = 4
"""Examples that are needed: with fewer, nothing is left to choose a threshold by when one is left out."""
_NAMED = 5


@dataclass(frozen=True, eq=False)
class FittedLabels:
    """A model of things with several labels, and what was found on the way to it.

    Attributes:
        model: The model.
        notes: What the user should know, in sentences.
    """

    model: MultiLabelModel
    notes: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class ScoredLabels:
    """The score of a model on things that it has not seen: the score, and notes for the user."""

    estimate: LabelsEstimate
    notes: tuple[str, ...]


def fit_multi_label(examples: Examples, encoder: Encoder, *, cache: VectorCache | None = None, strict: bool = False) -> FittedLabels:
    """Fit a model.

    Args:
        examples: The examples. One whose set of labels is empty belongs to no class.
        encoder: Reads and embeds them.
        cache: Where vectors are looked up and kept.
        strict: Whether an example that cannot be read stops the work, instead of being left out and named.

    Raises:
        DataError: There are fewer than two classes or than `FEWEST` examples; all examples have the same labels; the encoder reads other
            things; no example can be read, or with `strict` one cannot.
    """
    check_reads(encoder, examples)
    unfit = check_fit(encoder, examples.things)
    kept, vectors = embedded(examples, encoder, cache, strict=strict)
    sets = [_names(label) for label in kept.labels]
    classes = tuple(sorted({name for names in sets for name in names}))
    if len(classes) < 2:
        only = f"found 1: {classes[0]!r}" if classes else "found none"
        raise DataError(f"several labels are of 2 classes or more; {only}. Give examples of another one, or fit without --multi-label.")
    if len(kept) < FEWEST:
        raise DataError(f"--multi-label needs {FEWEST} examples or more, so that thresholds can be chosen; found {len(kept)}.")
    targets = _targets(sets, classes)
    if (targets == targets[0]).all():
        raise DataError(f"all {len(kept):,} examples have the same labels, {kept.labels[0]!r}, so there is nothing to learn. Give others.")
    with watched("classes learnt", len(classes)) as done:
        found = fit_one_vs_rest(vectors, targets)
        done(len(classes))
    estimate = estimate_labels(found.decided, targets[found.sample], "leave-one-out", np.isfinite(found.left_out))
    model = MultiLabelModel(
        EncoderFacts.of(encoder),
        classes,
        found.fitted,
        found.thresholds,
        vectors,
        targets.astype(np.uint8),
        tuple(kept.names),
        {"estimate": finite_or_none(estimate.as_dict())},
        dict(kept.columns),
        encoder.columns if isinstance(encoder, NumberEncoder) else None,
    )
    return FittedLabels(model, (*unfit, *kept.notes, *_findings(sets, classes, targets)))


def score_multi_label(
    model: MultiLabelModel, encoder: Encoder, examples: Examples, *, cache: VectorCache | None = None, strict: bool = False
) -> ScoredLabels:
    """Score a model on labelled things. Labels that it does not know do not count, and are named. The rest is as for `fit_multi_label`."""
    check_reads(encoder, examples)
    kept, vectors = embedded(examples, encoder, cache, strict=strict)
    sets = [_names(label) for label in kept.labels]
    notes = kept.notes
    if unknown := sorted({name for names in sets for name in names} - set(model.classes)):
        shown = ", ".join(map(repr, unknown[:_NAMED])) + (f" and {len(unknown) - _NAMED} more" if len(unknown) > _NAMED else "")
        notes = (*notes, f"the model does not know the labels {shown}, which do not count.")
    if again := int(np.isin(row_keys(vectors), row_keys(model.vectors)).sum()):
        notes = (*notes, f"{again:,} of the {len(kept):,} things are examples of the model, which flatters the score.")
    given = probabilities_of(logits(model.head, vectors)) >= model.thresholds
    return ScoredLabels(estimate_labels(given, _targets(sets, model.classes), "labelled data"), notes)


def _names(label: str) -> tuple[str, ...]:
    return tuple(label.split(SEPARATOR)) if label else ()


def _targets(sets: list[tuple[str, ...]], classes: tuple[str, ...]) -> np.ndarray:
    place = {name: number for number, name in enumerate(classes)}
    found = np.zeros((len(sets), len(classes)), dtype=bool)
    for row, names in enumerate(sets):
        found[row, [place[name] for name in names if name in place]] = True
    return found


def _findings(sets: list[tuple[str, ...]], classes: tuple[str, ...], targets: np.ndarray) -> list[str]:
    none, notes = sum(not names for names in sets), []
    if none:
        what = "1 example has" if none == 1 else f"{none:,} examples have"
        notes.append(f"{what} an empty list of labels, which means that no class fits.")
    if alone := [classes[k] for k in np.flatnonzero(targets.sum(0) == 1)]:
        shown = ", ".join(map(repr, alone[:_NAMED])) + (f" and {len(alone) - _NAMED} more" if len(alone) > _NAMED else "")
        notes.append(f"one example alone has the label {shown}: how often it is found cannot be estimated. Give a second one.")
    if all_have := [classes[k] for k in np.flatnonzero(targets.all(0))]:
        notes.append(f"every example has the label {all_have[0]!r}, so it tells nothing apart.")
    for group in alike(classes):
        told = " and ".join(map(repr, group))
        notes.append(f"the labels {told} differ by case or spaces only, and are taken as {len(group)} classes. Write them alike.")
    return notes
