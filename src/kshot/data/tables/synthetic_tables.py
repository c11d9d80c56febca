"""Tables drawn from a prior, as tasks: what a learner of plain numbers is meta-trained on.

Each table is a group of 2 to 10 classes, so that an episode within groups is a classification task on one table: some of its classes, some
rows of each. A table is a function of (seed, number) alone and is made when its rows are gathered. In: how many tables. Out: a `Dataset`
with three parts. Next: `kshot.episodes`.
"""

import hashlib
import json
from collections import OrderedDict
from typing import TYPE_CHECKING

import numpy as np

from kshot.data.as_is import AsIs
from kshot.data.class_index import ClassIndex
from kshot.data.kind import Kind
from kshot.data.made_parts import check_parts
from kshot.data.preprocess import Preprocess
from kshot.data.split import PARTS, Split, divide_by_names
from kshot.data.summary import summary
from kshot.data.tables.draws import Draws
from kshot.data.tables.prior import CLASSES, COLUMNS, draw_table
from kshot.errors import DataError

if TYPE_CHECKING:
    from torch import Tensor

ROWS = 32
"""Rows of each class: an episode has at most that many support and query items per class."""
_WEIGHTS = (6.0, 4.0, 2.0, 2.0, 1.0, 1.0, 1.0, 1.0, 2.0)
"""How likely 2 … 10 classes are; ten are needed by every 10-way episode."""
_KEPT = 64


class SyntheticTables:
    """Tables of 1 to 32 features and 2 to 10 classes in three disjoint parts, `train`, `val` and `test`.

    Args:
        train: Number of tables for training.
        val: Number of tables for validation.
        test: Number of tables for tests.
        seed: Seed of the prior.

    Attributes:
        name: `tables`.
        fingerprint: SHA-256 of the arguments and of a number that changes when the prior does.
        index: The classes, `train/00000/0` …, with 32 rows each. The group of a class is its table, `train/00000`.
        names: Names of the tables.
        classes: Number of classes of each table, int64.
        preprocess: `AsIs`: rows are inputs already.

    Raises:
        DataError: A part is empty, or the seed negative.

    Example:
        >>> tables = SyntheticTables(train=3, val=1, test=1)
        >>> tables.names, tables.index.names[0], tables.gather(np.arange(5)).shape
        (('train/00000', 'train/00001', 'train/00002', 'val/00000', 'test/00000'), 'train/00000/0', torch.Size([5, 32]))
    """

    name = "tables"

    def __init__(self, train: int = 20_000, val: int = 500, test: int = 1_000, *, seed: int = 0) -> None:
        self.sizes = {"train": train, "val": val, "test": test}
        self.names = check_parts(self.sizes, seed, "the tables", "table")
        self.seed = seed
        meaning = {"tables": 1, "seed": seed, **self.sizes, "rows": ROWS}
        self.fingerprint = hashlib.sha256(json.dumps(meaning, sort_keys=True).encode()).hexdigest()
        self.preprocess: Preprocess = AsIs()
        # A table's number does not depend on the sizes of the parts: the parts draw from streams of their own.
        lots = np.concatenate([Draws(seed, _stream(part)).uniform(size) for part, size in self.sizes.items()])
        share = np.cumsum(_WEIGHTS) / np.sum(_WEIGHTS)
        self.classes = np.minimum(2 + np.searchsorted(share, lots, side="right"), CLASSES)
        self._numbers = np.concatenate([_stream(part) + 1 + np.arange(size) for part, size in self.sizes.items()])
        self._starts = np.cumsum(self.classes) - self.classes  # the first class of each table
        groups = {f"{table}/{one}": table for table, classes in zip(self.names, self.classes, strict=True) for one in range(int(classes))}
        items = np.arange(len(groups) * ROWS).reshape(len(groups), ROWS)
        self.index = ClassIndex.build(dict(zip(groups, items, strict=True)), groups)
        self._kept: OrderedDict[int, np.ndarray] = OrderedDict()

    def __len__(self) -> int:
        return len(self.index.items)

    def __repr__(self) -> str:
        return summary(self)

    def split(self, name: str = "tables", *, seed: int = 0) -> Split:
        """Give the three parts; there is one split, `tables`, and the seed does not change it.

        Raises:
            DataError: Another split was asked for.
        """
        if name != "tables":
            raise DataError(f"the synthetic tables have one split, 'tables'; found {name!r}. Say data.split='tables'.")
        return divide_by_names(self.index, {part: [one for one in self.index.names if one.startswith(f"{part}/")] for part in PARTS}, name)

    def table(self, position: int) -> np.ndarray:
        """Draw the table at a position in `names`: float32 (classes, 32, F)."""
        return draw_table(self.seed, int(self._numbers[position]), int(self.classes[position]), ROWS)

    def gather(self, items: np.ndarray) -> "Tensor":
        """Gather rows, float32 (M, 32). A table of F < 32 features has zeros in place of the others."""
        import torch  # here, because drawing tables needs none of it

        classes = np.asarray(items) // ROWS
        tables = np.searchsorted(self._starts, classes, side="right") - 1
        rows = np.zeros((len(classes), COLUMNS), dtype=np.float32)
        for position in np.unique(tables):
            at = np.flatnonzero(tables == position)
            table = self._recent(int(position))
            rows[at, : table.shape[2]] = table[classes[at] - self._starts[position], items[at] % ROWS]
        return torch.from_numpy(rows)

    def _recent(self, position: int) -> np.ndarray:
        """Return a table that was drawn a short while ago, or draw it."""
        table = self._kept.get(position)
        if table is None:
            table = self._kept[position] = self.table(position)
            while len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
        return table


def _stream(part: str) -> int:
    """Return the number of the stream from which the class counts of a part are drawn; its tables have the numbers after it."""
    return PARTS.index(part) << 40


def _open(name: str, preprocess: Preprocess) -> SyntheticTables:
    return SyntheticTables()


TABLES = Kind(
    what="the synthetic tables are plain numbers",
    expects="the word 'tables'",
    dataset=SyntheticTables,
    preprocesses=(AsIs,),
    open=_open,
    words=("tables",),
    splits=("tables",),
    groups_are_tasks=True,
    find_again=lambda tables: {"name": "tables"} if tables.fingerprint == SyntheticTables().fingerprint else None,
)
