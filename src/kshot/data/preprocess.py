"""How a thing becomes a network's input: one frozen object, the same in training, evaluation, prediction and service.

A preprocessing has two halves. `read` turns what a user has (a path, a Pillow image, a row of numbers) into the compact form that a data
set keeps, a NumPy array; `to_input` turns tensors of kept items into what the network reads. It is saved with the learner by name and
arguments. Reading loads no PyTorch: tensors are made where the learner is.
"""

from collections.abc import Mapping
from typing import Any, ClassVar, Protocol, runtime_checkable

import numpy as np

from kshot.data.inputs import Inputs


@runtime_checkable
class Preprocess(Protocol):
    """The two halves, and what is needed to save it. Implementations are frozen dataclasses whose fields are plain values."""

    name: ClassVar[str]

    def read(self, thing: object) -> np.ndarray:
        """Bring one thing to the form that the data set keeps, such as uint8 (C, H, W) for pictures.

        Args:
            thing: What a user has. Preprocessings of pictures take a path or a Pillow image, `AsIs` takes numbers.

        Raises:
            DataError: The thing cannot be brought to that form: it is of another kind, or there is no ink on it.
        """
        ...

    def to_input(self, kept: Inputs) -> Inputs:
        """Return kept items `(M, …)` as the network reads them, on the device they are on."""
        ...

    def arguments(self) -> Mapping[str, Any]:
        """Return the fields as plain JSON values."""
        ...
