"""Long passes over a user's files, and whoever watches them.

Opening a folder of thousands of pictures takes minutes, deep below the command that asked for it. Such a pass says so here. The command
watches and shows a bar; a program that watches nothing sees nothing. Who watches is a matter of the context (`contextvars`), so that two
threads of a service do not see each other's passes.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar

Watcher = Callable[[str, int], AbstractContextManager[Callable[[int], None]]]
"""Called with what is counted and how many there are; gives a block, and in it a function to call with how many more are done."""

_watcher: ContextVar[Watcher | None] = ContextVar("kshot_watcher", default=None)


def watch(watcher: Watcher | None) -> None:
    """Show the passes of this context from now on; None shows no more."""
    _watcher.set(watcher)


@contextmanager
def watched(what: str, total: int) -> Iterator[Callable[[int], None]]:
    """Count the things of a pass.

    Args:
        what: What is counted, such as `pictures read`.
        total: How many there are.

    Yields:
        A function to call with the number of things done since the last call.
    """
    watcher = _watcher.get()
    if watcher is None:
        yield lambda more: None
    else:
        with watcher(what, total) as progress:
            yield progress
