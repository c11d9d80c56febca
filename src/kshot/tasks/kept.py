"""What stays of a model when examples and classes come and go: the encoder, the named head, and the descriptions.

In: a `Model`, or what a first fit begins with. Out: the heads to try, and words on what the descriptions did. Next: `kshot.tasks.fit`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from kshot.encoders.encoder import Encoder
from kshot.encoders.vector_cache import VectorCache
from kshot.tasks.certainty.certainty import Certainty
from kshot.tasks.class_weights import ClassWeights
from kshot.tasks.descriptions import Described, Sentences, describe
from kshot.tasks.heads.answer import log_softmax
from kshot.tasks.heads.choose import DEFAULT_HEADS, Choice
from kshot.tasks.heads.class_means import ClassMeans
from kshot.tasks.heads.feature_map import UNIT
from kshot.tasks.heads.head import FittedHead, Head
from kshot.tasks.heads.table import head_named
from kshot.tasks.heads.weighted import WEIGHABLE
from kshot.tasks.model import EncoderFacts, Model
from kshot.tasks.numbers.columns import NumberColumns


@dataclass(frozen=True)
class Known:
    """What stays when examples come and go.

    Attributes:
        encoder: Which encoder the things are read with.
        columns: As `Model.columns`.
        numbers: How rows become vectors.
        head: The head that the user named.
        sentences: Descriptions of classes.
        descriptions: Their vectors, and those of the names, from `kshot.tasks.descriptions.describe`.
        certainty: If the encoder is tuned: what the model has learnt of its sureness.
        tuned: If the encoder is tuned: how, as `kshot.tasks.tune.fit_tuned` says in the findings of a model.
        weights: Weights of the classes.
    """

    encoder: EncoderFacts
    columns: Mapping[str, Any]
    numbers: NumberColumns | None
    head: Head | None
    sentences: Mapping[str, Sequence[str]] = field(default_factory=dict)
    descriptions: np.ndarray | None = None
    tuned: Mapping[str, Any] | None = None
    certainty: Certainty | None = None
    weights: ClassWeights = field(default_factory=ClassWeights)

    @classmethod
    def of(cls, model: Model) -> "Known":
        """Return what a model keeps."""
        tuned = model.tuned
        name = model.head_name if tuned else model.findings.get("asked_head")
        head = head_named(name) if isinstance(name, str) else None
        kind = cls(model.encoder, model.columns, model.numbers, head, model.descriptions, model.description_vectors)
        kind = replace(kind, weights=model.weights)
        return kind if tuned is None else replace(kind, tuned=tuned, certainty=model.certainty)

    def describing(self, encoder: Encoder, classes: tuple[str, ...], sentences: Sentences | None, cache: VectorCache | None) -> "Known":
        """Return the same with descriptions of these classes."""
        return replace(self, sentences=dict(sentences or {}), descriptions=describe(encoder, classes, sentences, cache=cache))

    def heads(self, examples: int) -> list[Head]:
        """Return the heads to try; an empty list: the usual ones."""
        named: list[Head] = [self.head] if self.head else list(WEIGHABLE) if self.weights.asked else []
        if self.descriptions is None:
            return named
        if not examples:
            named = [ClassMeans(feature_maps=(UNIT,))]
        return [Described(head, self.descriptions) for head in named or DEFAULT_HEADS]

    def usual_heads(self, examples: int) -> Sequence[Head]:
        """Return the heads to try, by name if the usual ones are tried."""
        return self.heads(examples) or DEFAULT_HEADS

    def after_tuning(self, choice: Choice) -> Choice:
        """Correct left-out answers for examples that the encoder has learned from, if it is tuned: they are too sure, and say too much."""
        if self.tuned is None:
            return choice
        factor, left_out = self.tuned["factor"], choice.left_out
        answers = left_out.log_probabilities.copy()
        answers[left_out.scored] = log_softmax(answers[left_out.scored] / factor)
        how = f"{left_out.how}; too high, because the encoder was tuned on them"
        fitted = replace(choice.fitted, temperature=choice.fitted.temperature * factor)
        return replace(choice, fitted=fitted, left_out=replace(left_out, log_probabilities=answers, how=how), again=None)

    def sureness(self, found: Certainty) -> Certainty:
        """Keep what was learnt before, if the encoder is tuned: examples that it has learned from lie nearer to each other than others."""
        old = self.certainty
        return found if old is None else replace(found, familiar=old.familiar, scale=old.scale)

    def told(self, fitted: FittedHead, choice: str, examples: int) -> str:
        """Say which head was chosen, and what part the descriptions have in it."""
        if not examples:
            return "Head: the class whose description lies nearest; without examples, heads cannot be compared."
        if self.descriptions is None:
            return choice
        what = "The names and descriptions" if self.sentences else "The names"
        if fitted.settings["descriptions"]:
            return f"{choice} {what} of the classes count as one example each."
        return f"{choice} {what} of the classes do not count: without them, the left-out answers are more likely."
