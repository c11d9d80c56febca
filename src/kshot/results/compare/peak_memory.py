"""How much memory a piece of work takes while it runs, measured from outside of it.

On a GPU torch counts it. On the CPU it is the growth of the process's resident size, which the kernel counts: whatever the work
touches is in it, tensors, scratch space of kernels, everything.
"""

import ctypes
from collections.abc import Callable
from pathlib import Path

import torch

_STATUS, _RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def peak_memory(work: Callable[[], object], device: torch.device) -> int | None:
    """Bytes by which memory in use rises, at its highest, while `work` runs.

    Args:
        work: What to run, once. Run it before, so that what a first run sets up for good is not counted.
        device: Where it computes. For the CPU: Linux only, and no other thread of the process should allocate meanwhile. Freed
            memory that the C library keeps is given back to the system first, so that using it again is counted.

    Returns:
        The bytes; None where the system does not say, in which case `work` has not run. On the CPU what the C library holds but cannot
        use again counts, too, such as a freed tensor with something small behind it: `least_peak` runs the work several times.
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
    """The least `peak_memory` of several runs: the work's own, with as little as may be of what happened to lie in its way.

    Args:
        work: As of `peak_memory`.
        device: Likewise.
        runs: How many.
    """
    found = [peak_memory(work, device) for _ in range(runs)]
    return None if None in found else min(size for size in found if size is not None)


def _bytes_of(entry: str) -> int:
    lines = _STATUS.read_text(encoding="ascii", errors="replace").splitlines()
    return 1024 * int(next(line for line in lines if line.startswith(f"{entry}:")).split()[1])
