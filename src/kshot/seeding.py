"""The one place that seeds stock modules (initialisation, dropout).

Everything of ours takes its randomness from counters (`kshot.episodes.counter_random`) or from a generator it is given. Stock
PyTorch modules draw from the global generator; `seeded` lends them one that is a function of (seed, purpose, step) and puts the
caller's back afterwards.
"""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def seeded(seed: int, purpose: str, step: int = 0) -> Iterator[None]:
    """Within the block, the global generators (CPU and the current accelerator) start from (seed, purpose, step).

    Args:
        seed: Of the run.
        purpose: What the randomness is for, such as `initialisation`; different purposes are independent.
        step: Which step, for purposes that come again.
    """
    digest = hashlib.sha256(f"{seed}/{purpose}/{step}".encode()).digest()
    gpus = [torch.cuda.current_device()] if torch.cuda.is_initialized() else []  # type: ignore[no-untyped-call]
    with torch.random.fork_rng(devices=gpus):
        # Not torch.manual_seed: it also seeds devices that fork_rng does not put back, and those not started yet.
        number = int.from_bytes(digest[:8], "little") % 2**63
        torch.default_generator.manual_seed(number)
        if gpus:
            torch.cuda.manual_seed(number)
        yield
