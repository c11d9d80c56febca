"""Linear algebra on one thread while heads are fitted to few examples.

The matrices of a few hundred examples are small and many. Threads that wait for each other at every one of them gain little on idle cores
and lose much on busy ones, where each waits for a core: the choice of a head for 405 photographs took 33 s of CPU time with two threads
beside other work, and 3 s with one.
"""

from collections.abc import Callable, Iterator, Sized
from contextlib import contextmanager
from functools import wraps
from typing import Concatenate, ParamSpec, TypeVar

_FEW = 2_000
"""Examples up to which one thread is used."""

P = ParamSpec("P")
R = TypeVar("R")
Rows = TypeVar("Rows", bound=Sized)


@contextmanager
def _one_thread() -> Iterator[None]:
    try:
        from threadpoolctl import threadpool_limits
    except ImportError:  # it comes with scikit-learn, which comes with each of the extras
        yield
        return
    with threadpool_limits(1):
        yield


def one_thread_for_few(function: Callable[Concatenate[Rows, P], R]) -> Callable[Concatenate[Rows, P], R]:
    """Let a function whose first argument holds one row per example compute on one thread if there are few of them."""

    @wraps(function)
    def limited(x: Rows, /, *args: P.args, **kwargs: P.kwargs) -> R:
        if len(x) > _FEW:
            return function(x, *args, **kwargs)
        with _one_thread():
            return function(x, *args, **kwargs)

    return limited
