"""Time several contenders that take turns, so that the machine's noise affects all of them alike."""

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Timing:
    """The seconds of each counted turn."""

    seconds: tuple[float, ...]

    @property
    def median(self) -> float:
        """The median seconds per turn."""
        return statistics.median(self.seconds)

    @property
    def least(self) -> float:
        """The seconds of the fastest turn."""
        return min(self.seconds)


def take_turns(contenders: Mapping[str, Callable[[], object]], *, turns: int, warmup: int = 1) -> dict[str, Timing]:
    """Run every contender once per turn, in order, for `turns` turns after `warmup` uncounted turns."""
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for turn in range(warmup + turns):
        for name, contender in contenders.items():
            began = time.perf_counter()
            contender()
            if turn >= warmup:
                seconds[name].append(time.perf_counter() - began)
    return {name: Timing(tuple(values)) for name, values in seconds.items()}


def ratio(first: Timing, second: Timing) -> float:
    """Return the median over turns of first / second. It compares pairs of neighbours in time, not averages of different minutes."""
    return statistics.median(a / b for a, b in zip(first.seconds, second.seconds, strict=True))
