"""The value for each of many rows: in order, in bounded memory; a row that cannot be read is answered with the reason.

In: a `QuantityModel` and `Query`s. Out: `ValueAnswer`s. Next: `kshot.labelling`. numpy alone.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np

from kshot.errors import DataError
from kshot.tasks.numbers.number_encoder import NumberEncoder
from kshot.tasks.queries import Query
from kshot.tasks.regression.model import QuantityModel
from kshot.tasks.regression.regressor import values

VALUE_COLUMNS = ("input", "value", "error")
_AT_ONCE = 256


@dataclass(frozen=True)
class ValueAnswer:
    """The answer to one row.

    Attributes:
        input: The number of the row, as `Query.input`.
        value: The value, in the target's units; None if the row cannot be read.
        error: Why it cannot be read; empty if it can.
    """

    input: str | int
    value: float | None
    error: str = ""

    def as_dict(self, *, probabilities: bool = False) -> dict[str, Any]:
        """Return `input`, `value`, and `error` where the row cannot be read. A value has no probabilities."""
        plain = {"input": self.input, "value": self.value}
        return {**plain, "error": self.error} if self.error else plain


def value_each(model: QuantityModel, queries: Iterable[Query]) -> Iterator[ValueAnswer]:
    """Answer queries, which are taken as they are needed."""
    encoder = NumberEncoder(model.columns)
    asked = iter(queries)
    while part := list(islice(asked, _AT_ONCE)):
        read = [_read(encoder, query) for query in part]
        vectors = [one for one in read if not isinstance(one, str)]
        found = iter(values(model.regressor, np.stack(vectors)).tolist() if vectors else ())
        for query, one in zip(part, read, strict=True):
            yield ValueAnswer(query.input, None, one) if isinstance(one, str) else ValueAnswer(query.input, next(found))


def _read(encoder: NumberEncoder, query: Query) -> np.ndarray | str:
    if query.fault:
        return query.fault
    try:
        return encoder.read(query.thing)
    except DataError as error:
        return str(error)
