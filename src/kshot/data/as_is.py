"""No preprocessing: arrays and tensors that are inputs already.

In: kept items. Out: the same, but for bytes, which become numbers that a network reads. Next: any learner.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, NoReturn

import torch
from PIL import Image
from torch import Tensor

from kshot.data.inputs import Inputs, map_inputs
from kshot.errors import DataError


@dataclass(frozen=True)
class AsIs:
    """Items as they are.

    Numbers with a fraction keep their dtype (float64 stays float64), and so do int16, int32 and int64: they may be token ids.
    Only uint8, the form in which pictures are kept, becomes float32, its values 0 … 255 divided by 255; bool becomes 0 and 1.

    Example:
        >>> AsIs().to_input(torch.tensor([[0, 255]], dtype=torch.uint8))
        tensor([[0., 1.]])
    """

    name: ClassVar[str] = "as_is"

    def picture(self, image: Image.Image) -> NoReturn:
        """Always an error: this preprocessing is for arrays.

        Raises:
            DataError: Always.
        """
        raise DataError(
            f"expected arrays, found a picture of {image.width} × {image.height} pixels: what was trained on arrays as they are "
            "cannot read pictures. Use a learner that was trained on pictures ('ink' or 'picture')."
        )

    def to_input(self, kept: Inputs) -> Inputs:
        """Kept items as they are, but for uint8 and bool, which become float32 in [0, 1]."""
        return map_inputs(_readable, kept)

    def arguments(self) -> Mapping[str, Any]:
        """There are none."""
        return {}


def _readable(kept: Tensor) -> Tensor:
    if kept.dtype == torch.uint8:
        return kept.float() / 255
    if kept.dtype == torch.bool:
        return kept.float()
    return kept
