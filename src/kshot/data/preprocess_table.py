"""Preprocessings by name, for recipes and saved learners."""

from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any

from kshot.data.as_is import AsIs
from kshot.data.pictures.ink import Ink
from kshot.data.pictures.picture import Picture
from kshot.data.preprocess import Preprocess
from kshot.errors import RecipeError

PREPROCESSES: dict[str, type[AsIs] | type[Ink] | type[Picture]] = {"as_is": AsIs, "ink": Ink, "picture": Picture}


def describe(preprocess: Preprocess) -> dict[str, Any]:
    """A preprocessing as plain JSON values: its name and its arguments.

    Example:
        >>> describe(Ink(size=32))
        {'name': 'ink', 'arguments': {'size': 32, 'zoom': 0.0}}
    """
    return {"name": preprocess.name, "arguments": dict(preprocess.arguments())}


def preprocess_from(description: Mapping[str, Any]) -> Preprocess:
    """The preprocessing that `describe` described.

    Args:
        description: `name`, and `arguments` where they are not all left out.

    Raises:
        RecipeError: The name or an argument is unknown, or an argument makes no sense.

    Example:
        >>> preprocess_from({"name": "ink", "arguments": {"size": 32}})
        Ink(size=32, zoom=0.0)
    """
    if not isinstance(description, Mapping) or not set(description) <= {"name", "arguments"} or "name" not in description:
        raise RecipeError(f"a preprocessing is described by a name and arguments; found {description!r}.")
    name, arguments = description["name"], description.get("arguments", {})
    if not isinstance(name, str) or name not in PREPROCESSES:
        raise RecipeError(f"there is no preprocessing {name!r}; known are {', '.join(PREPROCESSES)}.")
    if not isinstance(arguments, Mapping):
        raise RecipeError(f"the arguments of preprocessing {name!r} are names with values; found {arguments!r}.")
    known = [field.name for field in fields(PREPROCESSES[name])]
    if unknown := [argument for argument in arguments if argument not in known]:
        raise RecipeError(f"preprocessing {name!r} has no argument {unknown[0]!r}; known are {', '.join(known) or 'none'}.")
    build: Callable[..., Preprocess] = PREPROCESSES[name]
    return build(**arguments)
