"""Answers that take a trial run, remembered for the process by what was asked. Next: `plan`."""

import threading
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

_MOST_KNOWN = 64
T = TypeVar("T")


class Remembered(Generic[T]):
    """A cache of the answers to the last few questions, for any number of threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: dict[Hashable, T] = {}

    def of(self, question: Hashable, find: Callable[[], T], keep: Callable[[T], bool] = lambda answer: True) -> T:
        """The answer, found now where it is not known, and remembered where it is worth keeping."""
        with self._lock:
            if question in self._known:
                return self._known[question]
        answer = find()
        if not keep(answer):
            return answer
        with self._lock:
            if len(self._known) >= _MOST_KNOWN:
                self._known.clear()
            self._known[question] = answer
        return answer
