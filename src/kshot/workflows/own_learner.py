"""A learner from a user's own module, named `module:name` on the command line.

In: such a name. Out: a `Saved` learner. Nothing is imported for any other name. The working directory is searched first, as Python searches
the folder of a script. Next: `kshot.workflows.named_learners`.
"""

import os
import re
import sys
from collections.abc import Callable
from importlib import import_module
from typing import Any

from kshot.errors import SavedError, did_you_mean
from kshot.learners.learner import Learner
from kshot.saved.folder import Saved

_NAME = re.compile(r"(?P<module>[^\W\d]\w*(\.[^\W\d]\w*)*):(?P<name>[^\W\d]\w*)")


def names_module(name: str) -> bool:
    """Whether a name has the form `module:name`, and nothing lies at a path of that name."""
    return _NAME.fullmatch(name) is not None and not os.path.lexists(name)


def open_own(name: str) -> Saved:
    """Import a module, and take a learner from it.

    Args:
        name: `module:name`. The name is that of a learner, of what `open_saved` returned, or of a function without arguments that
            returns one of these, such as the class of the learner. A learner alone has no preprocessing and no record: it reads the data
            as another learner of a comparison does, or as their kind is read, and the classes that it was trained on are not known.

    Raises:
        SavedError: The module cannot be imported, has no such name, or what the name stands for is no learner.
    """
    match = _NAME.fullmatch(name)
    assert match is not None  # `names_module` is asked first
    module, thing = _imported(match["module"]), match["name"]
    if not hasattr(module, thing):
        public = [known for known in vars(module) if not known.startswith("_")]
        raise SavedError(f"the module {match['module']} has no {thing!r}.{did_you_mean(thing, public)} Name a learner of it: module:name.")
    found = getattr(module, thing)
    if callable(found) and not isinstance(found, Learner):
        found = _called(found, name)
    if isinstance(found, Learner):
        return Saved(found.eval(), None)
    if isinstance(found, Saved):
        return found
    raise SavedError(
        f"{name} must be a learner, what kshot.open_saved returns, or a function without arguments that returns one of these; found "
        f"{type(found).__name__}."
    )


def _imported(name: str) -> Any:
    if (here := os.getcwd()) not in sys.path:
        sys.path.insert(0, here)
    try:
        return import_module(name)
    except (Exception, SystemExit) as error:  # whatever a user's module raises
        missing = isinstance(error, ModuleNotFoundError) and error.name is not None and f"{name}.".startswith(f"{error.name}.")
        hint = f"Put {name.partition('.')[0]}.py into {here}, or install it." if missing else "Correct the module."
        raise SavedError(f"cannot import the module {name}: {type(error).__name__}: {error}. {hint}") from error


def _called(make: Callable[[], Any], name: str) -> Any:
    try:
        return make()
    except (Exception, SystemExit) as error:  # whatever a user's function raises
        raise SavedError(f"{name}() failed: {type(error).__name__}: {error}. It must need no argument and return a learner.") from error
