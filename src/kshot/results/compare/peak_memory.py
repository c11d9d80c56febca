"""Peak memory of a piece of work, measured from outside while it runs.

On a GPU, torch counts it. On the CPU, it is the growth of the resident size of the process, which the kernel counts. It includes everything
that the work touches: tensors, scratch space of operators, everything.
"""

import ctypes
from collections.abc import Callable
from pathlib import Path

import torch

_STATUS, _RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def peak_memory(work: Callable[[], object], device: torch.device) -> int | None:
    """Return the largest rise of memory in use, in bytes, while `work` runs.

    Args:
        work: The work; it is run once. Run it once before, so that permanent memory of a first run is not counted.
        device: Device on which it computes. The CPU needs Linux, and no other thread of the process should allocate meanwhile. Freed memory
            that the C library keeps is first given back to the system, so that its reuse is counted.

    Returns:
        The bytes; None if the system does not report them, in which case `work` has not run. On the CPU, memory that the C library holds
            but cannot reuse counts too, for example a freed tensor with a small allocation behind it. `least_peak` therefore runs the
            work several times.
    """
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        work()
        torch.cuda.synchronize(device)
        return torch.cuda.max_memory_allocated(device) - before
    if device.type != "cpu":
        return None
    try:
        ctypes.CDLL(None).malloc_trim(0)
        _RESET.write_text("5", encoding="ascii")  # the kernel forgets the peak so far (proc(5))
        before = _bytes_of("VmRSS")
    except (OSError, AttributeError, StopIteration):
        return None
    work()
    return max(0, _bytes_of("VmHWM") - before)


def least_peak(work: Callable[[], object], device: torch.device, *, runs: int = 3) -> int | None:
    """Return the minimum of `peak_memory` over several runs, to exclude unrelated allocations.

    Args:
        work: As in `peak_memory`.
        device: As in `peak_memory`.
        runs: Number of runs.
    """
    found = [peak_memory(work, device) for _ in range(runs)]
    return None if None in found else min(size for size in found if size is not None)


def _bytes_of(entry: str) -> int:
    lines = _STATUS.read_text(encoding="ascii", errors="replace").splitlines()
    return 1024 * int(next(line for line in lines if line.startswith(f"{entry}:")).split()[1])
