"""The meta-gradient of a module over a batch of tasks: the inner loop from end to end.

In: a stock module, which of its parameters adapt, a batch of tasks, an `InnerLoop`. Out: each task's loss, and the gradient of their mean
with respect to where the parameters start, the parameters that do not adapt, and learnt rates. The module stays as it is.
"""

import copy
import warnings
from collections.abc import Callable, Hashable
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from kshot.data.inputs import Inputs, map_inputs
from kshot.episodes.episode import EpisodeBatch
from kshot.episodes.family import TaskFamily
from kshot.errors import DataError, KshotError, RecipeError, TrainingError
from kshot.learners.inner_loop.batch_checks import check_query_numbers, check_rectangle
from kshot.learners.inner_loop.derivative import differentiable_twice
from kshot.learners.inner_loop.modes.outer_gradient import OuterGradient
from kshot.learners.inner_loop.modes.unrolled import unrolled
from kshot.learners.inner_loop.network import Network, Statistics, buffers_of, convolves
from kshot.learners.inner_loop.parameters import Parameters, Tensors, for_each
from kshot.learners.inner_loop.planning.footprint import Footprint
from kshot.learners.inner_loop.planning.memory_layout import channels_innermost
from kshot.learners.inner_loop.planning.module_key import form_of, settings_of
from kshot.learners.inner_loop.planning.plan import (
    choose,
    fault_together,
    footprint_of,
    random_in,
    readable_in,
    require_room_for,
    same_gradient,
)
from kshot.learners.inner_loop.planning.purity import run_once
from kshot.learners.inner_loop.problem import Problem, TaskGradient, detached
from kshot.learners.inner_loop.schedule import SCHEDULES, Schedule, Tasks, over_tasks
from kshot.learners.inner_loop.steps import Rates, require_descent
from kshot.learners.inner_loop.task_loss import task_loss
from kshot.learners.settings import require_count

_FEW_STEPS = 3
"""Of the trial of tasks together: an operation that is differentiated wrongly there is so after one."""


@dataclass(frozen=True)
class InnerLoop:
    """How a task is learned.

    Attributes:
        steps: Inner steps, ≥ 0.
        rates: The inner rate, clipping, and learnt rates.
        mode: `unrolled`, `flat`, `first_order`, or `implicit(λ, iterations, damping)`.
        statistics: What normalisation uses: see `network`.
        per_step: Whether buffers have a first dimension that counts steps.
        tasks: `auto`, or how tasks are run: see `tasks`.
    """

    steps: int
    rates: Rates = Rates()  # noqa: RUF009  # frozen
    mode: OuterGradient = unrolled
    statistics: Statistics = "batch"
    per_step: bool = False
    tasks: Schedule | Literal["auto"] = "auto"

    def __post_init__(self) -> None:
        require_count("inner steps", self.steps, 0)
        if not callable(self.mode):
            raise RecipeError(
                f"the mode of an inner loop is a function, such as `unrolled` or `implicit(λ, iterations)`; found {self.mode!r}."
            )
        if self.tasks not in ("auto", *SCHEDULES):
            raise RecipeError(f"tasks must be one of auto, {', '.join(SCHEDULES)}; found {self.tasks!r}.")
        if self.statistics not in ("batch", "running"):
            raise RecipeError(f"the inner loop normalises by 'batch' or by 'running' statistics; found {self.statistics!r}.")


def meta_gradient(
    module: nn.Module,
    parameters: Parameters,
    family: TaskFamily,
    batch: EpisodeBatch,
    loop: InnerLoop,
    *,
    buffers: Tensors | None = None,
    seed: int = 0,
    free: int | None = None,
) -> TaskGradient:
    """Adapt to each task's support set, take the loss of its queries, and go backwards.

    Args:
        module: Items (n, …) → outputs (n, N). Its flags of training count for dropout; not for normalisation.
        parameters: Of `divide_parameters`. Learnt rates are in `loop.rates`.
        family: The loss.
        batch: B tasks.
        loop: How.
        buffers: By name, in place of the module's own; with a first dimension of steps + 1 where the loop is `per_step`.
        seed: What dropout draws from, together with the task's number in the stream and the step.
        free: Bytes of memory that may be used; None asks the device.

    Returns:
        Losses (B,), support losses along the way (B, steps), gradients of the mean loss, and buffers, averaged over tasks.

    Raises:
        DataError: The batch is no rectangle.
        RecipeError: The module cannot be differentiated so, or run so; or it draws random numbers, and tasks shall not run in turn.
        SetupError: It will not fit into memory.
        TrainingError: A task's inner loop diverged; it is named.
    """
    check_rectangle(batch)
    buffers = buffers_of(module) if buffers is None else buffers
    tasks = _tasks_of(batch, buffers)
    with differentiable_twice(), torch.autocast(batch.device.type, enabled=False):
        foreseen = _foresee(module, parameters, family, batch, loop, buffers, tasks, seed, free)
        if foreseen.random and loop.tasks not in ("auto", "in_turn"):
            raise RecipeError(
                f"the module draws random numbers, which are drawn task by task; tasks={loop.tasks!r} would draw them in another order. "
                "Use tasks='in_turn'."
            )
        require_room_for(foreseen.footprint, loop.mode, loop.steps, foreseen.way, tasks, free)
        tasks = _in_quick_layout(module, parameters, family, loop, tasks, foreseen.asked)
        result = _run(module, parameters, family, tasks, loop, foreseen.way, seed if foreseen.random else None)
        check_query_numbers(batch, result)
        losses = torch.cat([result.path, result.loss.unsqueeze(1)], 1)  # the query loss stands for the support loss after the last step
        require_descent(losses, [f"episode {int(n)}" for n in batch.numbers], loop.rates, TrainingError)
        if foreseen.way == "together" and (fault := fault_together(foreseen.asked, foreseen.fault)):
            raise RecipeError(
                f"torch.vmap cannot be trusted to run this module on many tasks: {fault}. Use tasks='in_turn' or tasks='threads'."
            )
    return result


def best_way(module: nn.Module, parameters: Parameters, family: TaskFamily, batch: EpisodeBatch, loop: InnerLoop) -> Schedule:
    """How the tasks of a batch are run soonest, for learners with steps of their own; arguments as in `meta_gradient`.

    In turn where the module draws random numbers.
    """
    buffers = buffers_of(module)
    with differentiable_twice(), torch.autocast(batch.device.type, enabled=False):
        return _foresee(module, parameters, family, batch, loop, buffers, _tasks_of(batch, buffers), 0, None).way


class _Foreseen(NamedTuple):
    """What is known before the first step; `asked` names the question, `fault` answers another one."""

    way: Schedule
    footprint: Footprint
    random: bool
    asked: Hashable
    fault: Callable[[], str | None]


def _foresee(
    module: nn.Module,
    parameters: Parameters,
    family: TaskFamily,
    batch: EpisodeBatch,
    loop: InnerLoop,
    buffers: Tensors,
    tasks: Tasks,
    seed: int,
    free: int | None,
) -> _Foreseen:
    form = form_of(module, parameters, tasks), type(family), settings_of(family)
    asked = (form, loop.mode.twice, loop.steps, loop.statistics, loop.per_step)

    def first(seed: tuple[int, str] | None) -> Problem:
        return _problem(Network(module, loop.statistics), family, loop, parameters, tasks.some(0), seed)

    def once() -> None:
        network = Network(module, loop.statistics)
        run_once(network, _problem(network, family, loop, parameters, tasks.some(0), None))

    random = random_in(asked, once)
    purpose = (seed, "inner_loop/footprint") if random else None
    footprint = footprint_of(asked, lambda: first(purpose), again=loop.mode.twice)
    require_room_for(footprint, loop.mode, loop.steps, "in_turn", tasks, free)  # before any trial of tasks together
    few = loop if loop.per_step else replace(loop, steps=min(loop.steps, _FEW_STEPS))

    def fault() -> str | None:
        return _fault_together(module, parameters, family, batch, few, buffers)

    way = loop.tasks if loop.tasks != "auto" else choose(asked, footprint, fault, tasks, random=random, convolves=convolves(module))
    return _Foreseen(way, footprint, random, asked, fault)


def _in_quick_layout(
    module: nn.Module, parameters: Parameters, family: TaskFamily, loop: InnerLoop, tasks: Tasks, asked: Hashable
) -> Tasks:
    """The tasks with channels innermost where the module convolves on a CPU and makes the same of them."""
    if tasks.support_y.device.type != "cpu" or not convolves(module):
        return tasks
    quick = channels_innermost(tasks)
    purpose = 0, "inner_loop/layout"  # the same numbers twice, where any are drawn

    def readable() -> bool:
        try:
            with torch.no_grad():
                losses = [
                    _problem(Network(module, loop.statistics), family, loop, parameters, some.some(0), purpose).support(
                        {**parameters.shared, **parameters.adapting}, 0
                    )[0]
                    for some in (tasks, quick)
                ]
        except (KshotError, RuntimeError, ValueError, TypeError):
            return False  # whatever is wrong with the items as they are will be said when they are used
        return bool(torch.isclose(losses[0], losses[1], rtol=1e-3, equal_nan=True))

    return quick if readable_in(asked, readable) else tasks


def _tasks_of(batch: EpisodeBatch, buffers: Tensors) -> Tasks:
    B, number = len(batch), torch.from_numpy(batch.numbers).to(batch.device)
    each = {name: value.expand(B, *value.shape) for name, value in buffers.items()}
    return Tasks(_plain(batch.support_x), batch.support_y, _plain(batch.query_x), batch.query_y, each, number)


def _run(
    module: nn.Module, parameters: Parameters, family: TaskFamily, tasks: Tasks, loop: InnerLoop, way: Schedule, seed: int | None
) -> TaskGradient:
    """All tasks, one way; dropout draws from the seed, if there is any."""

    def solve(network: Network, task: Tasks) -> TaskGradient:
        return loop.mode(_problem(network, family, loop, parameters, task, None if seed is None else _purpose(seed, task)))

    def network(*, many: bool = False) -> Network:
        return Network(module, loop.statistics, each=frozenset(parameters.adapting) if many else None)

    return over_tasks(solve, network, tasks, way)


def _problem(
    network: Network, family: TaskFamily, loop: InnerLoop, parameters: Parameters, task: Tasks, seed: tuple[int, str] | None
) -> Problem:
    """One task's losses; the queries drop units of their own."""
    of_query = None if seed is None else (seed[0], f"{seed[1]}/query")
    support = task_loss(network, family, (task.support_x, task.support_y), task.buffers, per_step=loop.per_step, seed=seed)
    queries = task.query_x, task.query_y
    query = task_loss(network, family, queries, task.buffers, per_step=loop.per_step, seed=of_query, once=True)
    adapting, shared = detached(parameters.adapting), detached(parameters.shared)
    if many := network.each is not None:
        adapting = for_each(adapting, len(task.number))
    rates = replace(loop.rates, learnt=detached(loop.rates.learnt))
    return Problem(adapting, shared, rates, loop.steps, support, query, loop.per_step, many)


def _fault_together(
    module: nn.Module, parameters: Parameters, family: TaskFamily, batch: EpisodeBatch, loop: InnerLoop, buffers: Tensors
) -> str | None:
    """Why the first two tasks do not give the same together as one after another, in float64; see `fault_together`."""
    precise = copy.deepcopy(module).double()
    own = Parameters(*({name: value.detach().double() for name, value in part.items()} for part in parameters))
    support_x, query_x = (map_inputs(lambda value: _precise(value[:2]), x) for x in (batch.support_x, batch.query_x))
    support_y, query_y = _precise(batch.support_y[:2]), _precise(batch.query_y[:2])
    two = EpisodeBatch(support_x, support_y, query_x, query_y, batch.way, batch.numbers[:2])
    rates = replace(loop.rates, learnt={name: value.detach().double() for name, value in loop.rates.learnt.items()})
    kept = {name: _precise(value) for name, value in buffers.items()}
    tasks, precise_loop = _tasks_of(two, kept), replace(loop, rates=rates)
    ways: tuple[Schedule, Schedule] = ("together", "in_turn")
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)  # of operations that vmap would run task by task, slowly
        try:
            found = [_run(precise, own, family, tasks, precise_loop, way, None) for way in ways]
        except DataError as error:
            try:
                _run(module, parameters, family, _tasks_of(batch, buffers).some(slice(2)), loop, "in_turn", None)
            except DataError:
                return None  # the tasks are at fault, not the module
            except (KshotError, RuntimeError, ValueError, TypeError, UserWarning):
                pass  # whatever else it is, it is not the tasks
            return _incomparable(error)
        except (KshotError, RuntimeError, ValueError, TypeError, UserWarning) as error:
            return _incomparable(error)
    same = same_gradient(*found)
    return None if same is None else "" if same else "an operation of it is differentiated wrongly there"


def _incomparable(error: Exception) -> str:
    return f"its gradient cannot be compared in float64 with that of tasks in turn ({str(error).partition(chr(10))[0]})"


def _precise(value: Tensor) -> Tensor:
    return value.double() if value.is_floating_point() else value


def _purpose(seed: int, task: Tasks) -> tuple[int, str]:
    return seed, f"inner_loop/{int(task.number)}"


def _plain(inputs: Inputs) -> Inputs:
    """Of a mapping, a dictionary: what `torch.vmap` takes apart."""
    return inputs if isinstance(inputs, Tensor) else dict(inputs)
