"""Arrays as bytes, for a column of the store: safetensors, never a pickle. In: arrays by name. Out: bytes, and back."""

from collections.abc import Mapping

import numpy as np
import safetensors.numpy
from safetensors import SafetensorError

from kshot.errors import SavedError


def to_bytes(arrays: Mapping[str, np.ndarray]) -> bytes:
    """Return arrays as bytes."""
    return safetensors.numpy.save({name: np.ascontiguousarray(array) for name, array in arrays.items()})


def from_bytes(data: bytes) -> dict[str, np.ndarray]:
    """Return the arrays that `to_bytes` wrote.

    Raises:
        SavedError: The bytes are others.
    """
    try:
        found: dict[str, np.ndarray] = safetensors.numpy.load(bytes(data))
    except (SafetensorError, KeyError, TypeError) as error:
        raise SavedError(f"the store is damaged: a column is no safetensors ({error}). Restore it from a copy.") from error
    return found
