"""What is decided before the first inner step: how the tasks are run, and whether memory will do.

Both rest on one support step of the first task, run with a count of what its graph keeps, and with an eye on whether it draws random
numbers; once for each form of module, tasks and loop, and remembered for the process, for the answer is a function of that form (`form`).
"""

import threading
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

import torch
from torch import Tensor

from kshot.errors import RecipeError
from kshot.learners.inner_loop.derivative import NO_DEPENDENCE
from kshot.learners.inner_loop.modes.outer_gradient import OuterGradient
from kshot.learners.inner_loop.network import too_large_together
from kshot.learners.inner_loop.parameters import Tensors
from kshot.learners.inner_loop.planning.footprint import Footprint, bytes_kept, require_room
from kshot.learners.inner_loop.planning.randomness import draws
from kshot.learners.inner_loop.problem import Problem, TaskGradient, detached, support_slope
from kshot.learners.inner_loop.schedule import SMALL_STEP, Schedule, Tasks

_MOST_KNOWN = 64
_ROUNDING = 1e-8
"""Relative, in float64. What is wrong here is wrong by 1e-3 and more: see `written_norm`."""
T = TypeVar("T")


class _Answers(Generic[T]):
    """What was found for the last few questions; for any number of threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: dict[Hashable, T] = {}

    def of(self, question: Hashable, find: Callable[[], T], keep: Callable[[T], bool] = lambda answer: True) -> T:
        """The answer, found now where it is not known, and remembered where it is worth keeping."""
        with self._lock:
            if question in self._known:
                return self._known[question]
        answer = find()
        if not keep(answer):
            return answer
        with self._lock:
            if len(self._known) >= _MOST_KNOWN:
                self._known.clear()
            self._known[question] = answer
        return answer


_footprints: _Answers[Footprint] = _Answers()
_faults: _Answers[str | None] = _Answers()
_random: _Answers[bool] = _Answers()
_layouts: _Answers[bool] = _Answers()


def footprint_of(asked: Hashable, problem: Callable[[], Problem], *, again: bool) -> Footprint:
    """Of one task.

    Args:
        asked: Names the question: the form and the loop.
        problem: Makes the first task's.
        again: Whether the gradients of the steps are differentiated again.
    """
    return _footprints.of(asked, lambda: _measured(problem(), again=again))


def _measured(problem: Problem, *, again: bool) -> Footprint:
    start, shared = ({name: value.detach().requires_grad_() for name, value in part.items()} for part in (problem.start, problem.shared))
    own = [*start.values(), *shared.values()]

    def loss(of: Callable[[Tensors, int], tuple[Tensor, Tensors]]) -> Tensor:
        with torch.enable_grad():
            return of({**shared, **start}, 0)[0]

    if problem.steps and not loss(lambda values, number: problem.support({**values, **detached(shared)}, number)).requires_grad:
        raise RecipeError(NO_DEPENDENCE)
    step = bytes_kept(lambda: support_slope(problem, start, shared, 0, again=again), but=own)
    query = bytes_kept(lambda: loss(problem.query), but=own)
    return Footprint(step, query, sum(value.numel() * value.element_size() for value in own))


def random_in(asked: Hashable, run: Callable[[], object]) -> bool:
    """Whether a run draws random numbers; run once for each form."""
    return _random.of(asked, lambda: draws(run))


def readable_in(asked: Hashable, readable: Callable[[], bool]) -> bool:
    """Whether a module reads items in another layout; asked once for each form."""
    return _layouts.of(asked, readable)


def choose(
    asked: Hashable, footprint: Footprint, fault: Callable[[], str | None], tasks: Tasks, *, random: bool, convolves: bool = False
) -> Schedule:
    """The automatic way: together on a device, and on a CPU where the graph of a step is small; otherwise over threads.

    It depends on the form of module and tasks alone, never on a clock: a resumed run goes on the same way.

    Args:
        asked: Names the question.
        footprint: Of one task.
        fault: What is wrong with the module's gradient on tasks together; see `fault_together`.
        tasks: All tasks.
        random: Whether the module draws random numbers.
        convolves: Whether stock convolutions would be run in groups, one for each task, which takes a CPU longer than one after another.
    """
    if random or len(tasks.number) == 1:
        return "in_turn"
    on_cpu = tasks.support_y.device.type == "cpu"
    if (not on_cpu or (footprint.step < SMALL_STEP and not convolves)) and fault_together(asked, fault) == "":
        return "together"
    return "threads" if on_cpu and torch.get_num_threads() > 1 else "in_turn"


def fault_together(asked: Hashable, fault: Callable[[], str | None]) -> str | None:
    """Why tasks together are not to be trusted to give the gradient of tasks in turn, found once for each form.

    Returns:
        An empty string where they are; None where these tasks cannot tell, which is not remembered.
    """
    return _faults.of(asked, fault, keep=lambda answer: answer is not None)


def same_gradient(one: TaskGradient, other: TaskGradient) -> bool | None:
    """Whether two ways came to the same, in float64; None where they came to no numbers."""
    if not all(bool(value.loss.isfinite().all()) for value in (one, other)):
        return None
    pairs = [(value, two[name]) for mine, two in zip(one[2:5], other[2:5], strict=True) for name, value in mine.items()]
    largest = max((float(value.abs().max()) for value, _ in pairs if value.numel()), default=0.0)
    return all(bool(((value - again).abs() <= _ROUNDING * largest).all()) for value, again in pairs)


def require_room_for(footprint: Footprint, mode: OuterGradient, steps: int, way: Schedule, tasks: Tasks, free: int | None) -> None:
    """Refuse what will not fit, and say what would.

    Raises:
        SetupError: More memory is needed than is free.
    """
    count, threads = len(tasks.number), min(torch.get_num_threads(), len(tasks.number))
    at_once = {"in_turn": 1, "threads": threads, "together": count}[way]
    apart = threads if way == "together" and too_large_together(tasks.query_x) else None
    advice = ["fewer queries, a smaller backbone or smaller items need less"]
    if at_once > 1:
        advice.insert(0, "tasks='in_turn' holds one task at a time")
    if mode.less and steps > 1:
        advice.insert(0, mode.less)
    cure = "What helps: " + "; ".join(advice) + "."
    require_room(footprint.needed(mode.keeps(steps), at_once=at_once, apart=apart), tasks.support_y.device, cure, free)
