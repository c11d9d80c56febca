"""Work side by side: the same results in the same order, whatever the number of cores."""

import threading
import time

import numpy as np
import pytest

from kshot.tasks.heads import side_by_side as module
from kshot.tasks.heads.any_classifier import AnyClassifier
from kshot.tasks.heads.choose import DEFAULT_HEADS, choose
from kshot.tasks.heads.given import Given
from kshot.tasks.heads.logistic import Logistic
from kshot.tasks.heads.side_by_side import side_by_side


@pytest.mark.parametrize("cores", [1, 2, 7])
def test_results_come_in_order(cores: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "cores", lambda: cores)
    assert side_by_side([lambda place=place: place for place in range(5)]) == [0, 1, 2, 3, 4]
    assert side_by_side([]) == []


def test_two_pieces_run_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "cores", lambda: 2)
    both = threading.Barrier(2, timeout=10)  # broken unless both pieces reach it
    assert len(set(side_by_side([both.wait, both.wait]))) == 2


def test_the_first_error_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "cores", lambda: 2)

    def fails() -> None:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        side_by_side([lambda: None, fails])


def test_what_several_threads_ask_for_is_computed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "cores", lambda: 4)
    given, computed = Given(np.eye(4, dtype=np.float32), np.array([0, 0, 1, 1]), 2), list[int]()

    def compute() -> int:
        time.sleep(0.02)
        computed.append(1)
        return given.once("inner", lambda: 7)  # a computation may ask for another one

    assert side_by_side([lambda: given.once("key", compute)] * 4) == [7] * 4
    assert computed == [1]


def test_heads_are_chosen_alike_on_one_core_and_on_two(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    y = np.repeat(np.arange(4), 5)
    x = (rng.normal(size=(4, 12))[y] + rng.normal(size=(20, 12))).astype(np.float32)
    found = []
    for cores in (1, 2):
        monkeypatch.setattr(module, "cores", lambda cores=cores: cores)
        found.append(choose(x, y, 4))
    assert found[0].as_dict() == found[1].as_dict()
    np.testing.assert_array_equal(found[0].left_out.log_probabilities, found[1].left_out.log_probabilities)


def test_heads_that_share_what_is_not_theirs_wait_for_each_other() -> None:
    assert all(head.side_by_side for head in DEFAULT_HEADS)
    assert not Logistic().side_by_side
    assert not AnyClassifier(_Classifier()).side_by_side


class _Classifier:
    def fit(self) -> None: ...
    def predict_proba(self) -> None: ...
