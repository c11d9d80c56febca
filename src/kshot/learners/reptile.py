"""Reptile: move the parameters towards those that each task leads to.

Alex Nichol, Joshua Achiam, John Schulman, "On First-Order Meta-Learning Algorithms", 2018, arXiv 1803.02999.

    φ_b = U_k(θ; task b)                 k Adam steps (β1 = 0) on minibatches of the task's items, from θ      (Algorithm 1 and 2)
    θ ← θ + ε · 1/B Σ_b (φ_b - θ)        ε falls linearly to 0 over training                                   (Algorithm 2)

No gradient goes through the inner steps. What is left in `.grad` is θ - mean φ_b, so that plain gradient descent of rate ε is the outer
step: `optimizer = "sgd"`, `momentum = 0`, `schedule = "linear"`, and `lr` is ε at the beginning. In training all items of a task, support
and query alike, are one set to learn from; a task with 5 of each a class is trained on 10 shots. To answer, the support set is adapted to
by more steps, in minibatches that are no larger than it.

Batch normalisation uses the statistics of the items that go through the network together, in training and in answering; running ones are
neither used nor kept. So a query is answered together with the support set, and nothing else (inductive); or with all queries of the
task, without the support set (transductive). Both are the authors'.

Departures from the authors' code: the second moments of the inner Adam start from 0 for each task, where theirs are carried from task to
task; the order of the minibatches is a function of the episode's number in training, and of nothing in answering. As there, an item comes
again only after all others have come.

Limits: the head has a fixed number of outputs, so a learner serves tasks of one way. An inductive answer takes a forward pass of S + 1
items for each query where the network has batch normalisation. Measured: docs/learners/reptile.md.
"""

import math
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import ClassVar, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from kshot.data.inputs import Inputs, concatenate, map_inputs
from kshot.episodes.counter_random import key_of, streams, words
from kshot.episodes.episode import EpisodeBatch
from kshot.episodes.family import Classification, TaskFamily
from kshot.errors import DataError, RecipeError
from kshot.learners.inner_loop.network import Network, buffers_of
from kshot.learners.inner_loop.parameters import Tensors
from kshot.learners.inner_loop.task_loss import loss_of, one_task
from kshot.learners.learner import Learner, Mode

BETAS, EPSILON = (0.0, 0.999), 1e-8
_TRAINING, _ANSWERING = (key_of({"reptile": "minibatches", "of": part}) for part in ("training", "answering"))


class Adapted(NamedTuple):
    """What Reptile learns of a task.

    Attributes:
        parameters: φ, by name in the network of backbone (`0.`) and head (`1.`), each (B, …).
        support: The support items (B, S, …), whose statistics answers need.
    """

    parameters: Tensors
    support: Inputs


class Reptile(Learner):
    """The two lines above.

    Args:
        backbone: Inputs (M, …) → features (M, D).
        features: D.
        outputs: N, the way of all tasks; or T, for real targets.
        inner_lr: Of the inner Adam, > 0.
        inner_steps: k in training, ≥ 1.
        adapt_steps: Steps on a support set to answer, ≥ 0.
        inner_batch: Items of a minibatch, ≥ 1; a task with fewer is one minibatch.
        family: The kind of task.

    Raises:
        RecipeError: A number is out of its range.
    """

    modes = ("inductive", "transductive")
    statistics: ClassVar[Mapping[Mode, str]] = MappingProxyType({"inductive": "support and this query", "transductive": "all queries"})

    def __init__(
        self,
        backbone: nn.Module,
        features: int,
        outputs: int = 5,
        *,
        inner_lr: float = 1e-3,
        inner_steps: int = 5,
        adapt_steps: int = 50,
        inner_batch: int = 10,
        family: TaskFamily = Classification(),  # noqa: B008  # frozen
    ) -> None:
        super().__init__()
        counts = {"features": features, "outputs": outputs, "inner_steps": inner_steps, "inner_batch": inner_batch}
        for name, count, least in (*((name, count, 1) for name, count in counts.items()), ("adapt_steps", adapt_steps, 0)):
            if count < least:
                raise RecipeError(f"{name} of Reptile must be {least} or more; found {count}.")
        if not 0 < inner_lr < math.inf:
            raise RecipeError(f"the inner_lr of Reptile must be a positive number; found {inner_lr}.")
        self.arguments = {**counts, "adapt_steps": adapt_steps, "inner_lr": inner_lr}
        self.outputs, self.inner_lr, self.inner_batch = outputs, inner_lr, inner_batch
        self.inner_steps, self.adapt_steps = inner_steps, adapt_steps
        self.backbone = backbone
        self.head = nn.Linear(features, outputs)
        self.family = family

    def encode(self, x: Inputs) -> Inputs:
        """X itself: what the network makes of an item depends on the task."""
        return x

    def adapt(self, support_features: Inputs, support_y: Tensor, *, way: int | None = None) -> Adapted:
        """Items (B, S, …) and labels (B, S), or targets (B, S, T) → φ.

        Raises:
            RecipeError: The tasks have another way, or other targets, than the head.
            DataError: A task's steps lead to no finite numbers.
        """
        self._require_outputs(support_y, way)
        order = list(minibatches(_ANSWERING, 0, support_y.shape[1], self.inner_batch, self.adapt_steps))
        tasks = [self._steps(one_task(support_features, b), support_y[b], order)[0] for b in range(len(support_y))]
        for b, parameters in enumerate(tasks):
            if not all(bool(value.isfinite().all()) for value in parameters.values()):
                raise DataError(
                    f"{self.adapt_steps} inner steps on task {b} of the batch lead to numbers that are not finite. "
                    f"Lower inner_lr ({self.inner_lr}), or look at the task's items."
                )
        return Adapted({name: torch.stack([task[name] for task in tasks]) for name in tasks[0]}, support_features)

    def predict(self, adapted: Adapted, query_features: Inputs) -> Tensor:
        """Items (B, Q, …) → (B, Q, outputs), each with the statistics of the support set and itself."""
        network = self._network()
        if not network.norms:
            return self._forward(network, adapted.parameters, query_features)
        answers = []
        for q in range(_items(query_features)):
            query = map_inputs(lambda value, q=q: value[:, q : q + 1], query_features)  # type: ignore[misc]
            answers.append(self._forward(network, adapted.parameters, concatenate([adapted.support, query], dim=1))[:, -1])
        return torch.stack(answers, dim=1)

    def predict_together(self, adapted: Adapted, query_features: Inputs) -> Tensor:
        """Items (B, Q, …) → (B, Q, outputs), with the statistics of all queries of a task."""
        return self._forward(self._network(), adapted.parameters, query_features)

    def meta_backward(self, batch: EpisodeBatch, progress: float) -> Tensor:
        """Leaves θ - mean φ_b; the loss of a task is the mean of its minibatches' losses, each before its step."""
        self._require_outputs(batch.support_y, batch.way)
        x, y = concatenate([batch.support_x, batch.query_x], dim=1), torch.cat([batch.support_y, batch.query_y], dim=1)
        start = self._start()
        total, losses = {name: torch.zeros_like(value) for name, value in start.items()}, []
        for b, number in enumerate(batch.numbers):
            order = minibatches(_TRAINING, int(number), y.shape[1], self.inner_batch, self.inner_steps)
            reached, path = self._steps(one_task(x, b), y[b], list(order))
            for name, value in reached.items():
                total[name] += value
            losses.append(path.mean())
        for name, value in start.items():
            step = value.detach() - total[name] / len(losses)
            value.grad = step if value.grad is None else value.grad + step
        return torch.stack(losses)

    def _whole(self) -> nn.Module:
        return nn.Sequential(self.backbone, self.head)

    def _network(self) -> Network:
        return Network(self._whole(), "batch")

    def _start(self) -> Tensors:
        """θ: the trainable parameters by name."""
        return {name: value for name, value in self._whole().named_parameters() if value.requires_grad}

    def _steps(self, x: Inputs, y: Tensor, order: list[Tensor]) -> tuple[Tensors, Tensor]:
        """One task's φ after a step on each minibatch, and the losses before the steps, (k,)."""
        network, buffers = self._network(), buffers_of(self._whole())
        fast = {name: value.detach().clone().requires_grad_() for name, value in self._start().items()}
        fused = y.device.type in ("cpu", "cuda")
        adam = torch.optim.Adam(fast.values(), lr=self.inner_lr, betas=BETAS, eps=EPSILON, fused=fused)
        losses = []
        with torch.enable_grad(), torch.autocast(y.device.type, enabled=False):
            for rows in order:
                rows = rows.to(y.device, non_blocking=True)
                outputs, _ = network(fast, buffers, map_inputs(lambda value, rows=rows: value[rows], x))  # type: ignore[misc]
                loss = loss_of(self.family, outputs, y[rows])
                adam.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                adam.step()
                losses.append(loss.detach())
        return {name: value.detach() for name, value in fast.items()}, torch.stack(losses) if losses else y.new_zeros(0)

    def _forward(self, network: Network, parameters: Tensors, x: Inputs) -> Tensor:
        """Each task's items (B, n, …) through its own network, together."""
        buffers = buffers_of(self._whole())
        tasks = range(len(next(iter(parameters.values()))))
        own = ({name: value[b] for name, value in parameters.items()} for b in tasks)
        return torch.stack([network(values, buffers, one_task(x, b))[0] for b, values in zip(tasks, own, strict=True)])

    def _require_outputs(self, y: Tensor, way: int | None) -> None:
        if y.is_floating_point():
            found, what = y.shape[-1], "target values an item"
        else:
            found, what = (max(self.outputs, int(y.max()) + 1) if way is None else way), "classes"
        if found != self.outputs:
            raise RecipeError(
                f"the head of this learner has {self.outputs} outputs, and the tasks have {found} {what}. Ask for what it was trained for, "
                f"or train one with learner.outputs={found}."
            )


def minibatches(key: int, number: int, items: int, size: int, steps: int) -> Iterator[Tensor]:
    """Which items each minibatch holds: rounds over all items, each in a random order of its own, cut into pieces of equal size.

    Args:
        key: Of the random numbers.
        number: Which stream of them, ≥ 0.
        items: How many there are.
        size: Of a minibatch; where there are fewer items, they are one.
        steps: How many minibatches.

    Yields:
        Positions, int64 (min(size, items),).
    """
    size = min(size, items)
    rounds = math.ceil(steps * size / items)
    random = words(streams(key, np.array([number])), 0, rounds * items).reshape(rounds, items)
    order = np.argsort(random, axis=1, kind="stable").reshape(-1)
    for step in range(steps):
        yield torch.from_numpy(order[step * size : (step + 1) * size])


def _items(x: Inputs) -> int:
    """Q of items (B, Q, …)."""
    return int((x if isinstance(x, Tensor) else next(iter(x.values()))).shape[1])
