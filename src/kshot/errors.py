"""The errors that kshot raises on purpose.

    KshotError
    ├── DataError       data that cannot be used: files, classes, items, splits
    ├── EpisodeError    an episode shape that the data cannot give
    ├── RecipeError     a recipe, a setting or an option that makes no sense
    ├── SavedError      a saved learner or training state that cannot be read or written
    ├── TrainingError   training that cannot continue (a loss that is not a number)
    ├── ContractError   a learner that breaks the contract of `kshot.learners.learner`
    └── SetupError      something that this machine lacks: an extra, a device

A message says what was expected, what was found, which item by its own name, and what to do. The command line ends with exit code 2 on any
of them. Any other exception is a bug in kshot (exit code 1). A `DataError` and a `RecipeError` are `ValueError`s too, as other libraries
expect of bad values.
"""

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any

from kshot.printable import printable_lines


class KshotError(Exception):
    """Base class of all errors of kshot.

    Attributes:
        task: Place of the task in its batch, if the error belongs to one task.
        problem: The fields of a service's answer (RFC 9457), such as `status`, `title` and `detail`, if it refused a request.
    """

    task: int | None = None
    problem: Mapping[str, Any] | None = None

    def __str__(self) -> str:
        """Return the message. Names in it, which come from anywhere, are printable: a traceback shows it, too."""
        return printable_lines(super().__str__())


class DataError(KshotError, ValueError):
    """Data that cannot be used: files, classes, items or splits."""


class EpisodeError(KshotError):
    """An episode shape that the data cannot give."""


class RecipeError(KshotError, ValueError):
    """A recipe, a setting or an option that makes no sense."""


class SavedError(KshotError):
    """A saved learner or training state that cannot be read or written."""


class TrainingError(KshotError):
    """Training that cannot continue."""


class ContractError(KshotError):
    """A learner that breaks the contract of learners."""


class SetupError(KshotError):
    """Something this machine lacks: an optional dependency or a device."""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return a question for an error about an unknown name: ` Did you mean 'protonet'?`; empty if no known name is similar."""
    alike = get_close_matches(name, list(known), n=1)
    return f" Did you mean {alike[0]!r}?" if alike else ""


def known_ones(name: object, known: Iterable[str]) -> str:
    """Return the end of an error about an unknown name.

    Example:
        >>> known_ones("adm", ["sgd", "adam"]), known_ones("adm", [])
        (" Did you mean 'adam'? The known ones are sgd, adam.", ' It has none.')
    """
    names = list(known)
    return f"{did_you_mean(str(name), names)} The known ones are {', '.join(names)}." if names else " It has none."


def missing_extra(package: str, extra: str, purpose: str) -> SetupError:
    """Return the error for an optional dependency that is not installed.

    Args:
        package: The missing distribution, for example `matplotlib`.
        extra: The extra of kshot that installs it, for example `plots`.
        purpose: What it is needed for, as the subject of a sentence.

    Returns:
        An error to raise. Its message has the line that installs the extra.
    """
    return SetupError(f"{purpose} needs {package}, which is not installed. Install it with: pip install 'kshot[{extra}]'")
