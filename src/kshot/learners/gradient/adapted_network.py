"""A backbone with a head of its own, adapted to each task as one network: what gradient-based learners share.

The network is `nn.Sequential(backbone, head)`, so parameters are named `0.…` and `1.…`. Batch normalisation uses the statistics of the
items that go through the network together; running ones are neither used nor kept. A query is therefore answered together with the
support set, and nothing else (inductive), or with all queries of its task, without the support set (transductive).
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

import torch
from torch import Tensor, nn

from kshot.data.inputs import Inputs, concatenate, map_inputs
from kshot.errors import DataError
from kshot.learners.inner_loop.batch_checks import check_queries
from kshot.learners.inner_loop.derivative import differentiable_twice
from kshot.learners.inner_loop.network import Network, buffers_of
from kshot.learners.inner_loop.parameters import Tensors, divide_parameters
from kshot.learners.inner_loop.task_loss import one_task
from kshot.learners.learner import Mode

STATISTICS: Mapping[Mode, str] = MappingProxyType({"inductive": "support and this query", "transductive": "all queries"})
"""Whose statistics `answer_alone` and `answer_together` use."""


class Adapted(NamedTuple):
    """What is learned of a task.

    Attributes:
        parameters: φ, those that were adapted, by name, each (B, …).
        support: The support items (B, S, …), whose statistics answers need.
    """

    parameters: Tensors
    support: Inputs


def trainable(module: nn.Module) -> Tensors:
    """θ: the trainable parameters by name; a tied one has one name. Errors as of `divide_parameters`."""
    return divide_parameters(module).adapting


def stacked(tasks: list[Tensors], support: Inputs, steps: int, rate: str) -> Adapted:
    """What tasks have come to, each by itself, as one.

    Args:
        tasks: φ of each.
        support: Their support items (B, S, …).
        steps: How many were taken; for the message.
        rate: What to lower, with its value; for the message.

    Raises:
        DataError: A task has come to numbers that are not finite.
    """
    for b, parameters in enumerate(tasks):
        if not all(bool(value.isfinite().all()) for value in parameters.values()):
            fault = DataError(
                f"{steps} inner steps on task {b} of the batch lead to numbers that are not finite. Lower {rate}, or look at "
                "the task's items."
            )
            fault.task = b
            raise fault
    return Adapted({name: torch.stack([task[name] for task in tasks]) for name in tasks[0]}, support)


def answer_alone(module: nn.Module, adapted: Adapted, queries: Inputs) -> Tensor:
    """Items (B, Q, …) → (B, Q, outputs), each with the statistics of the support set and itself."""
    if not Network(module, "batch").norms:
        return answer_together(module, adapted, queries)
    count = int((queries if isinstance(queries, Tensor) else next(iter(queries.values()))).shape[1])
    answers = []
    for q in range(count):
        query = map_inputs(lambda value, q=q: value[:, q : q + 1], queries)  # type: ignore[misc]
        together = concatenate([adapted.support, query], dim=1)  # (B, S + 1, …)
        answers.append(answer_together(module, adapted, together)[:, -1])
    return torch.stack(answers, dim=1)


def answer_together(module: nn.Module, adapted: Adapted, queries: Inputs) -> Tensor:
    """Items (B, Q, …) → (B, Q, outputs), with the statistics of all of a task's items."""
    network, buffers = Network(module, "batch"), buffers_of(module)
    outputs = []
    some = next(iter(adapted.parameters.values()))
    check_queries(len(some), queries)
    with differentiable_twice(), torch.autocast(some.device.type, enabled=False):
        for b in range(len(some)):
            parameters = {name: value[b] for name, value in adapted.parameters.items()}
            outputs.append(network(parameters, buffers, one_task(queries, b))[0])
    return torch.stack(outputs)
