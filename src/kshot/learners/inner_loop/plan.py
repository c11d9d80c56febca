"""What is decided before the first inner step: how the tasks are run, and whether memory will do.

Both rest on one support step of the first task, run with a count of what its graph keeps; once for each form of module, tasks and loop,
and remembered for the process, for the answer is a function of that form.
"""

import threading
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

import torch
from torch import Tensor, nn

from kshot.data.inputs import Inputs
from kshot.learners.inner_loop.memory import Footprint, bytes_kept, require_room
from kshot.learners.inner_loop.mode import Mode
from kshot.learners.inner_loop.parameters import Parameters, Tensors
from kshot.learners.inner_loop.problem import Problem, TaskGradient, support_slope
from kshot.learners.inner_loop.tasks import SMALL_STEP, Tasks, Way

_MOST_KNOWN = 64
_ROUNDING = 1e-8
"""Relative, in float64. What is wrong here is wrong by 1e-3 and more: see `written_norm`."""
T = TypeVar("T")


class _Answers(Generic[T]):
    """What was found for the last few questions; for any number of threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: dict[Hashable, T] = {}

    def of(self, question: Hashable, find: Callable[[], T]) -> T:
        """The answer, found now where it is not known."""
        with self._lock:
            if question in self._known:
                return self._known[question]
        answer = find()
        with self._lock:
            if len(self._known) >= _MOST_KNOWN:
                self._known.clear()
            self._known[question] = answer
        return answer


_footprints: _Answers[Footprint] = _Answers()
_readable: _Answers[bool] = _Answers()


def form_of(module: nn.Module, parameters: Parameters, tasks: Tasks) -> Hashable:
    """What the cost of a step depends on: the kinds and settings of modules, and the shapes, types and places of tensors."""
    return (
        tuple((path, type(part), _settings(part)) for path, part in module.named_modules()),
        tuple((name, tuple(value.shape), value.dtype, value.device) for part in parameters for name, value in part.items()),
        len(parameters.adapting), _form(tasks.support_x), _form(tasks.query_x),
    )  # fmt: skip


def _settings(part: nn.Module) -> Hashable:
    return tuple((name, value) for name, value in vars(part).items() if isinstance(value, (bool, int, float, str)))


def _form(x: Inputs) -> Hashable:
    named = {"": x} if isinstance(x, Tensor) else x
    return tuple((name, tuple(value.shape), value.dtype, value.device) for name, value in named.items())


def footprint_of(asked: Hashable, problem: Problem, *, again: bool) -> Footprint:
    """Of one task.

    Args:
        asked: Names the question: the form and the loop.
        problem: The first task.
        again: Whether the gradients of the steps are differentiated again.
    """
    return _footprints.of(asked, lambda: _measured(problem, again=again))


def _measured(problem: Problem, *, again: bool) -> Footprint:
    start, shared = ({name: value.detach().requires_grad_() for name, value in part.items()} for part in (problem.start, problem.shared))
    own = [*start.values(), *shared.values()]

    def loss(of: Callable[[Tensors, int], tuple[Tensor, Tensors]]) -> Tensor:
        with torch.enable_grad():
            return of({**shared, **start}, 0)[0]

    step = bytes_kept(lambda: support_slope(problem, start, shared, 0, again=again), but=own)
    query = bytes_kept(lambda: loss(problem.query), but=own)
    return Footprint(step, query, sum(value.numel() * value.element_size() for value in own))


def choose(
    asked: Hashable, footprint: Footprint, agrees: Callable[[], bool], tasks: Tasks, *, random: bool, convolves: bool = False
) -> Way:
    """The automatic way: together on a device, and on a CPU where the graph of a step is small; otherwise over threads.

    It depends on the form of module and tasks alone, never on a clock: a resumed run goes on the same way.

    Args:
        asked: Names the question.
        footprint: Of one task.
        agrees: Whether the module can be run on tasks together, and gives the same gradient so; asked once.
        tasks: All tasks.
        random: Whether the module draws random numbers.
        convolves: Whether stock convolutions would be run in groups, one for each task, which takes a CPU longer than one after another.
    """
    if random or len(tasks.number) == 1:
        return "in_turn"
    on_cpu = tasks.support_y.device.type == "cpu"
    if (not on_cpu or (footprint.step < SMALL_STEP and not convolves)) and agreement(asked, agrees):
        return "together"
    return "threads" if on_cpu and torch.get_num_threads() > 1 else "in_turn"


def agreement(asked: Hashable, agrees: Callable[[], bool]) -> bool:
    """Whether tasks together give the gradient of tasks in turn; asked once for each form."""
    return _readable.of(asked, agrees)


def same_gradient(one: TaskGradient, other: TaskGradient) -> bool:
    """Whether two ways came to the same, in float64."""
    pairs = [(value, two[name]) for mine, two in zip(one[2:5], other[2:5], strict=True) for name, value in mine.items()]
    largest = max((float(value.abs().max()) for value, _ in pairs if value.numel()), default=0.0)
    return all(bool(((value - again).abs() <= _ROUNDING * largest).all()) for value, again in pairs)


def require_room_for(footprint: Footprint, mode: Mode, steps: int, way: Way, tasks: Tasks, free: int | None) -> None:
    """Refuse what will not fit, and say what would.

    Raises:
        SetupError: More memory is needed than is free.
    """
    at_once = {"in_turn": 1, "threads": min(torch.get_num_threads(), len(tasks.number)), "together": len(tasks.number)}[way]
    advice = ["Fewer queries, a smaller backbone or smaller items need less"]
    if at_once > 1:
        advice.insert(0, "tasks='in_turn' holds one task at a time")
    if mode.less and steps > 1:
        advice.insert(0, mode.less)
    require_room(footprint.needed(mode.keeps(steps), at_once=at_once), tasks.support_y.device, "; ".join(advice) + ".", free)
