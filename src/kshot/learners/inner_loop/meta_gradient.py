"""The meta-gradient of a module over a batch of tasks: the inner loop from end to end, in three steps: check, plan, run.

In: a stock module, which of its parameters adapt, a batch of tasks, an `InnerLoop`. Out: each task's loss, and the gradient of their mean
with respect to where the parameters start, the parameters that do not adapt, and what the update rule learns. The module stays as it is.
"""

import torch
from torch import nn

from kshot.episodes.episode import EpisodeBatch
from kshot.episodes.family import TaskFamily
from kshot.errors import TrainingError
from kshot.learners.inner_loop.assignment import Assignment
from kshot.learners.inner_loop.batch_checks import check_query_numbers, check_rectangle
from kshot.learners.inner_loop.derivative import differentiable_twice
from kshot.learners.inner_loop.divergence import require_descent
from kshot.learners.inner_loop.loop import InnerLoop
from kshot.learners.inner_loop.network import buffers_of
from kshot.learners.inner_loop.parameters import Parameters, Tensors
from kshot.learners.inner_loop.planning.plan import plan_for
from kshot.learners.inner_loop.problem import TaskGradient
from kshot.learners.inner_loop.schedule import solve
from kshot.learners.inner_loop.tasks import tasks_of


def meta_gradient(
    module: nn.Module,
    parameters: Parameters,
    family: TaskFamily,
    batch: EpisodeBatch,
    loop: InnerLoop,
    *,
    outputs: int | None = None,
    buffers: Tensors | None = None,
    seed: int = 0,
    free: int | None = None,
) -> TaskGradient:
    """Adapt to each task's support set, take the loss of its queries, and go backwards.

    Args:
        module: Items (n, …) → outputs (n, N). Its flags of training count for dropout; not for normalisation.
        parameters: Its parameters, from `divide_parameters`. What the update rule learns is in `loop.rule`.
        family: The loss.
        batch: B tasks.
        loop: How each is learned.
        outputs: Number of outputs of the module; the tasks must have as many classes or targets. None skips this check.
        buffers: By name, in place of the module's own; with a first dimension of steps + 1 where the loop is `per_step`.
        seed: What dropout draws from, together with the task's number in the stream and the step.
        free: Bytes of memory that may be used; None asks the device.

    Returns:
        Losses (B,), support losses along the way (B, steps), gradients of the mean loss, and buffers, averaged over tasks.

    Raises:
        DataError: The batch is no rectangle.
        RecipeError: The module cannot be differentiated so, or run so; the tasks do not have its outputs; or it draws random numbers, and
            tasks shall not run in turn.
        SetupError: It will not fit into memory.
        TrainingError: A task's inner loop diverged; it is named.
    """
    check_rectangle(batch, outputs)
    tasks = tasks_of(batch, buffers_of(module) if buffers is None else buffers)
    return solved(Assignment(module, parameters, family, tasks, loop, seed), batch, free)


def solved(assignment: Assignment, batch: EpisodeBatch, free: int | None = None) -> TaskGradient:
    """Plan an assignment, run it, and look at what came of it; `batch` is what its tasks were made of, for messages."""
    with differentiable_twice(), torch.autocast(batch.device.type, enabled=False):
        plan = plan_for(assignment, free)
        found = solve(plan.assignment, plan.schedule)
        check_query_numbers(batch, found)
        losses = torch.cat([found.path, found.loss.unsqueeze(1)], 1)  # the query loss stands for the support loss after the last step
        require_descent(losses, [f"episode {int(number)}" for number in batch.numbers], assignment.loop.rule, TrainingError)
    return found
