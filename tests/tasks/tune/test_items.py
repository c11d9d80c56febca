"""What is learned from, in memory or read again: the same items either way."""

import numpy as np
import pytest

import kshot.tasks.tune.items
from kshot.tasks.tune.items import Items


class Rows:
    """Reads a number n as n zeros, and counts."""

    def __init__(self) -> None:
        self.n_read = 0

    def read(self, thing: object) -> np.ndarray:
        assert isinstance(thing, int)
        self.n_read += 1
        return np.zeros(thing, np.uint8)

    def cost(self, item: np.ndarray) -> int:
        return len(item)


@pytest.mark.parametrize(("most", "n_read"), [(100, 0), (7, 2), (0, 4)])
def test_items_over_the_limit_are_read_again(monkeypatch: pytest.MonkeyPatch, most: int, n_read: int) -> None:
    monkeypatch.setattr(kshot.tasks.tune.items, "_MOST_BYTES", most)
    rows, counted = Rows(), list[int]()
    items = Items(rows, [3, 4, 1, 2], counted.append)  # type: ignore[arg-type]  # it reads and costs, and no more is asked
    assert (items.costs.tolist(), sum(counted), rows.n_read) == ([3, 4, 1, 2], 4, 4)
    assert [len(item) for item in items] == [3, 4, 1, 2]
    assert rows.n_read == 4 + n_read
    assert [len(item) for item in items[1:3]] == [4, 1]
