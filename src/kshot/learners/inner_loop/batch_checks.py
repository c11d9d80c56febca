"""Checks that a batch of tasks is non-empty and rectangular, that a head fits it, and that its queries are numbers."""

import numpy as np
from torch import Tensor

from kshot.episodes.episode import EpisodeBatch
from kshot.errors import DataError, RecipeError, TrainingError
from kshot.learners.asked import check_items
from kshot.learners.inner_loop.problem import TaskGradient


def check_rectangle(batch: EpisodeBatch, outputs: int | None = None) -> None:
    """Refuse a batch whose tasks are not all of one size, or do not fit a head.

    Args:
        batch: B tasks.
        outputs: Number of outputs of the head, N or T; None where there is no such head.

    Raises:
        DataError: It names the part.
        RecipeError: The tasks have another way than the head, or targets of another length.
    """
    check_items("support", batch.support_x, batch.support_y)
    check_items("query", batch.query_x, batch.query_y)
    tasks = len(batch.support_y)
    if len(batch.query_y) != tasks:
        raise DataError(
            f"a batch must have queries for each task; found support sets of {tasks} tasks and queries of {len(batch.query_y)}."
        )
    if not isinstance(batch.numbers, np.ndarray) or batch.numbers.shape != (tasks,) or batch.numbers.dtype.kind not in "iu":
        shape = getattr(batch.numbers, "shape", None)
        found = f"a {type(batch.numbers).__name__}" if shape is None else f"shape {tuple(shape)} of {batch.numbers.dtype}"
        raise DataError(f"numbers must be whole numbers, one per task, a NumPy array of shape ({tasks},); found {found}.")
    if outputs is not None:
        require_head(outputs, batch.support_y, batch.way)
        require_head(outputs, batch.query_y, batch.way)


def require_head(outputs: int, y: Tensor, way: int | None) -> None:
    """Refuse labels or targets that a head does not fit.

    Args:
        outputs: Number of outputs of the head.
        y: Labels (B, S), or real targets (B, S, T).
        way: N, or None where it was not said.

    Raises:
        RecipeError: The tasks have another way than the head, or targets of another length.
    """
    if y.is_floating_point() and y.ndim != 3:
        raise RecipeError(f"real targets are (B, S, T); found {tuple(y.shape)}. Where T is 1, give y.unsqueeze(-1).")
    if y.is_floating_point():
        found, what = y.shape[-1], "target values per item"
    else:
        found, what = (max(outputs, int(y.max()) + 1) if way is None else way), "classes"
    if found != outputs:
        raise RecipeError(
            f"the head of this learner has {outputs} outputs, and the tasks have {found} {what}. Ask for what it was trained for, "
            f"or train one with learner.outputs={found}."
        )


def check_query_numbers(batch: EpisodeBatch, found: TaskGradient) -> None:
    """Tell non-finite query items from divergence.

    Args:
        batch: B tasks.
        found: What came of them; only tasks whose steps gave finite losses and whose queries did not are looked at.

    Raises:
        TrainingError: It names the episode, the item and the input.
    """
    losses = found.loss.detach()
    bad = ~losses.isfinite() & found.path.isfinite().all(1)
    if not bool(bad.any()):
        return
    task = int(bad.int().argmax())
    values = {"x": batch.query_x} if isinstance(batch.query_x, Tensor) else dict(batch.query_x)
    for name, value in {**values, "y": batch.query_y}.items():
        items = value[task].flatten(1) if value.ndim > 2 else value[task].unsqueeze(1)
        if value.is_floating_point() and not bool(items.isfinite().all()):
            item = int((~items.isfinite().all(1)).int().argmax())
            raise TrainingError(
                f"the query loss of episode {int(batch.numbers[task])} is {float(losses[task]):.3g}: its query item {item} ({name}) "
                "holds numbers that are not finite. Mend the item, or leave it out."
            )
