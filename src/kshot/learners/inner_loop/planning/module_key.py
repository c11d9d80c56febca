"""Cache key for results of trial runs: what decides how a module runs.

Two assignments with one key have the same kinds of parts with the same settings, and tensors of the same shapes. A setting that is no plain
value, such as a function, counts as the same only where it is the same object. In: an `Assignment`. Next: `plan`.
"""

import weakref
from collections.abc import Hashable
from typing import Any

from torch import Tensor, nn

from kshot.data.inputs import Inputs
from kshot.learners.inner_loop.assignment import Assignment

_OF_EVERY_MODULE = frozenset(vars(nn.Module())) - {"training", "_forward_hooks", "_forward_pre_hooks"}


def key_of(assignment: Assignment) -> Hashable:
    """The kinds and settings of modules and loop, and the shapes, types and places of tensors."""
    parameters, tasks, loop, family = assignment.parameters, assignment.tasks, assignment.loop, assignment.family
    rows = None if tasks.rows is None else _shape(tasks.rows)
    return (
        tuple((path, type(part), settings_of(part)) for path, part in assignment.module.named_modules()),
        tuple((name, *_shape(value)) for part in parameters for name, value in part.items()),
        len(parameters.adapting), _items(tasks.support_x), _items(tasks.query_x), rows, type(family), settings_of(family),
        loop.mode.twice, loop.steps, loop.statistics, loop.per_step, type(loop.rule), loop.rule.words(), _items(loop.rule.learnt),
        loop.start,
    )  # fmt: skip


def settings_of(thing: object) -> Hashable:
    """The attributes of a module, or of anything that has some, by value where they are plain and by identity where they are not."""
    return tuple((name, _value(value)) for name, value in getattr(thing, "__dict__", {}).items() if name not in _OF_EVERY_MODULE)


def _value(value: Any) -> Hashable:
    if value is None or isinstance(value, (bool, int, float, complex, str, bytes)):
        return type(value), value
    if isinstance(value, (tuple, list)):
        return type(value), tuple(_value(part) for part in value)
    if isinstance(value, dict):
        return type(value), tuple((_value(name), _value(part)) for name, part in value.items())
    return _Same(value)


class _Same:
    """Equal to itself, and to what stands for the same object, as long as that lives."""

    def __init__(self, value: object) -> None:
        self._number = id(value)
        try:
            self._value: Any = weakref.ref(value)
        except TypeError:  # kept alive, so that no other object gets its number
            self._value = lambda: value

    def __hash__(self) -> int:
        return self._number

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and self._value() is not None and self._value() is other._value()


def _shape(value: Tensor) -> tuple[Hashable, ...]:
    return tuple(value.shape), value.dtype, value.device


def _items(x: Inputs) -> Hashable:
    named = {"": x} if isinstance(x, Tensor) else x
    return tuple((name, *_shape(value)) for name, value in named.items())
