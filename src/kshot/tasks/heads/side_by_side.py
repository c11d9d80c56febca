"""Work of array arithmetic, done side by side: one piece per core, each with its linear algebra on one thread.

Pieces do not wait for each other inside a product, as the threads of linear algebra do (`kshot.tasks.heads.blas_threads`). Each does what
it does alone, so its numbers do not depend on how many cores there are. In: functions. Out: what they return, in order.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from kshot.data.reading import cores

Value = TypeVar("Value")


def side_by_side(pieces: Sequence[Callable[[], Value]]) -> list[Value]:
    """Return what functions return, in order. The first is begun first and then the others from the end.

    The last heads share the least with the first one, which so has time to compute what the ones after it ask for.

    Args:
        pieces: The functions; NumPy releases the lock of the interpreter in most of what they do.
    """
    threads = min(cores(), len(pieces))
    if threads < 2:
        return [piece() for piece in pieces]
    order = [0, *range(len(pieces) - 1, 0, -1)]
    with ThreadPoolExecutor(threads) as pool:
        begun = {place: pool.submit(pieces[place]) for place in order}
        return [begun[place].result() for place in range(len(pieces))]
