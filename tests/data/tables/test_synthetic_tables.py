"""Synthetic tables as a data set: rows, parts, episodes within one table."""

import numpy as np
import pytest
import torch

from kshot.data.dataset import Dataset
from kshot.data.tables.prior import COLUMNS
from kshot.data.tables.synthetic_tables import ROWS, TABLES, SyntheticTables
from kshot.episodes.shape import EpisodeShape
from kshot.episodes.stream import EpisodeStream
from kshot.errors import DataError


def test_a_row_is_gathered_from_its_table() -> None:
    tables = SyntheticTables(train=4, val=1, test=2)
    assert isinstance(tables, Dataset)
    for position, name in enumerate(tables.names):
        table = tables.table(position)
        for one in range(int(tables.classes[position])):
            items = tables.index.items_of(f"{name}/{one}")
            rows = tables.gather(items[::-1])  # any order
            assert rows.shape == (ROWS, COLUMNS)
            assert rows.dtype == torch.float32
            np.testing.assert_array_equal(rows[:, : table.shape[2]].numpy(), table[one, ::-1])
            assert not rows[:, table.shape[2] :].any()
    assert len(tables) == ROWS * int(tables.classes.sum())


def test_rows_of_several_tables_are_gathered_together() -> None:
    tables = SyntheticTables(train=3, val=1, test=1)
    items = np.array([len(tables) - 1, 0, 40, 0])
    one_by_one = torch.cat([tables.gather(items[place : place + 1]) for place in range(4)])
    assert torch.equal(tables.gather(items), one_by_one)


def test_a_table_does_not_depend_on_how_many_there_are() -> None:
    few, many, other = SyntheticTables(2, 1, 2), SyntheticTables(5, 3, 4), SyntheticTables(2, 1, 2, seed=1)
    assert few.classes[[0, 1, 2, 3]].tolist() == many.classes[[0, 1, 5, 8]].tolist()
    np.testing.assert_array_equal(few.table(3), many.table(8))
    assert few.fingerprint != many.fingerprint
    assert few.fingerprint != other.fingerprint
    assert few.fingerprint == SyntheticTables(2, 1, 2).fingerprint


def test_the_parts_share_no_table() -> None:
    tables = SyntheticTables(3, 2, 2)
    split = tables.split()
    assert [set(split.part(part).groups or ()) for part in ("train", "val", "test")] == [
        {"train/00000", "train/00001", "train/00002"},
        {"val/00000", "val/00001"},
        {"test/00000", "test/00001"},
    ]
    first = [tables.table(position).ravel()[:8].tolist() for position in range(7)]
    assert len({tuple(one) for one in first}) == 7


def test_an_episode_within_groups_is_a_task_on_one_table() -> None:
    tables = SyntheticTables(30, 1, 1)
    shape = EpisodeShape(way=(2, 3), shot=(1, 4), query=2, within_groups=True)
    stream = EpisodeStream(tables, tables.split().part("train"), "tables/train", shape, seed=0, tasks=8)
    for drawn in stream.drawn(0):
        for classes in drawn.classes:
            assert len({stream.index.names[one].rsplit("/", 1)[0] for one in classes}) == 1


@pytest.mark.slow
def test_the_word_opens_them() -> None:
    tables = TABLES.open("tables", TABLES.make_preprocess("auto", {}))
    assert tables.name == "tables"
    assert TABLES.find_again(tables) == {"name": "tables"}
    assert TABLES.find_again(SyntheticTables(2, 1, 1)) is None
    assert set(np.unique(tables.classes)) == set(range(2, 11))  # type: ignore[attr-defined]  # a Dataset that is SyntheticTables


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"val": 0}, "the part 'val' of the tables needs at least one table; found 0"),
        ({"seed": -1}, "of the tables must be 0 or more"),
    ],
)
def test_tables_that_cannot_be_are_refused(arguments: dict[str, int], message: str) -> None:
    with pytest.raises(DataError, match=message):
        SyntheticTables(**arguments)


def test_there_is_one_split() -> None:
    with pytest.raises(DataError, match="one split, 'tables'; found 'vinyals'"):
        SyntheticTables(1, 1, 1).split("vinyals")
