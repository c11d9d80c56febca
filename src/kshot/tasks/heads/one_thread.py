"""Many small products of matrices, on one thread.

Where the cores are busy, OpenBLAS's threads wait for each other longer than they compute: beside other work on two cores, the choice of a
head for 405 photographs took 49 s of CPU time on two threads and 2.8 s on one. In: nothing. Out: a context. scikit-learn brings
threadpoolctl; where it is not installed, the threads stay as they are.
"""

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def one_thread() -> Iterator[None]:
    """Keep the linear algebra of NumPy on one thread, as long as the context lasts."""
    try:
        from threadpoolctl import threadpool_limits
    except ImportError:
        yield
        return
    with threadpool_limits(limits=1, user_api="blas"):
        yield
