"""Trial tasks before a run begins: a learner that does not fit the data is detected before training, not halfway.

In: an untrained learner, a training batch, an episode set of one episode. Out: nothing, or an error; nothing has been written. Next:
`kshot.workflows.experiment`.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from kshot.data.inputs import map_inputs
from kshot.episodes.episode import EpisodeBatch
from kshot.episodes.item_stream import ItemBatch, ItemStream
from kshot.episodes.stream import EpisodeStream
from kshot.errors import DataError, RecipeError
from kshot.learners.learner import Learner, encode_tasks
from kshot.results.score.episode_set import EpisodeSet
from kshot.results.score.evaluate import evaluate, evaluating

MOST_BYTES = 2**31
"""Inputs of one update, in float32."""


def check_update_size(stream: EpisodeStream | ItemStream) -> None:
    """Refuse an update whose inputs would not fit into memory, before they are gathered.

    Raises:
        RecipeError: The inputs would take more than `MOST_BYTES` in float32.
    """
    items, dataset = stream.size, stream.dataset
    if isinstance(stream, EpisodeStream):
        shape = stream.shape
        items *= shape.way_range[1] * (shape.shot_range[1] + shape.query_range[1])
    x = dataset.preprocess.to_input(dataset.gather(dataset.index.items[:1]))  # (1, …)
    size = items * 4 * sum(part.numel() for part in ([x] if isinstance(x, torch.Tensor) else x.values()))
    if size > MOST_BYTES:
        raise RecipeError(
            f"one update would read {items:,} items, {size / 2**30:,.1f} GiB; at most {MOST_BYTES / 2**30:.0f} GiB are read. "
            "Lower episodes.tasks, way, shot or query, items.batch, or data.size."
        )


def try_training(learner: Learner, batch: EpisodeBatch | ItemBatch) -> None:
    """Encode one item, and learn one training task.

    Raises:
        RecipeError: The network does not fit the items, or the learner does not fit the tasks.
    """
    one = map_inputs(lambda value: value[:1], batch.items())
    shape = tuple(one.shape) if isinstance(one, torch.Tensor) else {name: tuple(value.shape) for name, value in one.items()}
    with evaluating(learner), torch.no_grad():
        with _unreadable(f"the backbone cannot read one item of shape {shape}", "Check [backbone] and [data]."):
            learner.encode(one)
        if isinstance(batch, EpisodeBatch):
            support, query = (map_inputs(lambda value: value[:1], x) for x in (batch.support_x, batch.query_x))
            with _unreadable("the learner cannot learn a training task", "Check [backbone], [data] and [learner]."):
                support, query = encode_tasks(learner, support, query)
                learner.predict(learner.adapt(support, batch.support_y[:1], way=batch.way), query)


def try_answering(learner: Learner, one: EpisodeSet, device: torch.device) -> None:
    """Learn and answer one validation task.

    Raises:
        RecipeError: The learner cannot answer it.
    """
    with _unreadable("the learner cannot answer a validation task", "Check [backbone], [data], [learner] and [validation]."):
        evaluate(learner, one, device=device)


@contextmanager
def _unreadable(what: str, cure: str) -> Iterator[None]:
    """Turn errors of PyTorch into errors of the recipe. Ignore a task on which an untrained learner fails: a trained one may succeed."""
    try:
        yield
    except DataError as error:
        if error.task is None:
            raise
    except RecipeError:
        raise
    except (RuntimeError, ValueError, IndexError) as error:
        first = str(error).partition("\n")[0].rstrip(".")
        raise RecipeError(f"{what}: {first}. {cure}") from error
