"""The heads by name. In: a name, as `--with` takes it. Out: a head. Next: `kshot.tasks.heads.choose`."""

from kshot.errors import RecipeError, known_ones
from kshot.tasks.heads.blend import Blend
from kshot.tasks.heads.class_means import ClassMeans
from kshot.tasks.heads.discriminant import Discriminant
from kshot.tasks.heads.head import Head
from kshot.tasks.heads.in_context import InContext
from kshot.tasks.heads.kernel_ridge import KernelRidge
from kshot.tasks.heads.logistic import Logistic
from kshot.tasks.heads.nearest import Nearest
from kshot.tasks.heads.ridge import Ridge
from kshot.tasks.heads.shrunken_means import ShrunkenMeans

HEADS: dict[str, type[Head]] = {
    "blend": Blend,
    "class_means": ClassMeans,
    "discriminant": Discriminant,
    "in_context": InContext,
    "kernel_ridge": KernelRidge,
    "logistic": Logistic,
    "nearest": Nearest,
    "ridge": Ridge,
    "shrunken_means": ShrunkenMeans,
}


def head_named(name: str) -> Head:
    """Return the head of a name.

    Raises:
        RecipeError: There is no such head.
    """
    if name not in HEADS:
        raise RecipeError(f"there is no head {name!r}.{known_ones(name, HEADS)}")
    return HEADS[name]()
