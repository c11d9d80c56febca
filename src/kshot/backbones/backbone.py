"""What every backbone of the table derives from. Learners take any `nn.Module`; a table needs networks that it can build again.

In: constructor arguments, plain values. Out: a network that knows them. Next: `kshot.backbones.table`.
"""

from collections.abc import Sequence

from torch import nn

from kshot.arguments import KeepsArguments
from kshot.errors import RecipeError


class Backbone(KeepsArguments, nn.Module):
    """A network that turns items (M, …) into features, and that can be built by name.

    `arguments` holds the plain values that its constructor was given, without a line of code in the constructor. A saved learner is built
    again from them.
    """

    def __init__(self) -> None:
        super().__init__()

    def last_parameters(self) -> list[nn.Parameter]:
        """Return the parameters of the last blocks, which learn where the rest is frozen; empty for a network that names none."""
        return []


def require_counts(least: int = 1, **counts: int | Sequence[int]) -> None:
    """Raise an error unless numbers, or all numbers of lists, are large enough.

    Args:
        least: The smallest number allowed.
        **counts: Values by the name of the argument.

    Raises:
        RecipeError: One is smaller; the message names the argument.
    """
    for name, value in counts.items():
        if any(count < least for count in ([value] if isinstance(value, int) else value)):
            raise RecipeError(f"{name} must be at least {least}; found {value!r}.")
