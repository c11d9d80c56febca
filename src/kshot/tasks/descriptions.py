"""From zero examples to few: the name of a class, and sentences that describe it, as examples of the class.

    d_c = the mean of the unit vectors of the name and the sentences of class c, scaled to unit length

With no examples, the classes are told apart by d alone (Y. Xian and others, "Zero-shot learning: a comprehensive evaluation", 2019, call
such vectors class embeddings). As examples arrive, d_c is one more example of class c, so the more examples a class has, the less its
description weighs. Whether it counts at all is learnt: `Described` takes it where that makes the left-out answers for the examples more
likely. A name without a letter, such as `3`, describes nothing. In: classes, sentences and an encoder of texts, or one of photographs with
a text side. Out: vectors, and heads that know them. Next: `kshot.tasks.fit`.
"""

import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from kshot.encoders.embed import embed
from kshot.encoders.encoder import Encoder, TextSide
from kshot.encoders.vector_cache import VectorCache
from kshot.errors import DataError, RecipeError, known_ones
from kshot.printable import printable
from kshot.regular_file import read_text
from kshot.tasks.heads.class_means import ClassMeans
from kshot.tasks.heads.feature_map import UNIT
from kshot.tasks.heads.given import Given
from kshot.tasks.heads.head import FittedHead, Head, LeftOut, Settled, Settling
from kshot.tasks.heads.shrunken_means import ShrunkenMeans
from kshot.tasks.heads.side_by_side import side_by_side

_LEAST_GAIN = 0.01
"""Mean gain of log-likelihood from which on descriptions count; less is chance where the examples alone are told apart."""
Sentences = Mapping[str, Sequence[str]]
"""Class → the sentences that describe it."""


def read_descriptions(path: Path) -> dict[str, tuple[str, ...]]:
    """Read a TOML file of descriptions: one line per class, `class = "a sentence"` or `class = ["a sentence", "another"]`.

    Raises:
        DataError: It cannot be read, is no TOML, or a class has something other than sentences.
    """
    try:
        table = tomllib.loads(read_text(path))
    except OSError as error:
        raise DataError(f"cannot read {printable(path)}: {error.strerror or error}. Check the path.") from error
    except (ValueError, RecursionError) as error:
        raise DataError(
            f"{printable(path)} is no TOML: {printable(error)}. Write one line per class: card_lost = 'I lost my card.'"
        ) from error
    found: dict[str, tuple[str, ...]] = {}
    for name, value in table.items():
        sentences = [value] if isinstance(value, str) else value
        if not isinstance(sentences, list) or not sentences or not all(isinstance(one, str) and one.strip() for one in sentences):
            raise DataError(
                f"{printable(path)}: class {printable(name)!r} needs a sentence, or a list of sentences, in quotes; none may be empty. If "
                "the name holds a point or a space, put it in quotes too."
            )
        found[name] = tuple(sentences)
    if not found:
        raise DataError(f"{printable(path)} describes no class. Write one line per class: card_lost = 'I lost my card.'")
    return found


def plain_name(name: str) -> str:
    """Return the name of a class as words.

    Example:
        >>> plain_name("card_arrival"), plain_name("fruit/Granny-Smith"), plain_name("_")
        ('card arrival', 'fruit Granny Smith', '_')
    """
    return " ".join(name.replace("_", " ").replace("/", " ").replace("-", " ").split()) or name


def describe(
    encoder: Encoder, classes: Sequence[str], sentences: Sentences | None = None, *, cache: VectorCache | None = None
) -> np.ndarray | None:
    """Return the descriptions of classes for the things that an encoder reads, as `description_vectors`.

    Args:
        encoder: An encoder of texts, or of photographs with a text side.
        classes: Their names, in order.
        sentences: Descriptions of some of them, or of all; None or empty: the names alone.
        cache: Where vectors are looked up and kept.

    Returns:
        float32 (N, D); None where nothing describes a class: another encoder, or names without a letter.

    Raises:
        DataError: See `description_vectors`.
        RecipeError: There are sentences, and the encoder cannot read them.
    """
    if encoder.reads != "texts" and not isinstance(encoder, TextSide):
        if sentences:
            raise RecipeError(
                f"the encoder {encoder.name!r} reads {encoder.reads} and no sentences, so descriptions mean nothing to it. For texts, any "
                "encoder of texts reads them; for photographs, a model with a text side, such as CLIP or SigLIP: --encoder "
                "openai/clip-vit-base-patch32."
            )
        return None
    if not sentences and not any(map(_says_something, classes)):
        return None
    return description_vectors(encoder.encode_texts if isinstance(encoder, TextSide) else encoder, classes, sentences, cache=cache)


def texts_of(classes: Sequence[str], sentences: Sentences) -> list[tuple[str, ...]]:
    """Return what is said of each class: its name as words, if it has a letter, and its sentences."""
    return [((plain_name(name),) if _says_something(name) else ()) + tuple(sentences.get(name, ())) for name in classes]


def description_vectors(
    encoder: Encoder | Callable[[Sequence[str]], np.ndarray],
    classes: Sequence[str],
    sentences: Sentences | None = None,
    *,
    cache: VectorCache | None = None,
) -> np.ndarray:
    """Embed what classes are called and how they are described.

    Args:
        encoder: An encoder of texts; or a function from M texts to vectors (M, D), such as the text side of an encoder of photographs.
        classes: Their names, in order.
        sentences: Descriptions of some of them, or of all; None or empty: the names alone.
        cache: Where vectors are looked up and kept.

    Returns:
        float32 (N, D), each of unit length; NaN for a class without a sentence and without a letter in its name.

    Raises:
        DataError: A description is that of no class, no class has one, or a text cannot be read.
    """
    sentences = sentences or {}
    for name in sentences:
        if name not in classes:
            raise DataError(
                f"{printable(name)!r} is described, and no example is of this class.{known_ones(name, classes)} Correct the name, or give "
                "an example."
            )
    texts = texts_of(classes, sentences)
    given = [text for some in texts for text in some]
    if callable(encoder):
        vectors = list(encoder(given))
    else:
        vectors = []
        for text, vector in zip(given, embed(encoder, given, cache=cache), strict=True):
            if isinstance(vector, DataError):
                raise DataError(f"the description {printable(text)!r} cannot be used: {vector}")
            vectors.append(vector)
    if not vectors:
        raise DataError("no class has a sentence or a name with a letter. Describe the classes.")
    units = np.stack([_unit(vector) for vector in vectors])
    ends = np.cumsum([len(some) for some in texts])[:-1]
    nothing = np.full(units.shape[1], np.nan)
    return np.stack([_unit(some.mean(0)) if len(some) else nothing for some in np.split(units, ends)]).astype(np.float32)


def head_of_descriptions(vectors: np.ndarray) -> FittedHead:
    """Fit the head that has seen no example: the class whose description lies nearest in angle.

    Args:
        vectors: The descriptions, float32 (N, D), one row per class.

    Raises:
        DataError: There are fewer than two classes, or one has no description.
    """
    return ClassMeans(feature_maps=(UNIT,)).fit(vectors, np.arange(len(vectors)), len(vectors))


@dataclass(frozen=True, eq=False)
class Described(Settling):
    """A head to which the description of a class is one more example, where that helps.

    Attributes:
        head: The head.
        vectors: The descriptions, float32 (N, D), of unit length; NaN in the row of a class without one.
    """

    head: Head
    vectors: np.ndarray

    @property
    def name(self) -> str:
        """The name of the head."""
        return self.head.name

    @property
    def side_by_side(self) -> bool:
        """See `Head.side_by_side`."""
        return self.head.side_by_side

    def settle(self, given: Given) -> Settled:
        """Choose the settings, with the descriptions or without. See `Head.settle`; a class needs an example or a description."""
        described = given.once(("described", id(self.vectors)), lambda: self._with_descriptions(given))
        if given.once(("descriptions help", id(self.vectors)), lambda: _help(given, described)):
            found = self.head.settle(described)
            again = found.again
            return Settled(
                _first(found.left_out, len(given.sample_y)),
                lambda: _marked(found.fit(), used=True),
                None if again is None else lambda other: again(self._with_descriptions(other))[: len(other.sample_y)],
            )
        plain = self.head.settle(given)
        return Settled(plain.left_out, lambda: _marked(plain.fit(), used=False), plain.again)

    def _with_descriptions(self, given: Given) -> Given:
        x = given.x
        there = np.flatnonzero(np.isfinite(self.vectors).all(1))
        length = float(np.sqrt(np.einsum("nd,nd->", x, x, dtype=np.float64) / len(x))) if len(x) else 1.0
        rows = (self.vectors[there] * length).astype(np.float32)
        return Given(np.concatenate([x, rows]), np.concatenate([given.y, there]), given.way, anchors=len(there))


def _help(given: Given, described: Given) -> bool:
    """Say whether descriptions make the left-out answers of shrunken means more likely; without an example of every class they do.

    Shrunken means speak for all heads: they are the quickest to settle, and on the intents of BANKING77 and CLINC150 at 2 and 5 examples
    per class, described rightly or by the wrong class, each head gained where they gained, and lost where they lost.
    """
    if not given.counts.all():
        return True
    y, judge = given.sample_y, ShrunkenMeans()
    settled, plain = (one.left_out for one in side_by_side([partial(judge.settle, described), partial(judge.settle, given)]))
    with_them = _first(settled, len(y))
    # Without descriptions, a class is unknown as long as its only example is left out: then all classes are equally likely.
    before = np.where(plain.scored[:, None], plain.log_probabilities, -np.log(given.way))
    gain = (with_them.log_probabilities - before)[np.arange(len(y)), y]
    return bool(gain[with_them.scored].mean() > _LEAST_GAIN)


def _says_something(name: str) -> bool:
    return any(map(str.isalpha, name))


def _marked(fitted: FittedHead, *, used: bool) -> FittedHead:
    return replace(fitted, settings={**fitted.settings, "descriptions": float(used)})


def _first(found: LeftOut, n: int) -> LeftOut:
    """Keep the first n rows of left-out answers: those of the examples."""
    kept = found.rows < n
    return replace(
        found,
        log_probabilities=found.log_probabilities[:n],
        scored=found.scored[:n],
        rows=found.rows[kept],
        log_likelihoods=found.log_likelihoods[kept],
        right=found.right[kept],
    )


def _unit(vector: np.ndarray) -> np.ndarray:
    length = float(np.linalg.norm(vector))
    return vector / length if length > 0 else vector
