"""What a thing was built with: a constructor's plain arguments, kept without a line of code in the constructor.

In: a class that derives from `KeepsArguments`, as every learner and every backbone of a table does. Out: `arguments`, from which a saved
learner is built again (`kshot.construct`), and which its `repr` shows.
"""

from collections.abc import Mapping, Sequence
from inspect import Parameter, signature
from numbers import Integral, Real
from types import MappingProxyType
from typing import Any, Self

GIVEN = ("backbone", "family")
"""Parameters of a constructor that are no arguments: whoever builds by name gives them."""


class KeepsArguments:
    """A thing that knows the plain arguments of its constructor, with the defaults of those that were not given."""

    _arguments: dict[str, Any]

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        """Keep the arguments before the constructor sees them. A copy is made without any; it then gets those of its original."""
        made = super().__new__(cls)
        object.__setattr__(made, "_arguments", _plain_arguments(cls, args, kwargs))
        return made

    @property
    def arguments(self) -> Mapping[str, Any]:
        """The constructor's plain arguments by name, without backbone and family, as JSON can hold them: a tuple is a list.

        An argument that is no plain value, such as a function or a module, is left out.
        """
        return MappingProxyType(self._arguments)


def names_of_arguments(made: type) -> tuple[str, ...]:
    """Name all arguments of a class's constructor, without `self`, backbone and family."""
    return tuple(name for name in list(signature(made.__init__).parameters)[1:] if name not in GIVEN)  # type: ignore[misc]  # of any class


def _plain_arguments(made: type, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    form = signature(made.__init__)  # type: ignore[misc]  # of any class
    try:
        bound = form.bind_partial(None, *args, **kwargs)
    except TypeError:
        return {}  # the constructor itself refuses them, in its own words
    bound.apply_defaults()
    kept = {}
    for name in names_of_arguments(made):
        if name in bound.arguments and form.parameters[name].kind not in (Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD):
            try:
                kept[name] = _plain(bound.arguments[name])
            except TypeError:
                continue
    return kept


def _plain(value: Any) -> Any:
    """Copy a value of the types that JSON has.

    Raises:
        TypeError: It is no such value.
    """
    if value is None or isinstance(value, (bool, str)):
        return value
    if isinstance(value, Integral):
        return int(value)
    if isinstance(value, Real):
        return float(value)
    if isinstance(value, Mapping):
        return {_name(name): _plain(part) for name, part in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, bytes):
        return [_plain(part) for part in value]
    raise TypeError(f"{type(value).__name__} is no plain value")


def _name(name: object) -> str:
    if not isinstance(name, str):
        raise TypeError(f"{type(name).__name__} is no name")
    return name
