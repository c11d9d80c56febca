"""Can tasks be run together? Only where that gives the gradient of tasks in turn, found by comparing the two in float64 on two tasks.

A gradient over `torch.vmap` is silently wrong for some operations (native batch normalisation is one), by 1e-3 and more. In: an
`Assignment`. Out: an empty string, or what is wrong. Next: `plan`, which remembers the answer.
"""

import copy
import warnings
from dataclasses import replace

from torch import Tensor

from kshot.errors import DataError, KshotError
from kshot.learners.inner_loop.assignment import Assignment
from kshot.learners.inner_loop.loop import Schedule
from kshot.learners.inner_loop.parameters import Parameters, Tensors
from kshot.learners.inner_loop.problem import TaskGradient
from kshot.learners.inner_loop.schedule import solve

_FEW_STEPS = 3
"""Steps of the trial of tasks together: an operation that is differentiated wrongly there is so after one step."""
_ROUNDING = 1e-8
"""Largest relative difference that rounding explains, in float64."""


def fault_together(assignment: Assignment) -> str | None:
    """Why tasks together do not give what tasks in turn give.

    Returns:
        An empty string where they do; None where these tasks cannot tell, because their losses are not finite.
    """
    trial = _precisely(_few_steps(assignment.some(slice(2))))
    ways: tuple[Schedule, Schedule] = ("together", "in_turn")
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)  # of operations that vmap would run task by task, slowly
        try:
            one, other = (solve(trial, way) for way in ways)
        except DataError as error:
            try:
                solve(_few_steps(assignment.some(slice(2))), "in_turn")
            except DataError:
                return None  # the tasks are at fault, not the module
            except (KshotError, RuntimeError, ValueError, TypeError, UserWarning):
                pass  # whatever else it is, it is not the tasks
            return _incomparable(error)
        except (KshotError, RuntimeError, ValueError, TypeError, UserWarning) as error:
            return _incomparable(error)
    same = same_gradient(one, other)
    return None if same is None else "" if same else "an operation of it is differentiated wrongly there"


def same_gradient(one: TaskGradient, other: TaskGradient) -> bool | None:
    """Whether two schedules gave the same gradient, in float64; None where a loss is not finite."""
    if not all(bool(value.loss.isfinite().all()) for value in (one, other)):
        return None
    pairs = [
        (value, theirs[name])
        for mine, theirs in ((one.start, other.start), (one.shared, other.shared), (one.learnt, other.learnt))
        for name, value in mine.items()
    ]
    largest = max((float(value.abs().max()) for value, _ in pairs if value.numel()), default=0.0)
    return all(bool(((value - again).abs() <= _ROUNDING * largest).all()) for value, again in pairs)


def _few_steps(assignment: Assignment) -> Assignment:
    loop = assignment.loop
    return assignment if loop.per_step else replace(assignment, loop=replace(loop, steps=min(loop.steps, _FEW_STEPS)))


def _precisely(assignment: Assignment) -> Assignment:
    """The same in float64, with a copy of the module."""
    tasks, rule = assignment.tasks, assignment.loop.rule
    precise = tasks.with_items(_precise)._replace(
        support_y=_precise(tasks.support_y), query_y=_precise(tasks.query_y), buffers=_all_precise(tasks.buffers)
    )
    return replace(
        assignment,
        module=copy.deepcopy(assignment.module).double(),
        parameters=Parameters(*(_all_precise(part) for part in assignment.parameters)),
        tasks=precise,
        loop=replace(assignment.loop, rule=rule.with_learnt(_all_precise(rule.learnt))),
        state=None if assignment.state is None else _all_precise(assignment.state),
    )


def _all_precise(values: Tensors) -> Tensors:
    return {name: _precise(value.detach()) for name, value in values.items()}


def _precise(value: Tensor) -> Tensor:
    return value.double() if value.is_floating_point() else value


def _incomparable(error: Exception) -> str:
    return f"its gradient cannot be compared in float64 with that of tasks in turn ({str(error).partition(chr(10))[0]})"
