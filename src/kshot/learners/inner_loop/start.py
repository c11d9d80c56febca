"""Where a task's steps start, where that depends on the task: some of φ_0 is made of what the network makes of the support set.

    φ_0 = (θ, h),     h = start(the network's outputs for the support set at θ, labels)
    dL/dθ = ∂L/∂θ + (∂h/∂θ)ᵀ ∂L/∂h

A mode gives the two partial derivatives on the right and knows nothing of how h was made, so every mode goes through a start, and each as
exactly as it goes through its steps. What is made has a place among the parameters that adapt, whose own value does not count; the outputs
at θ are those with that value. So a head that is made may be empty there, and hand the features on.

In: a start, a network and its tasks. Out: an `Origin`, and the gradient with respect to θ. Next: `assignment`, `schedule`.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from kshot.errors import RecipeError
from kshot.learners.inner_loop.derivative import pulled_back, require_tape
from kshot.learners.inner_loop.network import Network, of_step
from kshot.learners.inner_loop.parameters import Tensors, copied
from kshot.learners.inner_loop.problem import Origin, TaskGradient, added
from kshot.learners.inner_loop.tasks import Tasks

Start = Callable[[Tensor, Tensor], Tensors]
"""Outputs (B, n, …) for the support sets and labels (B, n) → what is made, (B, …) by the name of the parameters that it stands for.

It is compared by value, so it is a function or a frozen dataclass.
"""


def origin_of(
    start: Start, network: Network, tasks: Tasks, given: Tensors, shared: Tensors, *, per_step: bool, seed: tuple[int, str] | None
) -> Origin:
    """What a start makes of tasks, as part of a graph.

    Args:
        start: The start.
        network: For one task, or for several together.
        tasks: Without a first dimension where the network is for one task.
        given: The parameters that adapt, (B, …).
        shared: Those that do not.
        per_step: Whether the tasks' buffers have a dimension that counts steps.
        seed: (seed, what it is for) of dropout; None where nothing is drawn.

    Raises:
        RecipeError: The start makes what does not adapt, or there is no tape here.
    """
    require_tape()
    alone = network.each is None
    buffers = of_step(tasks.buffers, 0, many=not alone) if per_step else tasks.buffers
    with torch.enable_grad():
        given, shared = ({name: value.requires_grad_() for name, value in copied(part).items()} for part in (given, shared))
        own = {name: value.squeeze(0) for name, value in given.items()} if alone else given
        outputs, _ = network({**shared, **own}, buffers, tasks.support_x, seed=None if seed is None else (*seed, 0))
        parts = (outputs.unsqueeze(0), tasks.support_y.unsqueeze(0)) if alone else (outputs, tasks.support_y)
        made = start(*parts)
    if unknown := sorted(made.keys() - given.keys()):
        raise RecipeError(
            f"a start makes {unknown[0]!r}, which is no parameter that adapts; they are {', '.join(given)}. Name one of them."
        )
    return Origin(given, shared, made)


def to_given(found: TaskGradient, origin: Origin | None) -> TaskGradient:
    """The gradient with respect to θ, of that with respect to φ_0; unchanged without an origin."""
    if origin is None:
        return found
    start, shared = pulled_back(origin.made, found.start, origin.given, origin.shared)
    kept = {name: start[name] if name in origin.made else found.start[name] + value for name, value in start.items()}
    return found._replace(start=kept, shared=added(found.shared, shared))
