import ctypes
import sys

import pytest
import torch

from kshot.results.compare.peak_memory import least_peak, peak_memory

CPU = torch.device("cpu")
MiB = 1 << 20


@pytest.mark.slow
def test_the_peak_counts_what_is_alive_at_once() -> None:
    def one_after_another() -> None:
        for _ in range(4):
            torch.ones(16 * MiB // 4).sum()

    def together() -> None:
        sum(one.sum() for one in [torch.ones(16 * MiB // 4) for _ in range(4)])

    if (first := least_peak(one_after_another, CPU, runs=6)) is None:
        pytest.skip("this system does not say how large a process is")
    second = least_peak(together, CPU, runs=6)
    assert second is not None
    assert 15 * MiB < first < 24 * MiB
    assert 63 * MiB < second < 72 * MiB


def test_what_is_freed_and_taken_again_counts_again() -> None:
    def work() -> None:
        torch.ones(8 * MiB // 4).sum()

    sizes = [peak_memory(work, CPU) for _ in range(6)]
    if None in sizes:
        pytest.skip("this system does not say how large a process is")
    assert sorted(size for size in sizes if size is not None)[2] < 12 * MiB
    assert all(size is not None and size > 7 * MiB for size in sizes)


def test_nothing_is_nearly_nothing() -> None:
    size = peak_memory(lambda: None, CPU)
    assert size is None or 0 <= size < MiB


def test_where_nothing_is_known_nothing_runs() -> None:
    ran = []
    assert peak_memory(lambda: ran.append(1), torch.device("meta")) is None
    assert not ran


def test_a_system_that_does_not_say(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuses(name: object) -> None:
        raise OSError("no C library")

    monkeypatch.setattr(ctypes, "CDLL", refuses)
    assert peak_memory(lambda: None, CPU) is None


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux says so")
def test_linux_says() -> None:
    assert peak_memory(lambda: None, CPU) is not None
