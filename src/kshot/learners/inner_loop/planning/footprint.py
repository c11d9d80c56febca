"""How much memory the inner loop will take, before the first step.

One support step of one task is run with a count of what its graph keeps; the rest follows from the shapes:

    unrolled                n graphs of a step + one of the queries
    flat                    n copies of the adapting parameters + the larger graph
    first order, implicit   the larger graph; first order, what the graph of the update rule keeps of n steps, too

and a few copies of the parameters, times the tasks that run at once; which it is, the mode says (`Kept`). It is an estimate: what
operations need for a moment is not in it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from kshot.errors import SetupError
from kshot.learners.inner_loop.modes.outer_gradient import Kept

_COPIES = 6
"""Copies of the adapting parameters that are held at once: slopes, cotangents, sums."""
_STATES = 3
"""Copies of the rule's state that are held at once: before a step, after it, and its cotangents."""


@dataclass(frozen=True)
class Footprint:
    """Bytes.

    Attributes:
        step: What the graph of one inner step of one task keeps.
        query: The same of the query loss.
        parameters: All trainable parameters.
        state: What the update rule remembers of one task.
        rule: What the graph of the update rule keeps of one step of one task.
    """

    step: int
    query: int
    parameters: int
    state: int = 0
    rule: int = 0

    def needed(self, kept: Kept, *, at_once: int, apart: int | None = None) -> int:
        """Return the memory that will be taken.

        Args:
            kept: What one task holds.
            at_once: Tasks that run at the same time.
            apart: How many query graphs there are at the same time, where each is dropped for its slopes (`losses_apart`); None where
                they are held.
        """
        asked = max(queries for _, queries in kept.graphs)
        slopes = 0 if apart is None else asked
        graphs = max(
            at_once * steps * self.step + (at_once * queries if apart is None else apart * min(queries, 1)) * self.query
            for steps, queries in kept.graphs
        )
        places = at_once * kept.places * (self.parameters + self.state) + at_once * kept.rules * self.rule
        return graphs + places + at_once * ((slopes + _COPIES) * self.parameters + _STATES * self.state)


def bytes_kept(run: Callable[[], object], *, but: list[Tensor]) -> int:
    """Bytes of all storages that the graph made by `run` keeps, each counted once, but for those of some tensors."""
    known = {value.untyped_storage().data_ptr() for value in but}
    kept: dict[int, int] = {}

    def count(value: Tensor) -> Tensor:
        storage = value.untyped_storage()
        if storage.data_ptr() not in known:
            kept[storage.data_ptr()] = storage.nbytes()
        return value

    with torch.autograd.graph.saved_tensors_hooks(count, lambda value: value):
        held = run()
    del held
    return sum(kept.values())


def free_bytes(device: torch.device) -> int | None:
    """Memory that is free on a device; None where that cannot be known."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0]) + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    if device.type != "cpu":
        return None
    free = []
    try:
        lines = dict(line.split(":", 1) for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines())
        free.append(int(lines["MemAvailable"].split()[0]) * 1024)
    except (OSError, KeyError, ValueError):
        return None
    try:  # a container's own limit
        most = Path("/sys/fs/cgroup/memory.max").read_text(encoding="ascii").strip()
        used = Path("/sys/fs/cgroup/memory.current").read_text(encoding="ascii").strip()
        stat = dict(line.split() for line in Path("/sys/fs/cgroup/memory.stat").read_text(encoding="ascii").splitlines())
        cache = int(stat.get("inactive_file", 0)) + int(stat.get("active_file", 0))  # of files, given up when memory is wanted
        free += [int(most) - int(used) + cache] if most != "max" else []
    except (OSError, ValueError):
        pass
    return min(free)


def require_room(needed: int, device: torch.device, advice: str, free: int | None = None) -> None:
    """Refuse what will not fit.

    Args:
        needed: Bytes.
        device: Where.
        advice: What would need less.
        free: Free memory in bytes, in place of what the device says.

    Raises:
        SetupError: More is needed than is free.
    """
    free = free_bytes(device) if free is None else free
    if free is not None and needed > free:
        raise SetupError(f"the inner loop needs about {_shown(needed)} on {device}, and {_shown(free)} are free. {advice}")


def _shown(count: int) -> str:
    return f"{count / 2**30:.1f} GiB" if count >= 2**30 else f"{count / 2**20:.0f} MiB"
