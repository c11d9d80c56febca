"""Keep freed memory in the process, on request.

glibc gives large blocks back to the system as soon as they are freed and takes them again, page by page and zeroed, at the next
allocation. A training step frees and allocates the same few hundred megabytes every time; keeping them makes a step about 1.5 times
as fast here (`python -m benchmarks.meta_step`). It is a setting of the whole process, so importing kshot never does it: the command
line does, and a program of yours may.
"""

import ctypes
import logging
import sys

_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_MAX = -1, -2, -4
_log = logging.getLogger(__name__)


def keep_freed_memory() -> bool:
    """Ask glibc to keep what is freed for the next allocation, for the rest of the process.

    Call it before the first large allocation. The process's memory then stays at its peak.

    Returns:
        Whether it took effect: False on systems without glibc, where nothing changes.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        _log.debug("no mallopt in this C library; the allocator is left as it is")
        return False
    # No block by mmap, no giving back below 2 GiB of free memory at the top, growth in steps of 64 MiB.
    return bool(mallopt(_M_MMAP_MAX, 0) and mallopt(_M_TRIM_THRESHOLD, 2**31 - 1) and mallopt(_M_TOP_PAD, 2**26))
