"""Building things by name from a table and plain arguments, with errors that list the known names and say what a value must be."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any, TypeVar, get_type_hints

from kshot.arguments import GIVEN
from kshot.errors import ContractError, KshotError, RecipeError, known_ones
from kshot.value_types import fits, in_words, out_of_range, shortened

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
        RecipeError: The name or an argument is unknown, or a value is not of the type that the constructor names, or invalid.
        ContractError: The constructor does not take what it is given.
    """
    if name not in table:
        raise RecipeError(f"there is no {kind} {name!r}.{known_ones(name, table)}")
    made = table[name]
    taken = list(inspect.signature(made).parameters)
    if missing := [argument for argument in given if argument not in taken]:
        raise ContractError(
            f"{kind} {name!r} stands in the table, but its constructor takes no {' and no '.join(missing)}; found the parameters "
            f"{', '.join(taken) or 'none'}. Give {made.__name__}.__init__ the parameter{'s' if len(missing) > 1 else ''} "
            f"{' and '.join(missing)}, as the other entries of the table have."
        )
    known = [argument for argument in taken if argument not in (*given, *GIVEN)]
    if unknown := [argument for argument in arguments if argument not in known]:
        raise RecipeError(f"{kind} {name!r} has no argument {unknown[0]!r}.{known_ones(unknown[0], known)}")
    check_values(f"{kind} {name!r}: ", made, arguments)
    if fault := out_of_range(arguments):
        raise RecipeError(f"{kind} {name!r}: {fault}.")
    from kshot.size_limit import size_limit  # loads PyTorch, which whatever is built here needs

    try:
        with size_limit(f"{kind} {name!r}"):
            return made(**given, **arguments)
    except RecipeError as error:
        raise RecipeError(f"{kind} {name!r}: {error}") from error
    except KshotError:
        raise
    except (TypeError, ValueError, RuntimeError, OverflowError) as error:  # RuntimeError: what torch raises for a size that makes no sense
        raise RecipeError(f"{kind} {name!r} cannot be built with {dict(arguments)}: {error}.") from error


def check_values(where: str, made: Callable[..., object], values: Mapping[str, Any]) -> None:
    """Raise an error unless plain values are of the types that a class or a function names in its annotations.

    Args:
        where: How a message begins, for example `backbone 'conv4': ` or `data.`.
        made: A class, whose constructor is meant, or a function.
        values: Values by the name of the parameter. What has no annotation is not checked.

    Raises:
        RecipeError: A value is of another type.

    Example:
        >>> def open_rows(name: str, *, columns: int = 4) -> None: ...
        >>> check_values("data.", open_rows, {"columns": 3})
    """
    hints = _hints_of(made)
    for name, value in values.items():
        if name in hints and not fits(hints[name], value):
            raise RecipeError(f"{where}{name} must be {in_words(hints[name])}; found {shortened(value)}.")


def _hints_of(made: Callable[..., object]) -> Mapping[str, Any]:
    try:
        return get_type_hints(made.__init__ if isinstance(made, type) else made)  # type: ignore[misc]  # of any class
    except NameError:  # an annotation names what is imported for type checkers alone
        return {}
