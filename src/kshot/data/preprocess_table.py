"""Preprocessings by name, for recipes and saved learners: all those that kinds of data take."""

from collections.abc import Mapping
from typing import Any

from kshot.data.kind import build_preprocess, field_names
from kshot.data.preprocess import Preprocess
from kshot.data.table import KINDS
from kshot.errors import RecipeError, known_ones


def preprocesses() -> dict[str, type[Preprocess]]:
    """List the preprocessings by name, sorted."""
    found = {preprocess.name: preprocess for kind in KINDS.values() for preprocess in kind.preprocesses}
    return dict(sorted(found.items()))


def describe(preprocess: Preprocess) -> dict[str, Any]:
    """Describe a preprocessing in plain JSON values: its name and its arguments.

    Example:
        >>> from kshot.data.pictures.ink import Ink
        >>> describe(Ink(size=32))
        {'name': 'ink', 'arguments': {'size': 32, 'zoom': 0.0, 'levels': 'full'}}
    """
    return {"name": preprocess.name, "arguments": dict(preprocess.arguments())}


def preprocess_from(description: Mapping[str, Any]) -> Preprocess:
    """Build the preprocessing that `describe` described.

    Args:
        description: `name`, and `arguments` unless all have their defaults.

    Raises:
        RecipeError: The name or an argument is unknown, or an argument makes no sense.

    Example:
        >>> preprocess_from({"name": "ink", "arguments": {"size": 32}})
        Ink(size=32, zoom=0.0, levels='full')
    """
    if not isinstance(description, Mapping) or not set(description) <= {"name", "arguments"} or "name" not in description:
        raise RecipeError(f"a preprocessing is described by a name and arguments; found {description!r}.")
    name, arguments, table = description["name"], description.get("arguments", {}), preprocesses()
    if not isinstance(name, str) or name not in table:
        raise RecipeError(f"there is no preprocessing {name!r}.{known_ones(name, table)}")
    if not isinstance(arguments, Mapping):
        raise RecipeError(f"the arguments of preprocessing {name!r} are names with values; found {arguments!r}.")
    known = field_names(table[name])
    if unknown := [argument for argument in arguments if argument not in known]:
        raise RecipeError(f"preprocessing {name!r} has no argument {unknown[0]!r}.{known_ones(unknown[0], known)}")
    return build_preprocess(table[name], arguments)
