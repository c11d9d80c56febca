"""Heads are fitted on one thread, and the number of threads is put back."""

import numpy as np
import pytest

from kshot.tasks.heads.blas_threads import on_one_thread

threadpoolctl = pytest.importorskip("threadpoolctl")


def threads() -> list[int]:
    return [pool["num_threads"] for pool in threadpoolctl.threadpool_info() if pool["user_api"] == "blas"]


@on_one_thread
def inside(x: np.ndarray) -> list[int]:
    return threads()


def test_one_thread_is_taken() -> None:
    with threadpoolctl.threadpool_limits(2):
        before = threads()
        assert before, "numpy's linear algebra is known to threadpoolctl"
        assert inside(np.zeros((2_000, 1))) == [1] * len(before)
        assert threads() == before


def test_the_number_is_put_back_after_an_error() -> None:
    @on_one_thread
    def fails(x: np.ndarray) -> None:
        raise ValueError("no")

    with threadpoolctl.threadpool_limits(2):
        before = threads()
        with pytest.raises(ValueError, match="no"):
            fails(np.zeros((3, 1)))
        assert threads() == before
