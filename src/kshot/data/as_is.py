"""No preprocessing: arrays and numbers that are inputs already.

In: arrays, numbers, or lists of numbers; kept items. Out: the same, except that bytes become numbers that a network reads.
Next: any learner.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from PIL import Image

from kshot.data.inputs import Inputs, map_inputs
from kshot.errors import DataError

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class AsIs:
    """Items as they are.

    Numbers with a fraction keep their dtype (float64 stays float64), and so do int16, int32 and int64: they may be token ids.
    Only uint8, the form in which pictures are kept, becomes float32, its values 0 … 255 divided by 255; bool becomes 0 and 1.

    Example:
        >>> import torch
        >>> AsIs().to_input(torch.tensor([[0, 255]], dtype=torch.uint8))
        tensor([[0., 1.]])
        >>> AsIs().read([1, 2.5])
        array([1. , 2.5], dtype=float32)
    """

    name: ClassVar[str] = "as_is"

    def read(self, thing: object) -> np.ndarray:
        """Return numbers as an array.

        Args:
            thing: An array, which keeps its dtype and may share its memory with the result; a number; or a list of numbers, or of lists
                of equal lengths. Python's numbers become what PyTorch makes of them: float32, int64 or bool.

        Raises:
            DataError: It is no such thing, rows differ in length, or a number is not finite.
        """
        if isinstance(thing, Image.Image):
            raise DataError(
                f"expected arrays, found a picture of {thing.width} × {thing.height} pixels: what was trained on arrays as they are "
                "cannot read pictures. Use a learner that was trained on pictures ('ink' or 'picture')."
            )
        if isinstance(thing, str | Path):
            raise DataError(
                f"expected numbers, found {str(thing)!r}: what was trained on arrays as they are cannot read pictures, other files or "
                "text. Give the numbers, or use a learner that was trained on such things."
            )
        if not isinstance(thing, np.ndarray | np.generic | int | float | list | tuple):
            found = type(thing).__name__
            raise DataError(f"expected an array, a number or a list of numbers; found {found}. Convert it, such as with np.asarray.")
        try:
            array = np.asarray(thing)
        except ValueError as error:
            raise DataError(f"expected rows of equal lengths ({error}). Fill up short rows, or cut long ones.") from error
        if array.dtype.kind not in "biufc" or array.size == 0:
            what = "nothing" if array.size == 0 else f"values of type {array.dtype}"
            raise DataError(f"expected numbers; found {what}: {str(thing)[:60]}. Give at least one number, and convert other values.")
        if not isinstance(thing, np.ndarray | np.generic) and array.dtype == np.float64:
            array = array.astype(np.float32)
        if not np.isfinite(array).all():
            raise DataError(f"every number must be finite; found NaN or infinity in {str(thing)[:60]}. Repair or drop the item.")
        return array

    def to_input(self, kept: Inputs) -> Inputs:
        """Return kept items as they are, except that uint8 and bool become float32 in [0, 1]."""
        return map_inputs(_readable, kept)

    def arguments(self) -> Mapping[str, Any]:
        """Return no arguments: there are none."""
        return {}


def _readable(kept: "Tensor") -> "Tensor":
    import torch  # here, because `read` needs none of it

    if kept.dtype == torch.uint8:
        return kept.float() / 255
    return kept.float() if kept.dtype == torch.bool else kept
