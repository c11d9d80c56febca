"""Rows kept by column: the same values and vectors as row by row, whatever mixture a column holds."""

import numpy as np
import pytest

from kshot.errors import DataError
from kshot.tasks.numbers import column_table
from kshot.tasks.numbers.column_table import ColumnTable, row_in_words, words_of
from kshot.tasks.numbers.columns import NumberColumns, fit_columns
from kshot.tasks.numbers.values import plain_value

MIXED: list[object] = ["1", " 2.5 ", "", "red", None, True, "yes", 3, float("nan"), "NA", "1_000", "blue", "red", np.float32(0.5), "-0"]


def value_or_none(value: object) -> object:
    return plain_value(value, "c")


@pytest.mark.parametrize("at_once", [1, 4, 100])
def test_values_are_those_of_plain_value(at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(column_table, "_AT_ONCE", at_once)
    table = ColumnTable.of([{"c": value, "d": number} for number, value in enumerate(MIXED)], ["c", "d"])
    assert len(table) == len(MIXED)
    assert [row["c"] for row in table] == list(map(value_or_none, MIXED))
    assert [row["d"] for row in table[3:5]] == [3.0, 4.0]
    assert table.columns["d"].words is None
    assert [row["c"] for row in table.take([11, 2, 0])] == ["blue", None, 1.0]
    assert list(words_of(table.columns["c"])) == ["", "-0", "0.5", "1", "1000", "2.5", "3", "blue", "red"]
    with pytest.raises(IndexError):
        table[len(MIXED)]


@pytest.mark.parametrize("at_once", [2, 100])
def test_vectors_are_those_of_the_rows(at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(column_table, "_AT_ONCE", at_once)
    rng = np.random.default_rng(0)
    rows = [
        {
            "number": "" if rng.random() < 0.2 else f"{rng.normal():.3f}",
            "word": str(rng.choice(["", "a", "b", "1", "1.0"])),
            "plain": rng.normal(),
        }
        for _ in range(60)
    ]
    columns = fit_columns(rows[:40], ["number", "word", "plain"])
    rows[45]["word"] = "never seen"
    found, faults = columns.vectors(ColumnTable.of(rows, list(rows[0])))
    np.testing.assert_array_equal(found, np.stack([columns.vector(row) for row in rows]))
    assert not faults


def test_a_row_that_cannot_be_read_has_the_reason_of_its_first_column() -> None:
    columns = fit_columns([{"a": 1, "b": 2}, {"a": 2, "b": 4}], ["a", "b"])
    rows = [{"a": "1", "b": "2"}, {"a": "one", "b": "inf"}, {"a": "2", "b": "2024-05-01"}, {"a": "3", "b": "4"}]
    _, faults = columns.vectors(ColumnTable.of(rows, ["a", "b"]))
    assert sorted(faults) == [1, 2]
    for row, fault in faults.items():
        with pytest.raises(DataError) as expected:
            columns.vector(rows[row])
        assert str(fault) == str(expected.value)
    _, faults = columns.vectors(ColumnTable.of(rows, ["a"]))
    assert sorted(faults) == [0, 1, 2, 3]
    assert "column 'b' is missing; found 'a'" in str(faults[0])
    assert "column 'a': expected a number" in str(faults[1])


def test_a_fault_in_a_column_that_is_not_used_is_none() -> None:
    table = ColumnTable.of([{"a": 1, "day": "2024-05-01"}, {"a": 2, "day": "2024-05-02"}], ["a", "day"])
    assert isinstance(fit_columns(table, ["a"]), NumberColumns)
    with pytest.raises(DataError, match="row 1, column 'day': dates and times"):
        fit_columns(table, ["a", "day"])
    assert list(table.take([1]).columns["day"].faults) == [0]


def test_numbers_need_eight_bytes_each() -> None:
    table = ColumnTable.of(({"a": str(number)} for number in range(20_000)), ["a"])
    assert (table.columns["a"].numbers.nbytes, table.columns["a"].words) == (160_000, None)


def test_a_word_after_many_numbers() -> None:
    table = ColumnTable.of(({"a": "red" if number == 9_999 else str(number)} for number in range(20_000)), ["a"])
    values = table.columns["a"]
    assert values.words is not None
    assert (np.flatnonzero(values.words >= 0).tolist(), values[9_999], values[9_998], values[19_999]) == ([9_999], "red", 9_998, 19_999)
    assert np.flatnonzero(np.isnan(values.numbers)).tolist() == [9_999]


def test_a_row_in_words() -> None:
    assert row_in_words({"age": 3.0, "colour": "red", "size": None, "more": 1.25}, 3) == "age 3, colour red, size"
