"""Keep freed memory in the process, on request.

glibc gives large blocks back to the system as soon as they are freed. At the next allocation it takes them again, page by page and zeroed.
A training step frees and allocates the same few hundred megabytes every time. Keeping them makes a step about 1.5 times as fast, as
measured with `python -m benchmarks.meta_step`. The setting applies to the whole process, so importing kshot never changes it. The command
line does, and your own program may.
"""

import ctypes
import logging
import sys

_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_MAX = -1, -2, -4
_log = logging.getLogger(__name__)


def keep_freed_memory() -> bool:
    """Ask glibc to keep freed memory for the next allocation, for the rest of the process.

    Call it before the first large allocation. The memory of the process then stays at its peak.

    Returns:
        Whether it took effect. It is False on systems without glibc, where nothing changes.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        _log.debug("this C library has no mallopt; the allocator stays unchanged")
        return False
    # Never use mmap, give nothing back below 2 GiB of free memory at the top, and grow in steps of 64 MiB.
    return bool(mallopt(_M_MMAP_MAX, 0) and mallopt(_M_TRIM_THRESHOLD, 2**31 - 1) and mallopt(_M_TOP_PAD, 2**26))
