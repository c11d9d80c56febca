"""What the inner loop is asked to do, as one frozen value: a module, which of its parameters adapt, and B tasks to learn.

It makes the two things that a solution needs, networks and problems. In: what `meta_gradient` is given. Next: `planning.plan`, which
decides how it is run, and `schedule`, which runs it.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

from torch import Tensor, nn

from kshot.episodes.family import TaskFamily
from kshot.learners.inner_loop.loop import InnerLoop
from kshot.learners.inner_loop.network import Network
from kshot.learners.inner_loop.parameters import Parameters, Tensors, for_each
from kshot.learners.inner_loop.problem import Loss, Problem, detached
from kshot.learners.inner_loop.start import origin_of
from kshot.learners.inner_loop.task_loss import task_loss
from kshot.learners.inner_loop.tasks import Tasks


@dataclass(frozen=True, eq=False)
class Assignment:
    """B tasks for a module to learn.

    Attributes:
        module: Items (n, …) → outputs (n, N).
        parameters: Its parameters, from `divide_parameters`.
        family: The loss.
        tasks: The tasks.
        loop: How each is learned.
        seed: What the module draws from, together with a task's number and the step; None where it draws nothing.
        state: Where the update rule's state starts, by name, without a dimension of tasks; None: where the rule puts it.
        steps_before: Steps that the rule had taken before.
    """

    module: nn.Module
    parameters: Parameters
    family: TaskFamily
    tasks: Tasks
    loop: InnerLoop
    seed: int | None = None
    state: Tensors | None = None
    steps_before: int | Tensor = 0

    def network(self, *, together: bool = False) -> Network:
        """A new network, not shared with any other thread, for one task or for several together."""
        return Network(self.module, self.loop.statistics, each=frozenset(self.parameters.adapting) if together else None)

    def first(self) -> "Assignment":
        """The first task alone."""
        return self.some(slice(1))

    def some(self, chosen: slice) -> "Assignment":
        """The same for some of the tasks."""
        return replace(self, tasks=self.tasks.some(chosen))

    def with_copies(self, copy: Callable[[Tensors], Tensors]) -> "Assignment":
        """The same with copies of the parameters, so that nothing that a forward pass does to them reaches the module."""
        return replace(self, parameters=Parameters(*(copy(part) for part in self.parameters)))

    def problem(self, network: Network) -> Problem:
        """The tasks' losses and where their steps start; a network for one task solves one task.

        The queries drop units of their own.
        """
        own = self.parameters.adapting
        loop, alone = self.loop, network.each is None
        tasks = self.tasks.some(0) if alone else self.tasks
        purpose = None if self.seed is None else (self.seed, f"inner_loop/{int(tasks.number)}")
        of_query = None if purpose is None else (purpose[0], f"{purpose[1]}/query")
        support = task_loss(
            network, self.family, (tasks.support_x, tasks.support_y), tasks.buffers, per_step=loop.per_step, seed=purpose, rows=tasks.rows
        )
        queries = tasks.query_x, tasks.query_y
        query = task_loss(network, self.family, queries, tasks.buffers, per_step=loop.per_step, seed=of_query, once=True)
        if alone:
            support, query = (batch_of_one(loss, own) for loss in (support, query))
        start, state = (None if part is None else for_each(detached(part), len(self.tasks.number)) for part in (own, self.state))
        assert start is not None
        rule = loop.rule.with_learnt(detached(loop.rule.learnt))
        shared, origin = detached(self.parameters.shared), None
        if loop.start is not None:
            of_start = None if purpose is None else (purpose[0], f"{purpose[1]}/start")
            origin = origin_of(loop.start, network, tasks, start, shared, per_step=loop.per_step, seed=of_start)
            start = {**start, **detached(origin.made)}
        return Problem(start, shared, rule, loop.steps, support, query, loop.per_step, state, self.steps_before, origin)


def batch_of_one(loss: Loss, each: Tensors) -> Loss:
    """The loss of one task, without dimensions of tasks, as that of a batch of one.

    Args:
        loss: Takes and gives tensors without a dimension of tasks.
        each: Parameters that a task has of its own, by name.
    """

    def batched(parameters: Tensors, step: int) -> tuple[Tensor, Tensors]:
        own = {name: value.squeeze(0) if name in each else value for name, value in parameters.items()}
        found, buffers = loss(own, step)
        return found.unsqueeze(0), {name: value.unsqueeze(0) for name, value in buffers.items()}

    return batched
