"""The columns of a table as an ONNX graph: rows of numbers and words → vectors, as `NumberColumns.vector` makes them.

    numbers    float64 (M, C): the number columns, in order; NaN where one is missing
    words      int64 (M, K): of each category, the place of the word among those of the column; -1 for any other word

In: `NumberColumns`. Out: a graph, what it takes in words, and rows as it takes them. Next: `kshot.tasks.export.export`. PyTorch is imported
in functions.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from kshot.tasks.numbers.columns import CategoryColumn, NumberColumn, NumberColumns


def rows_to_try(columns: NumberColumns) -> list[dict[str, object]]:
    """Return a few rows: the smallest, the middle and the largest numbers, and missing ones; each with other words."""
    found: list[dict[str, object]] = []
    for place in range(4):
        row: dict[str, object] = {}
        for one in columns.columns:
            if isinstance(one, CategoryColumn):
                row[one.name] = one.words[place % len(one.words)] or None
            else:
                row[one.name] = [one.low - 1, one.fill, one.high, None][place]
        found.append(row)
    return found


def number_inputs(columns: NumberColumns, rows: Sequence[Mapping[str, Any]]) -> dict[str, np.ndarray]:
    """Return rows as the graph takes them. Of words, the empty text is a missing one."""
    numbers, categories = _parted(columns)
    given: dict[str, np.ndarray] = {}
    if numbers:
        given["numbers"] = np.array([[np.nan if row[one.name] is None else row[one.name] for one in numbers] for row in rows], np.float64)
    if categories:
        places = [{word: place for place, word in enumerate(one.words)} for one in categories]
        words = [[known.get(row[one.name] or "", -1) for one, known in zip(categories, places, strict=True)] for row in rows]
        given["words"] = np.array(words, np.int64)
    return given


def number_form(columns: NumberColumns) -> dict[str, Any]:
    """Return what the graph takes, as plain JSON values."""
    numbers, categories = _parted(columns)
    form: dict[str, Any] = {}
    if numbers:
        names = ", ".join(one.name for one in numbers)
        form["numbers"] = f"float64 (M, {len(numbers)}): {names}; NaN where one is missing"
    if categories:
        names = ", ".join(one.name for one in categories)
        form["words"] = f"int64 (M, {len(categories)}): {names}; the place of the word in `places`, -1 for another, '' for a missing one"
        form["places"] = {one.name: list(one.words) for one in categories}
    return form


def number_graph(columns: NumberColumns, given: Mapping[str, np.ndarray], name: str) -> bytes:
    """Write the columns as a graph. Errors are those of `kshot.encoders.onnx_export.exported`.

    Args:
        columns: The columns.
        given: Some rows, from `number_inputs`.
        name: What the graph is called, for messages.
    """
    import torch
    from torch import Tensor, nn

    from kshot.encoders.onnx_export import exported

    numbers, categories = _parted(columns)
    marked = [place for place, one in enumerate(numbers) if one.indicator]
    # The graph makes numbers, marks of missing numbers, and words, in this order; `order` brings them to the order of the columns.
    made = {one.name: place for place, one in enumerate(numbers)}
    marks = {numbers[place].name: len(numbers) + rank for rank, place in enumerate(marked)}
    begin, starts = len(numbers) + len(marked), {}
    for one in categories:
        starts[one.name], begin = begin, begin + len(one.words)
    order: list[int] = []
    for column in columns.columns:
        if isinstance(column, CategoryColumn):
            order += range(starts[column.name], starts[column.name] + len(column.words))
        else:
            order += [made[column.name], *([marks[column.name]] if column.indicator else [])]

    class Columns(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            for key in ("fill", "mean", "scale", "low", "high"):
                self.register_buffer(key, torch.tensor([getattr(one, key) for one in numbers], dtype=torch.float64))
            self.register_buffer("order", torch.tensor(order))

        def forward(self, **rows: Tensor) -> Tensor:
            parts: list[Tensor] = []
            if "numbers" in rows:
                x = rows["numbers"]
                cut = torch.minimum(torch.maximum(x, self.get_buffer("low")), self.get_buffer("high"))
                known = torch.where(torch.isnan(x), self.get_buffer("fill"), cut)
                parts.append(((known - self.get_buffer("mean")) / self.get_buffer("scale")).float())
                parts.append(torch.isnan(x[:, marked]).float())
            if "words" in rows:
                parts += [(rows["words"][:, [rank]] == torch.arange(len(one.words))).float() for rank, one in enumerate(categories)]
            return torch.cat(parts, 1).index_select(1, self.get_buffer("order"))

    tensors = {key: torch.from_numpy(array) for key, array in given.items()}
    return exported(Columns(), tensors, {key: {0: "rows"} for key in given}, name=name, extra="photos")[0]


def _parted(columns: NumberColumns) -> tuple[list[NumberColumn], list[CategoryColumn]]:
    numbers = [one for one in columns.columns if isinstance(one, NumberColumn)]
    return numbers, [one for one in columns.columns if isinstance(one, CategoryColumn)]
