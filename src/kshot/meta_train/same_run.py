"""Whether a run goes on as it was: what must be equal for the same bits, and how two records differ."""

import platform
from typing import Any

import torch


def environment() -> dict[str, Any]:
    """Return what must be equal for bit identity: machine, torch version and thread count."""
    return {
        "machine": platform.machine(),
        "processor": torch.backends.cpu.get_cpu_capability(),
        "torch": torch.__version__.split("+")[0],
        "threads": torch.get_num_threads(),
    }


def differences(saved: Any, now: Any, where: str = "") -> list[str]:
    """List the differences between two nested structures of plain values, for example `training.lr was 0.1, is 0.2`."""
    if isinstance(saved, dict) and isinstance(now, dict):
        keys = [*saved, *(key for key in now if key not in saved)]
        return [text for key in keys for text in differences(saved.get(key), now.get(key), f"{where}.{key}" if where else key)]
    return [] if saved == now else [f"{where} was {_said(saved)}, is {_said(now)}"]


def _said(value: Any) -> str:
    return "not set" if value is None else repr(value)
