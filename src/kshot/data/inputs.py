"""What a network reads: a tensor, or a mapping of names to tensors.

Everything that moves inputs (gathering, batching, moving to a device) goes through these few functions, so that a learner of dictionaries
(a picture and its caption, the atoms and bonds of a molecule) needs no special case anywhere.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Union

if TYPE_CHECKING:
    from torch import Tensor

Inputs = Union["Tensor", Mapping[str, "Tensor"]]
"""A tensor whose first dimension counts items, or a mapping of names to such tensors of equal first dimension."""


def map_inputs(function: Callable[["Tensor"], "Tensor"], inputs: Inputs) -> Inputs:
    """Apply `function` to the tensor, or to each tensor of the mapping."""
    if isinstance(inputs, Mapping):
        return {name: function(value) for name, value in inputs.items()}
    return function(inputs)


def form_of(inputs: Inputs) -> str:
    """Describe type and shape in words: `float32 (4, 5, 1, 28, 28)`; of a mapping, those of each name."""
    if isinstance(inputs, Mapping):
        return f"{{{', '.join(f'{name}: {form_of(value)}' for name, value in inputs.items())}}}"
    return f"{str(inputs.dtype).removeprefix('torch.')} {tuple(inputs.shape)}"


def count_items(inputs: Inputs) -> int:
    """Return the size of the first dimension."""
    first = next(iter(inputs.values())) if isinstance(inputs, Mapping) else inputs
    return first.shape[0]  # without int(), which would make a size that an export leaves open a number


def concatenate(parts: Sequence[Inputs], dim: int = 0) -> Inputs:
    """Join the parts along `dim`; all are tensors, or all are mappings of the same names."""
    import torch  # here, because reading a user's thing needs the other functions and no PyTorch

    first = parts[0]
    if isinstance(first, Mapping):
        return {name: torch.cat([part[name] for part in parts if isinstance(part, Mapping)], dim) for name in first}
    return torch.cat([part for part in parts if not isinstance(part, Mapping)], dim)
