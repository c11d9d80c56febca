"""Build by name and plain arguments, with errors that list what is known: for backbones here, for learners later on the path."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from kshot.errors import RecipeError

Built = TypeVar("Built")


def construct(
    kind: str, name: str, table: Mapping[str, Callable[..., Built]], arguments: Mapping[str, Any], given: Mapping[str, Any]
) -> Built:
    """The thing of that name.

    Args:
        kind: What error messages call it, `backbone` or `learner`.
        name: Its name in the table.
        table: Name → constructor.
        arguments: A user's arguments, plain values.
        given: Arguments that are not the user's to give, such as a learner's backbone.

    Raises:
        RecipeError: The name or an argument is unknown, or a value makes no sense.
    """
    if name not in table:
        raise RecipeError(f"there is no {kind} {name!r}; the known ones are {', '.join(table)}.")
    known = [argument for argument in inspect.signature(table[name]).parameters if argument not in (*given, "backbone", "family")]
    if unknown := [argument for argument in arguments if argument not in known]:
        raise RecipeError(f"{kind} {name!r} has no argument {unknown[0]!r}; the known ones are {', '.join(known) or 'none'}.")
    try:
        return table[name](**given, **arguments)
    except (TypeError, ValueError) as error:
        raise RecipeError(f"{kind} {name!r} cannot be built with {dict(arguments)}: {error}.") from error
