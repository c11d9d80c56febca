"""The check of what a learner is asked: `adapt` and `predict` of every learner in the package make it before anything else.

It says which item is wrong: a number that is not finite, a label that is no class, no item at all. It is made in evaluation mode only.
Training pays nothing for it, because its episodes are checked where they are drawn; inside the transforms of `torch.func` and in
`torch.compile` numbers cannot be looked at. In: features and labels as a caller gave them. Out: nothing, or a `DataError`.
"""

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import torch
from torch import Tensor

from kshot.data.inputs import Inputs
from kshot.errors import DataError
from kshot.learners.backbone_form import other_type
from kshot.learners.learner import Learner
from kshot.value_types import LARGEST_COUNT, count_fault

_looked_at: ContextVar[bool] = ContextVar("looked_at", default=False)


def check_support(learner: Learner, x: Inputs, y: Tensor, way: int | None) -> None:
    """Refuse support sets that a learner cannot learn from, in evaluation mode.

    Args:
        learner: The learner that is asked.
        x: Encoded support items (B, S, …).
        y: Labels int64 (B, S), or real targets (B, S, T).
        way: N, or None.

    Raises:
        DataError: There is no task or no item; items and labels do not belong together; a tensor is of a kind that no learner computes
            with; a label is no class; a number is not finite. The message names the item, and `task` of the error is its task.
    """
    if not _looks(learner):
        return
    check_items("support", x, y)
    _check_kind(learner, "support", {**_named(x), "y": y})
    if learner.family.name == "classification":
        _check_labels(y, way)
    elif learner.family.name == "regression" and (not y.is_floating_point() or y.ndim != 3):
        raise DataError(
            f"real targets must be floating numbers (B, S, T); found {_form(y)}. Where T is 1, give y.unsqueeze(-1); convert integers: "
            "y.float()."
        )
    _check_finite("support", {**_named(x), "y": y})


def check_queries(learner: Learner, tasks: int, x: Inputs) -> None:
    """Refuse queries that a learner cannot answer, in evaluation mode.

    Args:
        learner: The learner that is asked.
        tasks: B, the number of tasks that it adapted to.
        x: Encoded query items (B, Q, …).

    Raises:
        DataError: There is no query; they are of another number of tasks; a tensor is of a kind that no learner computes with; a number is
            not finite. The message names the item.
    """
    if not _looks(learner):
        return
    for key, value in _named(x).items():
        if not isinstance(value, Tensor) or value.ndim < 2 or len(value) != tasks:
            found = f"shape {tuple(value.shape)}" if isinstance(value, Tensor) else f"a {type(value).__name__}"
            raise DataError(f"queries must be (B, Q, …) of the {tasks} tasks that were adapted to; found {found} ({key}).")
        if not value.shape[1]:
            raise DataError(f"there must be a query to answer; found none, shape {tuple(value.shape)} ({key}). Ask for one or more.")
    _check_kind(learner, "query", _named(x))
    _check_finite("query", _named(x))


@contextmanager
def looked_at() -> Iterator[None]:
    """Within the block, this thread's questions are known to be whole, and are not looked at again.

    Evaluation uses it: it draws its labels itself, and looks at each item once, however many episodes ask about it.
    """
    token = _looked_at.set(True)
    try:
        yield
    finally:
        _looked_at.reset(token)


def all_finite(x: Inputs) -> bool:
    """Whether the sum of all numbers is finite, which it is only if every number is. Large numbers can spoil it too."""
    return all(_is_whole(value) for value in _named(x).values())


def check_items(part: str, x: Inputs, y: Tensor) -> None:
    """Refuse items and labels of tasks that do not belong together. It looks at shapes alone, and is made in training too.

    Args:
        part: What they are called: support or query.
        x: Items (B, n, …).
        y: Labels (B, n), or real targets (B, n, T).

    Raises:
        DataError: They are no tensors, of different sizes, or there are none.
    """
    if not isinstance(y, Tensor) or y.ndim < 2:
        found = f"shape {tuple(y.shape)}" if isinstance(y, Tensor) else f"a {type(y).__name__}"
        raise DataError(f"{part}_y must be a tensor with one row per task, (B, n) or (B, n, T); found {found}.")
    for key, value in _named(x).items():
        plain = isinstance(value, Tensor) and not value.is_nested
        if not plain or tuple(value.shape[:2]) != tuple(y.shape[:2]):
            kind = "nested tensor" if isinstance(value, Tensor) else type(value).__name__
            begins = f"begins with {tuple(value.shape[:2])}" if plain else f"is a {kind}"
            raise DataError(
                f"all tasks of a batch must have one size: {part}_y is {tuple(y.shape)} for {len(y)} tasks, and {part}_x "
                f"({key}) {begins}. Put tasks of another size into a batch of their own."
            )
    if 0 in y.shape[:2]:
        raise DataError(f"{part}_y is {tuple(y.shape)}: there must be a task, and each must have an item.")


def _looks(learner: Learner) -> bool:
    """Whether the numbers of a question are looked at now."""
    return (
        not learner.training
        and not _looked_at.get()
        and torch._C._functorch.peek_interpreter_stack() is None
        and not torch.compiler.is_compiling()
    )


def _check_kind(learner: Learner, part: str, named: Mapping[str, Tensor]) -> None:
    """Refuse tensors without numbers, sparse and complex ones, and floating numbers of another type than the learner's parameters."""
    own = next((value.dtype for value in learner.parameters() if value.is_floating_point()), None)
    for key, value in named.items():
        what = "labels" if key == "y" else "features" if key == "x" else f"features {key!r}"
        if value.layout != torch.strided or value.is_meta or value.is_complex():
            found = "a complex one" if value.is_complex() else "one without numbers (meta)" if value.is_meta else "a sparse one"
            raise DataError(f"the {what} of the {part} items must be a dense tensor of real numbers; found {found}. Convert it first.")
        if 0 in value.shape[2:]:
            raise DataError(f"the {what} of the {part} items are empty: their shape is {tuple(value.shape)}.")
        if own is not None and value.is_floating_point() and value.dtype != own and not torch.is_autocast_enabled(value.device.type):
            raise other_type(own, key, value.dtype, f"the {what} of the {part} items, {tuple(value.shape)}")


def _check_labels(y: Tensor, way: int | None) -> None:
    if way is not None and (fault := count_fault("way, the number of classes,", way, 1, LARGEST_COUNT)):
        raise DataError(f"{fault}.")
    if y.dtype != torch.int64 or y.ndim != 2:
        raise DataError(f"labels must be int64 (B, S); found {_form(y)}. Convert them: y.long().")
    least, most = (int(value) for value in y.aminmax())
    if least < 0 or (way is not None and most >= way):
        task, item = ((y < 0) | (y >= (most + 1 if way is None else way))).nonzero()[0].tolist()
        classes = "0 or more" if way is None else f"between 0 and {int(way) - 1}"
        raise _about(task, f"labels must be {classes}; support item {item} of task {task} of the batch has {int(y[task, item])}.")


def _check_finite(part: str, named: Mapping[str, Tensor]) -> None:
    for key, value in named.items():
        if _is_whole(value):  # the quickest look; a second one follows
            continue
        finite = value.detach().isfinite().flatten(2).all(2) if value.ndim > 2 else value.detach().isfinite()
        if not bool(finite.all()):
            task, item = (~finite).nonzero()[0].tolist()
            what = {"x": "features", "y": "targets"}.get(key, f"features {key!r}")
            raise _about(
                task,
                f"the {what} of {part} item {item} of task {task} of the batch are not all finite. Look at this item; if it is whole, look "
                "for numbers in the learner that are not finite, or too large.",
            )


def _is_whole(value: Tensor) -> bool:
    return not (value.is_floating_point() or value.is_complex()) or math.isfinite(abs(value.detach().sum().item()))


def _about(task: int, message: str) -> DataError:
    error = DataError(message)
    error.task = task
    return error


def _named(x: Any) -> Mapping[str, Any]:
    return x if isinstance(x, Mapping) else {"x": x}


def _form(y: Tensor) -> str:
    return f"{str(y.dtype).removeprefix('torch.')} {tuple(y.shape)}"
