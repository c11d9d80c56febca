"""The device on which something is computed: the one place that turns its name into a `torch.device`, or says which devices there are.

It is a leaf, so that every stage that takes a device refuses a missing one with the same words.
"""

import torch

from kshot.errors import SetupError

_DEVICES = ("cpu", "cuda", "mps", "xpu")


def pick_device(name: str | torch.device) -> torch.device:
    """Find the device of that name; `auto` is a GPU where there is one.

    Raises:
        SetupError: There is no such device here.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        if str(name).partition(":")[0] not in _DEVICES:
            raise RuntimeError(f"no device of kshot's: {name}")
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:  # torch has no one class for it
        have = ["cpu"] + [f"cuda:{number}" for number in range(torch.cuda.device_count())]
        raise SetupError(
            f"there is no device {str(name)!r} here; this machine has {', '.join(have)}. Use one of these, or auto."
        ) from error
    return device
