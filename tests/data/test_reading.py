"""Many things are read in order, in bounded memory, and one that cannot be read stops no other."""

import itertools
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kshot.data.as_is import AsIs
from kshot.data.reading import cores, read_each, unusable
from kshot.errors import DataError


class Slow(AsIs):
    """Reads numbers, the even ones slowly; 3 is bad data, "gone" a file that the system refuses, 13 a bug."""

    def read(self, thing: Any) -> np.ndarray:
        if thing == 3:
            raise DataError("three is no number.")
        if thing == "gone":
            raise PermissionError(13, "Permission denied")
        if thing == 13:
            raise ZeroDivisionError
        if thing % 2 == 0:
            time.sleep(0.002)
        return np.array([thing])


def test_results_come_in_order_with_a_reason_in_place_of_what_cannot_be_read() -> None:
    found = list(read_each(Slow(), [0, 1, 2, 3, "gone", 5], 3))
    assert [one.tolist() if isinstance(one, np.ndarray) else str(one) for one in found] == [
        [0], [1], [2], "three is no number.", "cannot read gone: Permission denied.", [5],
    ]  # fmt: skip


def test_a_path_is_named_once() -> None:
    class Refusing(AsIs):
        def read(self, thing: object) -> np.ndarray:
            raise DataError("no ink." if thing == Path("a.png") else f"cannot read {thing}.")

    assert [str(one) for one in read_each(Refusing(), [Path("a.png"), "b.png"])] == ["a.png: no ink.", "cannot read b.png."]


def test_an_endless_stream_is_taken_as_it_is_needed() -> None:
    taken = itertools.count()

    def things() -> Iterator[int]:
        for _ in iter(int, 1):
            next(taken)
            yield 1

    stream = read_each(Slow(), things(), 2)
    before = threading.active_count()
    assert [next(stream).tolist() for _ in range(5)] == [[1]] * 5  # type: ignore[union-attr]
    stream.close()  # type: ignore[attr-defined]
    assert next(taken) <= 5 + 4 * 2
    assert threading.active_count() <= before + 2


def test_a_bug_in_a_preprocessing_is_raised() -> None:
    with pytest.raises(ZeroDivisionError):
        list(read_each(Slow(), [13]))


def test_an_error_names_ten_and_counts_the_rest() -> None:
    message = str(unusable([f"{number}.png: bad." for number in range(12)], 20))
    assert message.startswith("12 of 20 pictures cannot be used.")
    assert message.endswith("9.png: bad.\n  and 2 more")
    assert cores() >= 1
