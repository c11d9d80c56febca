"""Everything kshot raises on purpose.

    KshotError
    ├── DataError       files, classes, items, splits: what was given to learn from
    ├── EpisodeError    an episode shape that the data cannot give
    ├── RecipeError     a recipe, a setting or an option that makes no sense
    ├── SavedError      a saved learner or training state that cannot be read or written
    ├── TrainingError   training that cannot go on (a loss that is not a number)
    ├── ContractError   a learner that breaks the contract of `kshot.learners.learner`
    └── SetupError      this machine lacks something: an extra, a device

A message says what was expected, what was found, which item by its own name, and what to do.
The command line ends with exit code 2 on any of them; any other exception is a fault of ours (exit code 1).
"""

from collections.abc import Iterable
from difflib import get_close_matches


class KshotError(Exception):
    """What all errors of kshot have in common.

    Attributes:
        task: The place of the task in its batch, where the error is of one task.
    """

    task: int | None = None


class DataError(KshotError):
    """Data that cannot be used: files, classes, items or splits."""


class EpisodeError(KshotError):
    """An episode shape that the data cannot give."""


class RecipeError(KshotError):
    """A recipe, a setting or an option that makes no sense."""


class SavedError(KshotError):
    """A saved learner or training state that cannot be read or written."""


class TrainingError(KshotError):
    """Training that cannot go on."""


class ContractError(KshotError):
    """A learner that breaks the contract of a learner."""


class SetupError(KshotError):
    """Something this machine lacks: an optional dependency or a device."""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A question to put into an error about an unknown name: ` Did you mean 'protonet'?`, or nothing where no known name is like it."""
    alike = get_close_matches(name, list(known), n=1)
    return f" Did you mean {alike[0]!r}?" if alike else ""


def missing_extra(package: str, extra: str, purpose: str) -> SetupError:
    """The error for an optional dependency that is not installed.

    Args:
        package: The distribution that is missing, such as `matplotlib`.
        extra: The extra of kshot that brings it, such as `plots`.
        purpose: What it was needed for, as the subject of a sentence.

    Returns:
        An error to raise; its message holds the line that installs the extra.
    """
    return SetupError(f"{purpose} needs {package}, which is not installed. Install it with: pip install 'kshot[{extra}]'")
