"""The cost of answering one new task: time to adapt, time to predict, memory.

In: learners and episodes. Out: one `Cost` per learner. Next: `kshot.results.compare.compare`.

A new task is an episode for whose items nothing has been computed. The inputs are ready on the device, in the form that the network reads;
encoding is part of the cost. Scoring many episodes shares encodings among them, but a user with one task cannot do that.
"""

import statistics
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from kshot.data.inputs import Inputs, map_inputs
from kshot.device import pick_device
from kshot.episodes.batch import gather_batch
from kshot.episodes.episode import EpisodeBatch
from kshot.errors import KshotError, RecipeError
from kshot.learners.learner import Learner, Mode
from kshot.results.compare.peak_memory import least_peak
from kshot.results.score.episode_set import EpisodeSet
from kshot.results.score.evaluate import evaluating
from kshot.short_repr import repr_of_fields

TASKS, LEAST_TASKS, SECONDS = 20, 3, 2.0
"""A learner is timed on up to 20 tasks: fewer if they take more than 2 seconds together, but at least 3."""


@dataclass(frozen=True)
class Cost:
    """The cost of answering one new task.

    Attributes:
        adapt_seconds: Median time over `tasks` tasks of encoding the support items and of `adapt`.
        predict_seconds: Median time of encoding all queries of a task and of `predict` (or `predict_together`).
        tasks: Number of tasks that were timed.
        queries: Queries per task; the median if tasks differ.
        meta_parameters: Number of elements of the learner's parameters, which training sets.
        learner_bytes: Size of parameters and buffers. They are in memory once, however many tasks are in use.
        task_bytes: Size of what `adapt` returns for a task. It is in memory for each task in use.
        working_bytes: Largest rise of memory in use above the learner while a task is answered; None if the system does not report it.
    """

    adapt_seconds: float
    predict_seconds: float
    tasks: int
    queries: int
    meta_parameters: int
    learner_bytes: int
    task_bytes: int
    working_bytes: int | None

    __repr__ = repr_of_fields

    @property
    def peak_bytes(self) -> int | None:
        """Peak memory of the learner and the work on one task together."""
        return None if self.working_bytes is None else self.learner_bytes + self.working_bytes


@torch.no_grad()
def measure_costs(
    learners: Mapping[str, Learner], episodes: Mapping[str, EpisodeSet], *, mode: Mode = "inductive", device: torch.device | str = "cpu"
) -> dict[str, Cost]:
    """Measure the cost of each learner on the same tasks. The learners take turns, so that a busy machine slows all of them equally.

    Args:
        learners: Learners by name. Each is put in evaluation mode and restored afterwards.
        episodes: The same episodes for each name, as that learner reads them. The first ones are the tasks.
        mode: How to predict.
        device: Device for the computation. The learners are moved there.

    Raises:
        RecipeError: A learner cannot answer such an episode at all; the message has its name.
        KshotError: A learner raised it; the name of the learner is put in front of the message.
    """
    device = pick_device(device)
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in learners}
    bytes_of: dict[str, tuple[int, int | None]] = {}
    queries = []
    with ExitStack() as stack:
        for learner in learners.values():
            stack.enter_context(evaluating(learner.to(device)))
        for turn in range(-1, min(TASKS, len(next(iter(episodes.values()))))):
            for name, learner in learners.items():
                if turn >= LEAST_TASKS and sum(map(sum, times[name])) > SECONDS:
                    continue
                batch = _task(episodes[name], max(turn, 0), device)
                if turn < 0:  # warms up, and shows whether the learner can answer at all
                    _try(name, learner, batch, mode)
                    bytes_of[name] = _memory(learner, batch, mode)
                else:
                    times[name].append(_timed(learner, batch, mode))
                    queries.append(batch.query_y.shape[1])
    return {
        name: Cost(
            adapt_seconds=statistics.median(adapt for adapt, _ in times[name]),
            predict_seconds=statistics.median(predict for _, predict in times[name]),
            tasks=len(times[name]),
            queries=round(statistics.median(queries)),
            meta_parameters=sum(parameter.numel() for parameter in learner.parameters()),
            learner_bytes=sum(map(_size, (*learner.parameters(), *learner.buffers()))),
            task_bytes=bytes_of[name][0],
            working_bytes=bytes_of[name][1],
        )
        for name, learner in learners.items()
    }


def adapted_bytes(adapted: Any) -> int:
    """Return the bytes of all tensors in what `adapt` returned: a tuple of tensors, mappings of tensors and plain values, nested or not."""
    if isinstance(adapted, Tensor):
        return _size(adapted)
    if isinstance(adapted, Mapping):
        return sum(map(adapted_bytes, adapted.values()))
    return sum(map(adapted_bytes, adapted)) if isinstance(adapted, (tuple, list)) else 0


def _task(episodes: EpisodeSet, number: int, device: torch.device) -> EpisodeBatch:
    """Return one episode with its inputs. Episodes are numbered through the rectangles in their order."""
    for rectangle in episodes.drawn:
        if number < len(rectangle):
            return gather_batch(episodes.dataset, rectangle.rows(slice(number, number + 1)), episodes.shape.augment, device)
        number -= len(rectangle)
    raise IndexError(number)


def _encoded(learner: Learner, x: Inputs) -> Inputs:
    """Encode items (1, n, …) → features (1, n, …)."""
    features = learner.encode(map_inputs(lambda value: value[0], x))
    return map_inputs(lambda value: value.unsqueeze(0), features)


def _adapt(learner: Learner, batch: EpisodeBatch) -> Any:
    return learner.adapt(_encoded(learner, batch.support_x), batch.support_y, way=batch.way)


def _predict(learner: Learner, adapted: Any, batch: EpisodeBatch, mode: Mode) -> Tensor:
    features = _encoded(learner, batch.query_x)
    return learner.predict_together(adapted, features) if mode == "transductive" else learner.predict(adapted, features)


def _timed(learner: Learner, batch: EpisodeBatch, mode: Mode) -> tuple[float, float]:
    _wait(batch.device)
    began = time.perf_counter()
    adapted = _adapt(learner, batch)
    _wait(batch.device)
    between = time.perf_counter()
    _predict(learner, adapted, batch, mode)
    _wait(batch.device)
    return between - began, time.perf_counter() - between


def _wait(device: torch.device) -> None:
    """Wait until a GPU has finished its work."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _memory(learner: Learner, batch: EpisodeBatch, mode: Mode) -> tuple[int, int | None]:
    """Return the bytes kept per task, and the largest rise of memory in use while a task is answered."""
    kept = adapted_bytes(_adapt(learner, batch))
    work: Callable[[], object] = lambda: _predict(learner, _adapt(learner, batch), batch, mode)  # noqa: E731
    return kept, least_peak(work, batch.device)


def _try(name: str, learner: Learner, batch: EpisodeBatch, mode: Mode) -> None:
    """Answer one task, so that a learner that cannot is named before the long work begins."""
    form = f"a {batch.way}-way task with {batch.support_y.shape[1]} support items and {batch.query_y.shape[1]} queries"
    try:
        outputs = _predict(learner, _adapt(learner, batch), batch, mode)
    except KshotError as error:
        raise type(error)(f"{name} cannot answer {form}: {error}") from error
    except (RuntimeError, ValueError, IndexError) as error:
        raise RecipeError(f"{name} cannot answer {form}: {error}. Ask for another way or shot, or leave this learner out.") from error
    wanted = (1, batch.query_y.shape[1], batch.way)
    if learner.family.name == "classification" and tuple(outputs.shape) != wanted:
        raise RecipeError(
            f"{name} cannot answer {form}: it gives logits of shape {tuple(outputs.shape)}, not {wanted}. "
            "Ask for the way for which it was made, or leave this learner out."
        )


def _size(tensor: Tensor) -> int:
    return tensor.numel() * tensor.element_size()
