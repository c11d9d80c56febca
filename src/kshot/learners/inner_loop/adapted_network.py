"""A backbone and a head as one network, and how an adapted one answers.

Parameters are named as the learner's own: `backbone.…` and `head.…`. Batch normalisation of the answers is one of three:

    running                   statistics that came with φ: the support set's or the running ones; each query alone (inductive)
    support and this query    those of the support set and the query, which go through the network together (inductive)
    all queries               those of all queries of a task (transductive)

Next: `gradient_learner`, and the learners by inner steps.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from kshot.data.inputs import Inputs, concatenate, count_items, map_inputs
from kshot.errors import RecipeError
from kshot.learners.backbone_form import plain, require_numbers, vectors_of
from kshot.learners.inner_loop.derivative import differentiable_twice
from kshot.learners.inner_loop.network import Network, buffers_of
from kshot.learners.inner_loop.parameters import Tensors
from kshot.learners.inner_loop.task_loss import one_task
from kshot.learners.learner import Mode
from kshot.learners.settings import require_count
from kshot.learners.short_forms import repr_of_adapted
from kshot.value_types import LARGEST_COUNT

STATISTICS: Mapping[Mode, str] = MappingProxyType({"inductive": "support and this query", "transductive": "all queries"})
"""Whose statistics `answer_with_support` and `answer_together` use."""


class BackboneAndHead(nn.Module):
    """A backbone, as it was before `torch.compile`, and its head as one module."""

    passes_tasks = True  # to its parts, as they are: see `native_tasks`

    def __init__(self, backbone: nn.Module, head: nn.Linear) -> None:
        super().__init__()
        self.backbone, self.head = plain(backbone), head

    def forward(self, x: Inputs) -> Tensor:
        """Inputs (M, …) → (M, N); many tasks' (B, M, …) → (B, M, N), where `native_tasks` gives the head weights (B, N, D).

        Raises:
            RecipeError: The backbone does not give one vector per item, of the D for which the head was built, in numbers of its type.
        """
        features = self.backbone(x)
        if isinstance(features, Tensor):
            require_numbers(features, self.backbone)
        if self.head.weight.ndim == 2:
            features = vectors_of(features, "this learner", count_items(x), self.head.in_features)
        outputs: Tensor = self.head(features)
        return outputs


class MadeHead(nn.Module):
    """A linear head whose weights are made for a task. Its own are empty: with them, it hands features on as they are."""

    passes_tasks = True  # see `native_tasks`

    def __init__(self, like: Tensor) -> None:
        super().__init__()
        self.weight, self.bias = (nn.Parameter(like.new_empty(0)) for _ in range(2))

    def forward(self, features: Tensor) -> Tensor:
        """(M, D) → (M, N) with weights (N, D); many tasks' (B, M, D) → (B, M, N) with (B, N, D)."""
        return features @ self.weight.mT + self.bias.unsqueeze(-2) if self.weight.numel() else features


class BackboneAndMadeHead(nn.Module):
    """A backbone, as it was before `torch.compile`, and a head that is made for a task."""

    passes_tasks = True

    def __init__(self, backbone: nn.Module) -> None:
        super().__init__()
        self.backbone = plain(backbone)
        known = (value for value in backbone.parameters() if value.is_floating_point() and not is_lazy(value))
        self.head = MadeHead(next(known, torch.empty(0)))

    def forward(self, x: Inputs) -> Tensor:
        """Inputs (M, …) → (M, N), or features (M, D) where no head is made yet; of many tasks, with one more first dimension.

        Raises:
            RecipeError: The backbone does not give one vector per item, in floating numbers of the type of its parameters.
        """
        features = self.backbone(x)
        if isinstance(features, Tensor):
            require_numbers(features, self.backbone)
        if self.head.bias.ndim == 1:
            features = vectors_of(features, "this learner", count_items(x))
        outputs: Tensor = self.head(features)
        return outputs


class FastWeights(NamedTuple):
    """What gradient steps learn of a task, answered with statistics that are kept.

    Attributes:
        parameters: φ_n by name, each (B, …): those that adapt.
        statistics: The buffers with which `predict` normalises, each (B, …).
    """

    parameters: Tensors
    statistics: Tensors

    def __repr__(self) -> str:
        return repr_of_adapted(self)


class WithSupport(NamedTuple):
    """What gradient steps learn of a task, answered together with the support set.

    Attributes:
        parameters: φ_n by name, each (B, …).
        support: The support items (B, S, …), whose statistics answers need.
    """

    parameters: Tensors
    support: Inputs

    def __repr__(self) -> str:
        return repr_of_adapted(self)


def count_tasks(adapted: FastWeights | WithSupport) -> int:
    """B, the number of tasks that were adapted to."""
    return len(next(iter(adapted.parameters.values())))


def head_of(features: int, outputs: int) -> nn.Linear:
    """A linear head.

    Raises:
        RecipeError: A count is not positive.
    """
    require_count("features", features, 1, LARGEST_COUNT)
    require_count("outputs", outputs, 1, LARGEST_COUNT)
    return nn.Linear(features, outputs)


def answers_of(network: Network, parameters: Tensors, buffers: Tensors, query: Inputs) -> Tensor:
    """Items (B, Q, …) → (B, Q, N), each task's with its own parameters and buffers, (B, …) by name."""
    some = next(iter(parameters.values()))
    answers = []
    with differentiable_twice(), torch.autocast(some.device.type, enabled=False):
        for number in range(len(some)):
            fast, kept = ({name: value[number] for name, value in part.items()} for part in (parameters, buffers))
            answers.append(network(fast, kept, one_task(query, number))[0])
    return torch.stack(answers)


def answer_alone(module: nn.Module, adapted: FastWeights, queries: Inputs) -> Tensor:
    """Items (B, Q, …) → (B, Q, N), each with the statistics that came with φ.

    Raises:
        RecipeError: The network normalises by batch statistics alone.
    """
    for path, norm in module.named_modules():
        if isinstance(norm, nn.modules.batchnorm._BatchNorm) and norm.running_mean is None:
            raise RecipeError(
                f"{path!r} keeps no running statistics, so it cannot normalise a query on its own. Make it with "
                "track_running_stats=True, or ask for transductive answers (predict_together)."
            )
    return answers_of(Network(module, "running"), adapted.parameters, adapted.statistics, queries)


def answer_together(module: nn.Module, parameters: Tensors, queries: Inputs) -> Tensor:
    """Items (B, Q, …) → (B, Q, N), with the statistics of all of a task's items."""
    tasks = len(next(iter(parameters.values())))
    buffers = {name: value.expand(tasks, *value.shape) for name, value in buffers_of(module).items()}
    return answers_of(Network(module, "batch"), parameters, buffers, queries)


def answer_with_support(module: nn.Module, adapted: WithSupport, queries: Inputs) -> Tensor:
    """Items (B, Q, …) → (B, Q, N), each with the statistics of the support set and itself."""
    if not Network(module, "batch").norms:
        return answer_together(module, adapted.parameters, queries)
    count = int((queries if isinstance(queries, Tensor) else next(iter(queries.values()))).shape[1])
    answers = []
    for q in range(count):
        query = map_inputs(lambda value, q=q: value[:, q : q + 1], queries)  # type: ignore[misc]
        together = concatenate([adapted.support, query], dim=1)  # (B, S + 1, …)
        answers.append(answer_together(module, adapted.parameters, together)[:, -1])
    return torch.stack(answers, dim=1)
