"""How a thing becomes a network's input: one frozen object, the same in training, evaluation, prediction and service.

A preprocessing has two halves. `picture` turns what a user has (a Pillow image) into the compact form that a data set keeps
(uint8); `to_input` turns kept items into what the network reads (float32). It is saved with the learner by name and arguments.
"""

from collections.abc import Mapping
from typing import Any, ClassVar, Protocol, runtime_checkable

import numpy as np
from PIL import Image

from kshot.data.inputs import Inputs


@runtime_checkable
class Preprocess(Protocol):
    """The two halves, and what is needed to save it. Implementations are frozen dataclasses whose fields are plain values."""

    name: ClassVar[str]

    def picture(self, image: Image.Image) -> np.ndarray:
        """A picture in the form the data set keeps: uint8 (C, H, W).

        Raises:
            DataError: The picture cannot be brought to that form (no ink on it, no pictures expected).
        """
        ...

    def to_input(self, kept: Inputs) -> Inputs:
        """Kept items `(M, …)` as the network reads them, on the device they are on."""
        ...

    def arguments(self) -> Mapping[str, Any]:
        """The fields, as plain JSON values."""
        ...
