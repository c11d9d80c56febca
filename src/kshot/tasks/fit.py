"""From a user's examples to a model: embed them, choose the head, say how well it will do.

    examples --encoder--> vectors (n, D) --choose--> head --left out--> estimate

In: `Examples`, or descriptions of classes, or both; and an encoder. Out: a `Model`. Next: `kshot.tasks.model_folder`,
`kshot.tasks.answers`.

The vectors stay in the model. `add`, `remove` and `rename` give new models from them: the head is fitted again and the estimate renewed,
and nothing that was embedded before is embedded again.
"""

from dataclasses import dataclass, replace

import numpy as np

from kshot.atomic import finite_or_none
from kshot.encoders.encoder import Encoder
from kshot.encoders.vector_cache import VectorCache
from kshot.errors import DataError, RecipeError
from kshot.passes import watched
from kshot.tasks.certainty.certainty import learn_certainty
from kshot.tasks.class_weights import ClassWeights
from kshot.tasks.descriptions import Sentences
from kshot.tasks.embedded import check_reads, embedded, equal_rows
from kshot.tasks.encoder_by_name import check_fit
from kshot.tasks.estimate import estimate
from kshot.tasks.examples import Examples
from kshot.tasks.heads.choose import choose, heads_of_rows
from kshot.tasks.heads.given import Given
from kshot.tasks.heads.table import head_named
from kshot.tasks.heads.weighted import weighted
from kshot.tasks.kept import Known
from kshot.tasks.model import EncoderFacts, Model
from kshot.tasks.numbers.number_encoder import NumberEncoder
from kshot.tasks.row_keys import row_keys

_NAMED = 3


@dataclass(frozen=True, eq=False)
class Fitted:
    """A model, and what was found on the way to it.

    Attributes:
        model: The model.
        examples: The examples that it was fitted to, in its order; of `remove` and `rename`, none.
        notes: What the user should know, in sentences: what was left out and why.
        log_probabilities: The answer for each example, left out, float64 (n, N); NaN in the rows of examples that are not scored.
    """

    model: Model
    examples: Examples | None
    notes: tuple[str, ...]
    log_probabilities: np.ndarray


def fit(
    examples: Examples,
    encoder: Encoder,
    *,
    head: str | None = None,
    sentences: Sentences | None = None,
    cache: VectorCache | None = None,
    strict: bool = False,
) -> Fitted:
    """Fit a model.

    Args:
        examples: The examples, of two or more classes.
        encoder: Reads and embeds them.
        head: Name of the head; None: the one under which the left-out answers are most likely.
        sentences: Descriptions of some of the classes, or of all. To an encoder with a text side, the name of a class describes it, too.
            Descriptions count where that makes the left-out answers more likely.
        cache: Where vectors are looked up and kept.
        strict: Whether an example that cannot be read stops the work, instead of being left out and named.

    Raises:
        DataError: There are fewer than two classes; the encoder reads other things; no example of a class, or with `strict` any
            example, can be read; a description is that of no class.
        RecipeError: There is no such head, or the encoder cannot read descriptions.
    """
    chosen = None if head is None else head_named(head)
    _check_classes(examples)
    check_reads(encoder, examples)
    unfit = check_fit(encoder, examples.things)
    kept, vectors = embedded(examples, encoder, cache, strict=strict)
    lost = sorted(set(examples.labels) - set(kept.labels))
    if lost:
        raise DataError(
            f"no example of {', '.join(map(repr, lost[:_NAMED]))}{f' and {len(lost) - _NAMED} more classes' if len(lost) > _NAMED else ''} "
            f"can be used. {' '.join(kept.notes)}"
        )
    classes = tuple(kept.counts)
    place = {name: number for number, name in enumerate(classes)}
    labels = np.array([place[name] for name in kept.labels], dtype=np.int64)
    numbers = encoder.columns if isinstance(encoder, NumberEncoder) else None
    known = Known(EncoderFacts.of(encoder), dict(kept.columns), numbers, chosen).describing(encoder, classes, sentences, cache)
    fitted = refitted(known, classes, vectors, labels, tuple(kept.names))
    findings = () if numbers is None else numbers.findings
    return Fitted(fitted.model, kept, (*unfit, *kept.notes, *findings, *equal_rows(kept, vectors, labels)), fitted.log_probabilities)


def fit_descriptions(encoder: Encoder, sentences: Sentences, *, head: str | None = None, cache: VectorCache | None = None) -> Fitted:
    """Fit a model without an example: a thing belongs to the class whose description lies nearest in angle. Examples may be added later.

    Args:
        encoder: Reads the things, and the sentences.
        sentences: The descriptions of two or more classes.
        head: Name of the head, from the first example on; None: chosen.
        cache: Where vectors are looked up and kept.

    Raises:
        DataError: There are fewer than two classes, or a sentence cannot be read.
        RecipeError: There is no such head, or the encoder cannot read descriptions.
    """
    chosen = None if head is None else head_named(head)
    classes = tuple(sorted(sentences))
    if len(classes) < 2:
        raise DataError(f"telling classes apart needs at least 2 of them; found 1 described: {classes[0]!r}. Describe another class.")
    known = Known(EncoderFacts.of(encoder), {}, None, chosen).describing(encoder, classes, sentences, cache)
    return refitted(known, classes, np.empty((0, encoder.features), np.float32), np.empty(0, np.int64), ())


def add(model: Model, encoder: Encoder, examples: Examples, *, cache: VectorCache | None = None, strict: bool = False) -> Fitted:
    """Add examples to a model: of a class that it knows, or of a new one.

    Arguments and errors are those of `fit`; an example that the model has already is left out.
    """
    unfit = check_fit(encoder, examples.things)
    kept, vectors = embedded(examples, encoder, cache, strict=strict)
    classes = tuple(sorted({*model.classes, *kept.labels}))
    place = {name: number for number, name in enumerate(classes)}
    old, given = np.array([place[name] for name in model.classes]), np.array([place[name] for name in kept.labels])
    known, asked = row_keys(model.vectors), row_keys(vectors)
    again = np.zeros(len(kept), dtype=bool)
    for label in np.unique(given):
        of_class = given == label
        again[of_class] = np.isin(asked[of_class], known[old[model.labels] == label])
    new = np.flatnonzero(~again).tolist()
    notes = (*unfit, *kept.notes)
    if len(new) < len(kept):
        notes = (*notes, f"{len(kept) - len(new):,} of {len(kept):,} examples are in the model already, and left out.")
    if not new:
        raise DataError(f"there is nothing to add. {' '.join(notes)}")
    labels = np.concatenate([old[model.labels], given[new]])
    names = (*model.names, *(kept.names[number] for number in new))
    kind = Known.of(model)
    if kind.descriptions is not None and classes != model.classes:
        kind = kind.describing(encoder, classes, model.descriptions, cache)
    fitted = refitted(kind, classes, np.concatenate([model.vectors, vectors[new]]), labels, names)
    return replace(fitted, notes=(*notes, *fitted.notes))


def remove(model: Model, name: str) -> Fitted:
    """Take a class out of a model.

    Raises:
        DataError: There is no such class, or it is one of two.
    """
    place = model.position(name)
    if len(model.classes) == 2:
        other = next(one for one in model.classes if one != name)
        raise DataError(f"{name!r} cannot be removed: {other!r} alone would be left, and a model tells classes apart. Add another first.")
    kept = model.labels != place
    labels = model.labels[kept] - (model.labels[kept] > place)
    names = tuple(one for one, keep in zip(model.names, kept, strict=True) if keep)
    classes = tuple(one for one in model.classes if one != name)
    known = Known.of(model)
    known = replace(known, weights=known.weights.without(name))
    if known.descriptions is not None:
        sentences = {one: some for one, some in known.sentences.items() if one != name}
        left = np.delete(known.descriptions, place, axis=0)
        known = replace(known, sentences=sentences, descriptions=left if np.isfinite(left).any() else None)
    return refitted(known, classes, model.vectors[kept], labels, names)


def rename(model: Model, old: str, new: str, encoder: Encoder | None = None, *, cache: VectorCache | None = None) -> Fitted:
    """Give a class another name. Under the name of another class, the two become one, with the sentences of both.

    Args:
        model: The model.
        old: A class.
        new: Its new name.
        encoder: Reads the new name; needed where `model.description_vectors` is not None.
        cache: Where vectors are looked up and kept.

    Raises:
        DataError: There is no such class, the new name is empty, or only one class would be left.
    """
    model.position(old)
    if not new.strip():
        raise DataError("a class needs a name that is not empty.")
    named = [new if name == old else name for name in model.classes]
    classes = tuple(sorted(set(named)))
    if len(classes) < 2:
        raise DataError(f"{old!r} cannot become {new!r}: only one class would be left, and a model tells classes apart.")
    labels = np.array([classes.index(name) for name in named])[model.labels]
    known = Known.of(model)
    known = replace(known, weights=known.weights.without(old, new))
    if known.descriptions is not None:
        if encoder is None:
            raise RecipeError("the names of this model's classes are descriptions, so renaming one needs the encoder. Give it.")
        sentences: dict[str, tuple[str, ...]] = {}
        for name, some in known.sentences.items():
            place = new if name == old else name
            sentences[place] = (*sentences.get(place, ()), *some)
        known = known.describing(encoder, classes, sentences, cache)
    return refitted(known, classes, model.vectors, labels, model.names)


def weigh(fitted: Fitted, weights: ClassWeights) -> Fitted:
    """Give the classes of a model that was just fitted their weights. The estimate is renewed.

    Raises:
        DataError: The weights do not fit the classes.
        RecipeError: The head has no place for weights.
    """
    model = fitted.model
    known = replace(Known.of(model), weights=weights)
    again = refitted(known, model.classes, model.vectors, model.labels, model.names)
    return replace(fitted, model=again.model, log_probabilities=again.log_probabilities)


def refitted(known: Known, classes: tuple[str, ...], vectors: np.ndarray, labels: np.ndarray, names: tuple[str, ...]) -> Fitted:
    """Fit a model to vectors: choose the head, or take the one that is named, and estimate.

    Args:
        known: The encoder of the vectors, the head, and the descriptions.
        classes: The names of the N ≥ 2 classes, sorted. Each has an example or a description.
        vectors: Those of the examples, float32 (n, D).
        labels: The class of each, int64 (n,).
        names: What each is called.
    """
    N, head = len(classes), known.head
    with watched("heads tried", 1) as done:
        heads = known.heads(len(vectors)) or (() if known.numbers is None else heads_of_rows(len(vectors), vectors.shape[1], N))
        choice = known.after_tuning(choose(vectors, labels, N, heads))
        done(1)
    if known.weights.asked:
        choice = weighted(choice, known.weights.logarithms(classes, np.bincount(labels, minlength=N)))
    findings = {
        "asked_head": head.name if head and known.tuned is None else None,
        "head": known.told(choice.fitted, str(choice), len(vectors)),
        "choice": finite_or_none(choice.as_dict()),
        "estimate": estimate(choice.left_out, labels[choice.sample], N).as_dict(),
        **({} if known.tuned is None else {"tuned": dict(known.tuned)}),
    }
    certainty = known.sureness(learn_certainty(choice, Given(vectors, labels, N)))
    model = Model(
        known.encoder,
        classes,
        choice.name,
        choice.fitted,
        vectors,
        labels,
        names,
        findings,
        known.columns,
        known.numbers,
        known.sentences,
        known.descriptions,
        known.weights,
        certainty,
    )
    answers = np.full((len(labels), N), np.nan)
    answers[choice.sample] = choice.left_out.log_probabilities
    return Fitted(model, None, (), answers)


def _check_classes(examples: Examples) -> None:
    counts = examples.counts
    if len(counts) < 2:
        which = f": {next(iter(counts))!r}, with {len(examples):,} example{'' if len(examples) == 1 else 's'}" if counts else ""
        raise DataError(f"telling classes apart needs at least 2 of them; found {len(counts)}{which}. Give examples of another class.")
