"""Read many things with a preprocessing, on all cores: in order, in bounded memory, a reason in place of what cannot be read.

In: a preprocessing and things, such as the paths of pictures. Out: their kept forms. Next: `kshot.data.pictures.image_folder`, and the
tasks of users.
"""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

import numpy as np

from kshot.data.preprocess import Preprocess
from kshot.errors import DataError

Thing = TypeVar("Thing")
Result = TypeVar("Result")

_AHEAD = 4
"""Things that are read, or wait to be taken, for each thread."""
_NAMED = 10
"""How many things a message names; the others are counted."""


def read_each(preprocess: Preprocess, things: Iterable[object], n_threads: int = 0) -> Iterator[np.ndarray | DataError]:
    """Read things, several at a time.

    Args:
        preprocess: Brings a thing to its kept form.
        things: What it reads. They are taken as they are needed, so that an endless stream may be given.
        n_threads: How many are read at once; 0: as many as there are cores.

    Yields:
        For each thing, in order, its kept form; or an error, not raised, that names the thing and says why it cannot be read. At most four
        things per thread are held.
    """
    return in_order(lambda thing: read_or_fault(preprocess.read, thing), things, n_threads=n_threads)


def in_order(work: Callable[[Thing], Result], things: Iterable[Thing], *, n_threads: int = 0, ahead: int = 0) -> Iterator[Result]:
    """Call a function with each thing, on several threads, and yield what it returns in the order of the things.

    Args:
        work: The function. What it raises is raised here.
        things: They are taken as they are needed, so that an endless stream may be given.
        n_threads: How many calls run at once; 0: as many as there are cores.
        ahead: How many things are taken before the first result is; 0: four per thread. At most so many are held.
    """
    threads = n_threads if n_threads > 0 else cores()
    waiting: deque[Future[Result]] = deque()
    pool = ThreadPoolExecutor(threads)
    try:
        for thing in things:
            waiting.append(pool.submit(work, thing))
            if len(waiting) >= (ahead or _AHEAD * threads):
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)  # after Ctrl-C, or where nobody takes the rest, nothing more is read


def read_or_fault(read: Callable[[object], Result], thing: object) -> Result | DataError:
    """Read one thing; return, not raise, the error that names it and says why it cannot be read."""
    try:
        return read(thing)
    except DataError as error:
        named = not isinstance(thing, str | os.PathLike) or str(thing) in str(error)
        return error if named else DataError(f"{thing}: {error}")
    except OSError as error:
        return DataError(f"cannot read {thing}: {error.strerror or error}.")


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def unusable(faults: Sequence[str], total: int, what: str = "pictures") -> DataError:
    """Return the error for things that cannot be used: it counts all of them and names the first ten.

    Args:
        faults: Why each of them cannot be used, with its name.
        total: How many things there are.
        what: What they are.
    """
    more = [f"and {len(faults) - _NAMED} more"] if len(faults) > _NAMED else []
    lines = "\n  ".join([*faults[:_NAMED], *more])
    return DataError(f"{len(faults)} of {total} {what} cannot be used. Replace or remove them:\n  {lines}")
