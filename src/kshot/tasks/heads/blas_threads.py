"""Linear algebra on one thread while heads are fitted.

The matrices of some hundred examples are small and many; of very many examples, heads are compared on a sample. Threads that wait for each
other at every one of them gain little on idle cores and lose much on busy ones, where each waits for a core: the choice of a head for 405
photographs took 49 s of CPU time with two threads beside other work, and 2.8 s with one.
"""

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


def on_one_thread(function: Callable[P, R]) -> Callable[P, R]:
    """Let the linear algebra of NumPy run on one thread while a function runs."""

    @wraps(function)
    def limited(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            from threadpoolctl import threadpool_limits
        except ImportError:  # it comes with scikit-learn, which comes with each of the extras
            return function(*args, **kwargs)
        with threadpool_limits(1):
            return function(*args, **kwargs)

    return limited
