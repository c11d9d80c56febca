"""The meta-gradient of a module over a batch of tasks: the inner loop from end to end.

In: a stock module, which of its parameters adapt, a batch of tasks, an `InnerLoop`. Out: each task's loss, and the gradient of their mean
with respect to where the parameters start, the parameters that do not adapt, and learnt rates. The module stays as it is.
"""

import threading
from collections.abc import Hashable
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor, nn

from kshot.data.inputs import Inputs
from kshot.episodes.episode import EpisodeBatch
from kshot.episodes.family import TaskFamily
from kshot.errors import DataError, RecipeError, TrainingError
from kshot.learners.inner_loop.derivative import Gradient, by_tape, differentiable_twice
from kshot.learners.inner_loop.first_order import first_order
from kshot.learners.inner_loop.memory import Footprint, bytes_kept, require_room
from kshot.learners.inner_loop.network import Network, Statistics, buffers_of, draws
from kshot.learners.inner_loop.parameters import Parameters, Tensors
from kshot.learners.inner_loop.problem import Mode, Problem, TaskGradient, detached, support_slope
from kshot.learners.inner_loop.steps import Rates, require_descent
from kshot.learners.inner_loop.task_loss import task_loss
from kshot.learners.inner_loop.tasks import SMALL_STEP, WAYS, Tasks, Way, over_tasks
from kshot.learners.inner_loop.unrolled import unrolled


@dataclass(frozen=True)
class InnerLoop:
    """How a task is learned.

    Attributes:
        steps: Inner steps, ≥ 0.
        rates: The inner rate, clipping, and learnt rates.
        mode: `unrolled`, `flat`, `first_order`, or `implicit(λ, iterations)`.
        statistics: What normalisation uses: see `network`.
        per_step: Whether buffers have a first dimension that counts steps.
        tasks: `auto`, or how tasks are run: see `tasks`.
    """

    steps: int
    rates: Rates = Rates()  # noqa: RUF009  # frozen
    mode: Mode = unrolled
    statistics: Statistics = "batch"
    per_step: bool = False
    tasks: Way | Literal["auto"] = "auto"

    def __post_init__(self) -> None:
        if self.steps < 0:
            raise RecipeError(f"inner steps must be 0 or more; found {self.steps}.")
        if self.tasks not in ("auto", *WAYS):
            raise RecipeError(f"tasks must be one of auto, {', '.join(WAYS)}; found {self.tasks!r}.")
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
        RecipeError: The module cannot be differentiated so, or run so.
        SetupError: It will not fit into memory.
        TrainingError: A task's inner loop diverged; it is named.
    """
    check_rectangle(batch)
    buffers = buffers_of(module) if buffers is None else buffers
    B = len(batch)
    number = torch.from_numpy(batch.numbers).to(batch.device)
    each = {name: value.expand(B, *value.shape) for name, value in buffers.items()}
    tasks = Tasks(_plain(batch.support_x), batch.support_y, _plain(batch.query_x), batch.query_y, each, number)
    random = draws(module)

    def solve(network: Network, gradient: Gradient, task: Tasks) -> TaskGradient:
        return loop.mode(_problem(network, family, loop, parameters, task, _purpose(seed, task) if random else None), gradient)

    def network() -> Network:
        return Network(module, loop.statistics)

    with differentiable_twice(), torch.autocast(batch.device.type, enabled=False):
        footprint = _footprint(module, family, loop, parameters, tasks.some(0))
        way = loop.tasks if loop.tasks != "auto" else _choose(footprint, random, tasks)
        _require_room(footprint, loop, way, tasks, free)
        result = over_tasks(solve, network, tasks, way)
    losses = torch.cat([result.path, result.loss.unsqueeze(1)], 1)  # the query loss stands for the support loss after the last step
    require_descent(losses, [f"episode {int(n)}" for n in batch.numbers], loop.rates, TrainingError)
    return result


def check_rectangle(batch: EpisodeBatch) -> None:
    """Refuse a batch whose tasks are not all of one size.

    Raises:
        DataError: It names the part.
    """
    B = len(batch)
    for name, x, y in (("support", batch.support_x, batch.support_y), ("query", batch.query_x, batch.query_y)):
        for key, value in {"x": x}.items() if isinstance(x, Tensor) else x.items():
            if not isinstance(value, Tensor) or value.is_nested or tuple(value.shape[:2]) != tuple(y.shape[:2]) or len(value) != B:
                found = tuple(value.shape[:2]) if isinstance(value, Tensor) and not value.is_nested else f"a {type(value).__name__}"
                raise DataError(
                    f"all tasks of a batch must have one size: {name}_y is {tuple(y.shape)} for {B} tasks, and {name}_x ({key}) begins with "
                    f"{found}. Put tasks of another size into a batch of their own."
                )


def _problem(
    network: Network, family: TaskFamily, loop: InnerLoop, parameters: Parameters, task: Tasks, seed: tuple[int, str] | None
) -> Problem:
    """One task's losses."""
    support = task_loss(network, family, (task.support_x, task.support_y), task.buffers, per_step=loop.per_step, seed=seed)
    query = task_loss(network, family, (task.query_x, task.query_y), task.buffers, per_step=loop.per_step, seed=seed)
    adapting, shared = detached(parameters.adapting), detached(parameters.shared)
    rates = replace(loop.rates, learnt=detached(loop.rates.learnt))
    return Problem(adapting, shared, rates, loop.steps, support, query, loop.per_step)


def _purpose(seed: int, task: Tasks) -> tuple[int, str]:
    return seed, f"inner_loop/{int(task.number)}"


def _plain(inputs: Inputs) -> Inputs:
    """Of a mapping, a dictionary: what `torch.vmap` takes apart."""
    return inputs if isinstance(inputs, Tensor) else dict(inputs)


_known: dict[Hashable, Footprint] = {}
_lock = threading.Lock()
_MOST_KNOWN = 64


def _footprint(module: nn.Module, family: TaskFamily, loop: InnerLoop, parameters: Parameters, task: Tasks) -> Footprint:
    """Of one task, by running one support step of it; once for each form of module and task."""
    key = (
        tuple((path, type(part)) for path, part in module.named_modules()),
        tuple((name, tuple(value.shape), value.dtype, value.device) for part in parameters for name, value in part.items()),
        tuple(parameters.adapting), _form(task.support_x), _form(task.query_x), loop.mode is first_order, loop.statistics, module.training,
    )  # fmt: skip
    with _lock:
        known = _known.get(key)
    if known is not None:
        return known
    problem = _problem(Network(module, loop.statistics), family, loop, parameters, task, _purpose(0, task) if draws(module) else None)
    start = {name: value.detach().requires_grad_() for name, value in problem.start.items()}
    shared = {name: value.detach().requires_grad_() for name, value in problem.shared.items()}
    own = [*start.values(), *shared.values(), *task.buffers.values()]
    step = bytes_kept(lambda: support_slope(problem, by_tape, start, shared, 0, again=loop.mode is not first_order), but=own)
    loss = bytes_kept(lambda: _held(problem, start, shared), but=own)
    sizes = [sum(value.numel() * value.element_size() for value in part) for part in (own[: len(start) + len(shared)],)]
    items = task.query_y.shape[0] / max(1, task.support_y.shape[0])
    found = Footprint(step, int(loss * items), sizes[0])
    with _lock:
        if len(_known) >= _MOST_KNOWN:
            _known.clear()
        _known[key] = found
    return found


def _held(problem: Problem, start: dict[str, Tensor], shared: dict[str, Tensor]) -> Tensor:
    with torch.enable_grad():
        return problem.support({**shared, **start}, 0)[0]


def _form(x: Inputs) -> Hashable:
    if isinstance(x, Tensor):
        return tuple(x.shape), x.dtype
    return tuple((name, tuple(value.shape), value.dtype) for name, value in x.items())


def _choose(footprint: Footprint, random: bool, tasks: Tasks) -> Way:
    """The automatic choice: see `tasks`."""
    if random or len(tasks.number) == 1:
        return "in_turn"
    if tasks.support_y.device.type != "cpu" or footprint.step < SMALL_STEP:
        return "vmap"
    return "threads" if torch.get_num_threads() > 1 else "in_turn"


def _require_room(footprint: Footprint, loop: InnerLoop, way: Way, tasks: Tasks, free: int | None) -> None:
    """Refuse what will not fit, with the advice that fits."""
    at_once = {"in_turn": 1, "threads": min(torch.get_num_threads(), len(tasks.number)), "vmap": len(tasks.number)}[way]
    graphs = loop.steps if loop.mode is unrolled else 1
    copies = 0 if loop.mode is unrolled else loop.steps
    advice = []
    if loop.mode is unrolled and loop.steps > 1:
        advice.append("memory='flat' gives the same gradient with one step's graph at a time")
    if at_once > 1:
        advice.append("tasks='in_turn' holds one task at a time")
    advice.append("fewer queries, a smaller backbone or smaller images need less")
    text = "; ".join(advice)
    needed = footprint.needed(graphs=graphs, copies=copies, at_once=at_once)
    require_room(needed, tasks.support_y.device, f"{text[0].upper()}{text[1:]}.", free)
