"""What `adapt` returns, taken apart into tensors and put together again: named tuples, tuples, lists and mappings of tensors.

In: an adapted state. Out: its tensors in order, and a `Structure`. Next: `kshot.web.sources.learner_source`.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from kshot.errors import ContractError


@dataclass(frozen=True)
class Structure:
    """How tensors lie in a state.

    Attributes:
        kind: The type of this part; `Tensor` for one tensor.
        names: The keys of a mapping, in order.
        parts: The parts inside it.
    """

    kind: type
    names: tuple[Any, ...] = ()
    parts: tuple["Structure", ...] = ()

    @property
    def leaves(self) -> int:
        """How many tensors there are."""
        return 1 if self.kind is Tensor else sum(part.leaves for part in self.parts)


def flattened(value: Any) -> tuple[list[Tensor], Structure]:
    """Take a state apart.

    Raises:
        ContractError: It holds something else than tensors.
    """
    leaves: list[Tensor] = []
    return leaves, _taken(value, leaves)


def restored(structure: Structure, leaves: Sequence[Tensor]) -> Any:
    """Put a state together from its tensors."""
    return _put(structure, iter(leaves))


def _taken(value: Any, leaves: list[Tensor]) -> Structure:
    if isinstance(value, Tensor):
        leaves.append(value)
        return Structure(Tensor)
    if isinstance(value, Mapping):
        return Structure(dict, tuple(value), tuple(_taken(one, leaves) for one in value.values()))
    if isinstance(value, tuple | list):
        return Structure(type(value), (), tuple(_taken(one, leaves) for one in value))
    raise ContractError(f"adapt must return named tuples, tuples and mappings of tensors; found {type(value).__name__} in it.")


def _put(structure: Structure, leaves: Iterator[Tensor]) -> Any:
    if structure.kind is Tensor:
        return next(leaves)
    parts = [_put(part, leaves) for part in structure.parts]
    if structure.kind is dict:
        return dict(zip(structure.names, parts, strict=True))
    return structure.kind(*parts) if hasattr(structure.kind, "_fields") else structure.kind(parts)
