"""The one place that seeds stock modules (initialisation, dropout).

Our own code takes its randomness from counters (`kshot.episodes.counter_random`) or from a generator that it is given. Stock PyTorch
modules draw from the global generator. `seeded` sets it to a state that is a function of (seed, purpose, step), and restores the caller's
state afterwards.
"""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def seeded(seed: int, purpose: str, step: int = 0) -> Iterator[None]:
    """Start the global generators (CPU and the current accelerator) from (seed, purpose, step) within the block.

    Args:
        seed: Seed of the run.
        purpose: What the randomness is for, for example `initialisation`. Different purposes are independent.
        step: Number of the step, for purposes that occur repeatedly.
    """
    digest = hashlib.sha256(f"{seed}/{purpose}/{step}".encode()).digest()
    gpus = [torch.cuda.current_device()] if torch.cuda.is_initialized() else []  # type: ignore[no-untyped-call]
    with torch.random.fork_rng(devices=gpus):
        # Not torch.manual_seed: it also seeds devices that fork_rng does not restore, and devices that are not started yet.
        number = int.from_bytes(digest[:8], "little") % 2**63
        torch.default_generator.manual_seed(number)
        if gpus:
            torch.cuda.manual_seed(number)
        yield
