"""The plan: everything that is decided before the first inner step, as one value.

    what the module may not do      found by one run of the first task's support loss (`purity`, `randomness`)
    memory                          one step of the first task is run with a count of what its graph keeps (`footprint`)
    schedule                        together, over threads or in turn; together only where that is exact (`trust`)
    layout                          channels innermost, where convolutions are quicker so (`memory_layout`)

Each answer is found once for each kind of assignment (`module_key`) and remembered for the process. None of them depends on a clock: a
resumed run continues the same way. In: an `Assignment`. Out: a `Plan`. Next: `schedule` runs it.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from kshot.errors import RecipeError
from kshot.learners.inner_loop.assignment import Assignment
from kshot.learners.inner_loop.derivative import NO_DEPENDENCE
from kshot.learners.inner_loop.loop import Schedule
from kshot.learners.inner_loop.network import convolves, too_large_together
from kshot.learners.inner_loop.parameters import Tensors
from kshot.learners.inner_loop.planning.footprint import Footprint, bytes_kept, require_room
from kshot.learners.inner_loop.planning.memory_layout import in_quick_layout
from kshot.learners.inner_loop.planning.module_key import key_of
from kshot.learners.inner_loop.planning.purity import run_once
from kshot.learners.inner_loop.planning.randomness import draws
from kshot.learners.inner_loop.planning.remembered import Remembered
from kshot.learners.inner_loop.planning.trust import fault_together
from kshot.learners.inner_loop.problem import Problem, detached, support_slope

SMALL_STEP = 10 << 20
"""Bytes that the graph of a step keeps, below which tasks are taken together on a CPU."""

_random: Remembered[bool] = Remembered()
_footprints: Remembered[Footprint] = Remembered()
_faults: Remembered[str | None] = Remembered()
_layouts: Remembered[bool] = Remembered()


@dataclass(frozen=True)
class Plan:
    """How an assignment is run.

    Attributes:
        assignment: The assignment, in the layout in which it is quickest; without a seed where nothing is drawn.
        schedule: How its tasks are run.
        footprint: What one task takes of memory.
    """

    assignment: Assignment
    schedule: Schedule
    footprint: Footprint


def plan_for(assignment: Assignment, free: int | None = None) -> Plan:
    """Decide how an assignment is run.

    Args:
        assignment: What is asked, checked.
        free: Bytes of memory that may be used; None asks the device.

    Raises:
        RecipeError: The module does what an inner loop does not allow, or cannot be run as `loop.tasks` says.
        SetupError: It will not fit into memory.
    """
    key, asked = key_of(assignment), assignment.loop.tasks
    random = _random.of(key, lambda: draws(lambda: _try_once(replace(assignment.first(), seed=None))))
    if random and asked not in ("auto", "in_turn"):
        raise RecipeError(
            f"the module draws random numbers, which are drawn task by task; tasks={asked!r} would draw them in another order. "
            "Use tasks='in_turn'."
        )
    assignment = assignment if random else replace(assignment, seed=None)
    footprint = _footprints.of(key, lambda: _footprint(assignment.first()))
    _require_room(assignment, footprint, "in_turn", free)  # before any trial of tasks together

    def fault() -> str | None:
        return _faults.of(key, lambda: fault_together(assignment), keep=lambda answer: answer is not None)

    schedule = _best(assignment, footprint, fault, random=random) if asked == "auto" else asked
    _require_room(assignment, footprint, schedule, free)
    if asked == "together" and (why := fault()):
        raise RecipeError(f"torch.vmap cannot be trusted to run this module on many tasks: {why}. Use tasks='in_turn' or tasks='threads'.")
    return Plan(in_quick_layout(assignment, lambda readable: _layouts.of(key, readable)), schedule, footprint)


def _try_once(assignment: Assignment) -> None:
    network = assignment.network()
    run_once(network, assignment.problem(network))


def _best(assignment: Assignment, footprint: Footprint, fault: Callable[[], str | None], *, random: bool) -> Schedule:
    """The automatic schedule: together on a device, and on a CPU where the graph of a step is small; otherwise over threads.

    Stock convolutions would run in groups, one for each task, which takes a CPU longer than one after another.
    """
    tasks = assignment.tasks
    if random or len(tasks.number) == 1:
        return "in_turn"
    on_cpu = tasks.support_y.device.type == "cpu"
    held = footprint.step + (footprint.rule if assignment.loop.kept.rules else 0)
    small = held < SMALL_STEP and not convolves(assignment.module)
    if (not on_cpu or small) and fault() == "":
        return "together"
    return "threads" if on_cpu and torch.get_num_threads() > 1 else "in_turn"


def _footprint(assignment: Assignment) -> Footprint:
    problem = assignment.problem(assignment.network())
    start, shared = ({name: value.detach().requires_grad_() for name, value in part.items()} for part in (problem.start, problem.shared))
    own = [*start.values(), *shared.values()]

    def loss(of: Callable[[Tensors, int], tuple[Tensor, Tensors]]) -> Tensor:
        with torch.enable_grad():
            return of({**shared, **start}, 0)[0]

    if problem.steps and not loss(lambda values, number: problem.support({**values, **detached(shared)}, number)).requires_grad:
        raise RecipeError(NO_DEPENDENCE)
    step = bytes_kept(lambda: _one_step(problem, start, shared, again=assignment.loop.mode.twice), but=own)
    query = bytes_kept(lambda: loss(problem.query), but=own)
    learnt = {name: value.detach().requires_grad_() for name, value in problem.rule.learnt.items()}
    rule = bytes_kept(lambda: _rule_alone(problem, start, learnt), but=[*own, *learnt.values()])
    state = problem.begin(problem.start).state.values()
    return Footprint(step, query, _bytes(own), _bytes(list(state)), rule)


def _one_step(problem: Problem, start: Tensors, shared: Tensors, *, again: bool) -> object:
    slopes, loss, rest = support_slope(problem, start, shared, 0, again=again)
    with torch.set_grad_enabled(again):
        return problem.step(problem.begin(start), slopes, loss, problem.rule.learnt, 0), loss, rest


def _rule_alone(problem: Problem, start: Tensors, learnt: Tensors) -> object:
    slopes = {name: torch.zeros_like(value) for name, value in start.items()}
    some = next(iter(start.values()))
    losses = some.new_zeros(len(some))
    with torch.enable_grad():
        return problem.step(problem.begin(start), slopes, losses, learnt, 0)


def _bytes(values: list[Tensor]) -> int:
    return sum(value.numel() * value.element_size() for value in values)


def _require_room(assignment: Assignment, footprint: Footprint, schedule: Schedule, free: int | None) -> None:
    """Refuse what will not fit, and say what would.

    Raises:
        SetupError: More memory is needed than is free.
    """
    tasks, loop = assignment.tasks, assignment.loop
    count, threads = len(tasks.number), min(torch.get_num_threads(), len(tasks.number))
    at_once = {"in_turn": 1, "threads": threads, "together": count}[schedule]
    apart = threads if schedule == "together" and too_large_together(tasks.query_x) else None
    advice = ["fewer queries, a smaller backbone or smaller items need less"]
    if at_once > 1:
        advice.insert(0, "tasks='in_turn' holds one task at a time")
    if loop.mode.less and loop.steps > 1:
        advice.insert(0, loop.mode.less)
    cure = "What helps: " + "; ".join(advice) + "."
    require_room(footprint.needed(loop.kept, at_once=at_once, apart=apart), tasks.support_y.device, cure, free)
