"""Tasks over threads: in order, one core each, and everything as it was afterwards."""

import threading
from collections.abc import Iterator

import pytest
import torch

from kshot.learners.inner_loop.schedule import for_each_task

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def test_answers_are_in_the_order_of_the_tasks() -> None:
    second = threading.Event()

    def solve(number: int) -> int:
        if number == 0:
            assert second.wait(10)  # the first is done last
        else:
            second.set()
        return 10 * number

    assert for_each_task(solve, 5, CPU) == [0, 10, 20, 30, 40]


def test_a_thread_has_one_core_and_the_caller_keeps_its_own() -> None:
    assert for_each_task(lambda number: torch.get_num_threads(), 4, CPU) == [1] * 4
    assert torch.get_num_threads() == 2
    assert _in_a_new_thread() == 2


def test_one_core_one_task_or_a_device_need_no_threads() -> None:
    here = threading.get_ident()
    assert for_each_task(lambda number: threading.get_ident(), 1, CPU) == [here]
    assert for_each_task(lambda number: threading.get_ident(), 3, torch.device("cuda")) == [here] * 3
    torch.set_num_threads(1)
    assert for_each_task(lambda number: threading.get_ident(), 3, CPU) == [here] * 3
    assert for_each_task(lambda number: number, 0, CPU) == []


def test_an_error_of_a_task_arrives_and_the_threads_are_as_before() -> None:
    def solve(number: int) -> int:
        raise ValueError(f"task {number}")

    with pytest.raises(ValueError, match="task 0"):
        for_each_task(solve, 3, CPU)
    assert torch.get_num_threads() == 2


def _in_a_new_thread() -> int:
    seen: list[int] = []
    thread = threading.Thread(target=lambda: seen.append(torch.get_num_threads()))
    thread.start()
    thread.join()
    return seen[0]
