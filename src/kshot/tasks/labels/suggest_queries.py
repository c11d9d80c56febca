"""What to label next among a user's things, which may be an endless stream: read once, in bounded memory.

In: a `Model`, its encoder and `Query`s. Out: a `Suggested` for each thing that cannot be read, as they come, and then for what to label
next, what helps most first. Next: `kshot.labelling` prints or writes them.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice, tee
from typing import Any

import numpy as np

from kshot.encoders.embed import embed
from kshot.encoders.encoder import Encoder
from kshot.encoders.vector_cache import VectorCache
from kshot.errors import DataError
from kshot.short_repr import per_cent
from kshot.tasks.labels.suggest import MOST, Ranking, Suggestion, are_examples, check_count, nothing_new, suggest
from kshot.tasks.model import Model
from kshot.tasks.queries import Query

SUGGESTED_COLUMNS = ("input", "rank", "gain", "label", "probability", "error")
"""The columns of a table of suggestions."""
_AT_ONCE = 256


@dataclass(frozen=True)
class Suggested:
    """A thing to label, or one that cannot be read.

    Attributes:
        input: Its path or the number of its row, as `Query.input`.
        rank: 1 for the one that helps most; 0 if it cannot be read.
        suggestion: Why it is suggested; None if it cannot be read.
        error: Why it cannot be read; empty if it can.
    """

    input: str | int
    rank: int
    suggestion: Suggestion | None
    error: str = ""

    def as_dict(self, *, probabilities: bool = False) -> dict[str, Any]:
        """Return it as plain JSON values: `SUGGESTED_COLUMNS`, None where it cannot be read, and `error` only there."""
        if self.suggestion is None:
            return {**dict.fromkeys(SUGGESTED_COLUMNS), "input": self.input, "error": self.error}
        one = self.suggestion
        return {"input": self.input, "rank": self.rank, "gain": one.gain, "label": one.label, "probability": one.probability}


class SuggestedQueries:
    """What to label next among queries.

    Args:
        model: The model.
        encoder: Its encoder.
        queries: They are taken as they are needed. Of more than `MOST` that are no examples of the model, a sample is kept, drawn with a
            fixed seed (algorithm R of J. S. Vitter, "Random sampling with a reservoir", 1985).
        count: How many to suggest.
        cache: Where vectors are looked up and kept.

    Raises:
        RecipeError: `count` is out of range.

    Attributes:
        ranking: What was found; None until the iteration has come to its end.
    """

    def __init__(self, model: Model, encoder: Encoder, queries: Iterable[Query], count: int, *, cache: VectorCache | None = None) -> None:
        check_count(count)
        self._model, self._encoder, self._queries, self._count, self._cache = model, encoder, queries, count, cache
        self._known = self._new = 0
        self.ranking: Ranking | None = None

    def __iter__(self) -> Iterator[Suggested]:
        """Yield what cannot be read, as it comes, then the suggestions.

        Raises:
            DataError: All that can be read are examples of the model already.
        """
        sample = np.empty((0, self._model.encoder.features), dtype=np.float32)
        inputs: list[str | int] = []
        random = np.random.default_rng(0)
        asked, told = tee(self._queries)
        vectors = embed(self._encoder, (query.thing for query in asked if not query.fault), cache=self._cache)
        answers = ((query, DataError(query.fault) if query.fault else next(vectors)) for query in told)
        unread = 0
        while part := list(islice(answers, _AT_ONCE)):
            read = []
            for query, one in part:
                if isinstance(one, DataError):
                    unread += 1
                    yield Suggested(query.input, 0, None, str(one))
                else:
                    read.append((query.input, one))
            if not read:
                continue
            some = np.stack([vector for _, vector in read])
            again = are_examples(self._model, some)
            self._known += int(again.sum())
            kept = np.flatnonzero(~again)
            room = kept[: MOST - len(inputs)]
            sample = np.concatenate([sample, some[room]])
            inputs += [read[place][0] for place in room]
            self._new += len(room)
            for place in kept[len(room) :]:
                self._new += 1
                if (drawn := int(random.integers(self._new))) < MOST:
                    sample[drawn], inputs[drawn] = some[place], read[place][0]
        if not inputs:
            if unread and not self._known:  # each has told its reason
                return
            raise nothing_new(self._known)
        self.ranking = suggest(self._model, sample, self._count)
        for rank, suggestion in enumerate(self.ranking.suggestions, 1):
            yield Suggested(inputs[suggestion.place], rank, suggestion)

    def in_words(self) -> str:
        """Say what was found, in sentences; empty before the iteration has come to its end."""
        found = self.ranking
        if found is None:
            return ""
        many = len(found.suggestions)
        told = []
        if self._known:
            told.append(f"{self._known:,} of {self._known + self._new:,} things are examples of the model already, and left out.")
        if self._new > found.compared:
            told.append(f"{found.compared:,} of {self._new:,} things, drawn at random, were compared.")
        if many < self._count:
            told.append(
                f"{many:,} {'is' if many == 1 else 'are'} suggested, where {self._count:,} were asked for: the others of "
                f"{found.compared:,} things are alike to {'it' if many == 1 else 'these'} or to examples."
            )
        what = "its label covers" if many == 1 else f"the labels of these {many:,} cover"
        told.append(f"By how alike things are, {what} {per_cent(found.gain)} % of what the model cannot tell yet.")
        return " ".join(told)
