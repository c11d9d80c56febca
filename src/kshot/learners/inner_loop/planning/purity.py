"""One run of the support loss before the first step, which detects what a module may not do in an inner loop.

Next: `plan`, which remembers what was found.
"""

import torch
from torch import Tensor

from kshot.errors import RecipeError
from kshot.learners.inner_loop.network import PURE, Network
from kshot.learners.inner_loop.problem import Problem


def run_once(network: Network, problem: Problem) -> None:
    """The support loss with copies of the parameters, so that no forward pass reaches the user's before it is known to be harmless.

    Raises:
        RecipeError: The forward pass changes a parameter, or a tensor that the module keeps without having registered it.
    """
    given = {**problem.shared, **problem.start}
    copies = {name: value.clone() for name, value in given.items()}
    kept = _plain_tensors(network)
    problem.support(copies, 0)
    for name, value in given.items():
        if not torch.equal(copies[name], value):  # by `.data`, which no count of changes sees
            raise RecipeError(f"the forward pass changes the parameter {name!r}. {PURE}")
    for name, (value, version) in _plain_tensors(network).items():
        before = kept.get(name)
        if before is not None and (before[0] is not value or before[1] != version):
            raise RecipeError(
                f"the forward pass changes {name!r}, a tensor that the module keeps without having registered it, and that an inner loop "
                "cannot put back. Compute it from the inputs."
            )


def _plain_tensors(network: Network) -> dict[str, tuple[Tensor, int]]:
    """Tensors among the attributes of modules, by path, with the count of their changes."""
    return {
        f"{path}.{name}".lstrip("."): (value, value._version)
        for path, module in network.module.named_modules()
        for name, value in vars(module).items()
        if isinstance(value, Tensor) and not value.is_inference()
    }
