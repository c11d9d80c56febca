"""A task as a fitted model: what is downloaded, and what is asked what to label next.

A task of an encoder is one. Of a learner that compares vectors, the model is fitted to the same examples on the same vectors, as `kshot fit
--encoder LEARNER` would; its head is another one, so its answers may differ a little. In: a task. Out: a `Model`. Next: `kshot.web.routes`.
"""

from collections.abc import Sequence

import numpy as np

from kshot.errors import KshotError
from kshot.tasks.labels.suggest import Ranking, suggest
from kshot.tasks.model import Model
from kshot.web.answering import Answering, support_of
from kshot.web.problems import Problem, no_task
from kshot.web.sources.encoder_source import ModelTask
from kshot.web.sources.source import Vector, X


def model_of(answering: Answering, tenant: str, id: str) -> tuple[Model, int]:
    """Return a task as a model, and its version.

    Raises:
        Problem: There is no such task, or its learner compares no vectors.
    """
    found = answering.load(tenant, id)
    if isinstance(found.state, ModelTask):
        return found.state.model, found.version
    if (both := answering.store.task_and_examples(tenant, id)) is None:
        raise no_task()
    row, examples = both
    try:
        source = answering.sources.source("encoder", row.source)
        state = source.adapt(support_of(row, examples), source.reader_for([])).state
    except KshotError as error:
        raise Problem(
            409,
            f"this task is no fitted model: {error}",
            field="task",
            expected="a task of an encoder, or of a learner that compares vectors",
        ) from error
    assert isinstance(state, ModelTask)
    return state.model, row.version


def suggestions(answering: Answering, tenant: str, id: str, vectors: Sequence[Vector], count: int) -> tuple[Ranking, int]:
    """Return what to label next, and the version of the task that says so.

    Raises:
        Problem: As of `model_of`, or there is nothing to suggest.
    """
    model, version = model_of(answering, tenant, id)
    try:
        return suggest(model, np.stack([one[X] for one in vectors]), count), version
    except KshotError as error:
        raise Problem(422, str(error), field="inputs", expected="things without labels", found=str(error)) from error
