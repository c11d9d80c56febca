"""What a learner learned from a task, on one screen: tensors as their type and shape, not as their numbers.

In: a named tuple of tensors or of mappings of tensors. Out: text for `__repr__`.
"""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from kshot.data.inputs import form_of
from kshot.short_repr import short_repr, shown


def short_form(value: object) -> str:
    """Return a tensor as its type and shape, a mapping with its values as these, and any other value as it is."""
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{name}: {short_form(part)}' for name, part in value.items())}}}"
    return form_of(value) if isinstance(value, Tensor) else shown(value)


def repr_of_adapted(adapted: Any) -> str:
    """Return the `__repr__` of what `adapt` returns: every field by `short_form`, in lines that fit.

    Example:
        >>> import torch
        >>> from kshot.learners.heads.centres import Prototypes
        >>> Prototypes(torch.zeros(2, 5, 64), torch.ones(2, 5, dtype=torch.bool))
        Prototypes(centres=float32 (2, 5, 64), known=bool (2, 5))
    """
    return short_repr(type(adapted).__name__, (f"{name}={short_form(value)}" for name, value in adapted._asdict().items()))
