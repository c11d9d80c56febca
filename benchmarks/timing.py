"""Time several contenders taking turns, so that the machine's noise falls on all of them alike."""

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Timing:
    """Seconds of each counted turn."""

    seconds: tuple[float, ...]

    @property
    def median(self) -> float:
        """Median seconds a turn."""
        return statistics.median(self.seconds)

    @property
    def least(self) -> float:
        """The quickest turn."""
        return min(self.seconds)


def take_turns(contenders: Mapping[str, Callable[[], object]], *, turns: int, warmup: int = 1) -> dict[str, Timing]:
    """Run every contender once a turn, in order, `turns` times after `warmup` uncounted ones."""
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for turn in range(warmup + turns):
        for name, contender in contenders.items():
            began = time.perf_counter()
            contender()
            if turn >= warmup:
                seconds[name].append(time.perf_counter() - began)
    return {name: Timing(tuple(values)) for name, values in seconds.items()}


def ratio(first: Timing, second: Timing) -> float:
    """Median over turns of first / second: pairs of neighbours in time are compared, not averages of different minutes."""
    return statistics.median(a / b for a, b in zip(first.seconds, second.seconds, strict=True))
