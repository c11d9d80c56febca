"""Building things by name from a table and plain arguments, with errors that list the known names."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from kshot.errors import RecipeError, known_ones
from kshot.size_limit import size_limit
from kshot.value_types import out_of_range

Built = TypeVar("Built")


def construct(
    kind: str, name: str, table: Mapping[str, Callable[..., Built]], arguments: Mapping[str, Any], given: Mapping[str, Any]
) -> Built:
    """Build the thing of that name.

    Args:
        kind: Its kind in error messages, for example `backbone` or `learner`.
        name: Its name in the table.
        table: Name → constructor.
        arguments: The user's arguments, plain values.
        given: Arguments that the user cannot set, for example the backbone of a learner.

    Raises:
        RecipeError: The name or an argument is unknown, or a value is invalid.
    """
    if name not in table:
        raise RecipeError(f"there is no {kind} {name!r}.{known_ones(name, table)}")
    known = [argument for argument in inspect.signature(table[name]).parameters if argument not in (*given, "backbone", "family")]
    if unknown := [argument for argument in arguments if argument not in known]:
        raise RecipeError(f"{kind} {name!r} has no argument {unknown[0]!r}.{known_ones(unknown[0], known)}")
    if fault := out_of_range(arguments):
        raise RecipeError(f"{kind} {name!r}: {fault}.")
    try:
        with size_limit(f"{kind} {name!r}"):
            return table[name](**given, **arguments)
    except (TypeError, ValueError) as error:
        raise RecipeError(f"{kind} {name!r} cannot be built with {dict(arguments)}: {error}.") from error
    except (RuntimeError, OverflowError) as error:  # PyTorch's: a size that makes no sense
        first = str(error).partition("\n")[0]
        raise RecipeError(f"{kind} {name!r} cannot be built with {dict(arguments)}: {first}.") from error
