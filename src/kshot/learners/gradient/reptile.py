"""Reptile: move the parameters towards those that each task leads to.

Alex Nichol, Joshua Achiam, John Schulman, "On First-Order Meta-Learning Algorithms", 2018, arXiv 1803.02999.

    φ_b = U_k(θ; task b)                 k Adam steps (β1 = 0) on minibatches of the task's items, from θ      (Algorithm 1 and 2)
    θ ← θ + ε · 1/B Σ_b (φ_b - θ)        ε falls linearly to 0 over training                                   (Algorithm 2)

What the inner optimiser remembers is carried on from task to task in training, as in the authors' code: a task starts with the second
moments of the tasks before it, so that its steps are long where its slopes are longer than usual, and nowhere else. To answer, a task
starts with those that training ended with, and changes nothing. The one departure: tasks of an update start with the same moments, where
the authors' come one after another; what they leave is what tasks one after another would have left, had they taken the same steps.

No gradient goes through the inner steps. What is left in `.grad` is θ - mean φ_b, so that plain gradient descent of rate ε is the outer
step: `optimizer = "sgd"`, `momentum = 0`, `schedule = "linear"`, and `lr` is ε at the beginning. In training all items of a task, support
and query alike, are one set to learn from; a task with 5 support and 5 query items per class is trained on 10 shots. To answer, the
support set is adapted to by more steps, in minibatches that are no larger than it.

Batch normalisation uses the statistics of the items that go through the network together, in training and in answering; running ones are
neither used nor kept. So a query is answered together with the support set, and nothing else (inductive); or with all queries of the
task, without the support set (transductive). Both are the authors'. The order of the minibatches is a function of the episode's number in
training, and of nothing in answering; an item comes again only after all others have come, as there.

Limits: the head has a fixed number of outputs, so a learner serves tasks of one way. An inductive answer takes a forward pass of S + 1
items for each query where the network has batch normalisation. Measured: docs/learners/reptile.md.
"""

import math
from collections.abc import Iterator, Mapping
from types import MappingProxyType

import numpy as np
import torch
from torch import Tensor, nn

from kshot.data.inputs import Inputs, concatenate, map_inputs
from kshot.episodes.counter_random import key_of, streams, words
from kshot.episodes.episode import EpisodeBatch
from kshot.episodes.family import Classification, TaskFamily
from kshot.learners.asked import check_queries, check_support
from kshot.learners.inner_loop.adaptation import adapt
from kshot.learners.inner_loop.adapted_network import (
    STATISTICS,
    BackboneAndHead,
    WithSupport,
    answer_together,
    answer_with_support,
    count_tasks,
    head_of,
)
from kshot.learners.inner_loop.assignment import Assignment
from kshot.learners.inner_loop.batch_checks import check_rectangle, require_head
from kshot.learners.inner_loop.derivative import require_tape
from kshot.learners.inner_loop.descent import Descent, InnerOptimizer, direction_named, rates_by_pattern
from kshot.learners.inner_loop.gradient_learner import a_seed, leave, support_only
from kshot.learners.inner_loop.loop import InnerLoop
from kshot.learners.inner_loop.meta_gradient import solved
from kshot.learners.inner_loop.modes.displacement import displacement
from kshot.learners.inner_loop.network import buffers_of
from kshot.learners.inner_loop.parameters import Tensors, divide_parameters
from kshot.learners.inner_loop.planning.plan import plan_for
from kshot.learners.inner_loop.tasks import Tasks, tasks_of
from kshot.learners.learner import Learner
from kshot.learners.settings import MOST_STEPS, require_count, require_positive

ADAM: Mapping[str, object] = MappingProxyType({"name": "adam", "beta1": 0.0})
"""The authors' inner optimiser."""

_TRAINING, _ANSWERING = (key_of({"reptile": "minibatches", "of": part}) for part in ("training", "answering"))


class Reptile(Learner):
    """The two lines above.

    Args:
        backbone: Inputs (M, …) → features (M, D).
        features: D.
        outputs: N, the way of all tasks; or T, for real targets.
        inner_lr: The inner rate, > 0.
        inner_optimizer: The inner update rule: Adam with β1 = 0 as in the authors' code, or `sgd`, `momentum`, `rmsprop` or `adam`.
        layer_lr: The inner rate of some layers, by patterns of parameter names, such as `{"head.*": 1e-2}`.
        inner_steps: k in training, ≥ 1.
        adapt_steps: Steps on a support set to answer, ≥ 0.
        inner_batch: Items of a minibatch, ≥ 1; a task with fewer is one minibatch.
        family: The kind of task.

    Raises:
        RecipeError: A number is out of its range.
    """

    modes = ("inductive", "transductive")
    statistics = STATISTICS

    adapt_steps: int
    steps_taken: Tensor

    def __init__(
        self,
        backbone: nn.Module,
        features: int,
        outputs: int = 5,
        *,
        inner_lr: float = 1e-3,
        inner_optimizer: InnerOptimizer = ADAM,
        layer_lr: Mapping[str, float] | None = None,
        inner_steps: int = 5,
        adapt_steps: int = 50,
        inner_batch: int = 10,
        family: TaskFamily = Classification(),  # noqa: B008  # frozen
    ) -> None:
        super().__init__()
        counts = {"features": features, "outputs": outputs, "inner_steps": inner_steps, "inner_batch": inner_batch}
        for name, count, least in (*((name, count, 1) for name, count in counts.items()), ("adapt_steps", adapt_steps, 0)):
            require_count(f"{name} of Reptile", count, least, MOST_STEPS)
        require_positive("the inner_lr of Reptile", inner_lr)
        direction = direction_named(inner_optimizer)
        self.outputs, self.inner_batch, self.inner_steps, self.adapt_steps = outputs, inner_batch, inner_steps, adapt_steps
        self.backbone, self.head = backbone, head_of(features, outputs)
        by_name = rates_by_pattern(layer_lr, divide_parameters(self.network()).adapting)
        self.rule = Descent(inner_lr, direction, by_name, cure="Lower inner_lr, or take fewer steps.")
        self.family = family
        for slot in direction.decays:
            for number, value in enumerate(self.network().parameters()):
                self.register_buffer(f"{slot}_{number}", torch.zeros_like(value, requires_grad=False))
        self.register_buffer("steps_taken", torch.zeros((), dtype=torch.int64))

    def encode(self, x: Inputs) -> Inputs:
        """Returns x unchanged: what a network makes of an item depends on the task."""
        return x

    def adapt(self, support_features: Inputs, support_y: Tensor, *, way: int | None = None) -> WithSupport:
        """Items (B, S, …) and labels (B, S), or targets (B, S, T) → φ.

        Raises:
            RecipeError: The tasks have another way, or other targets, than the head.
            DataError: A task's steps diverged.
        """
        require_tape()
        check_support(self, support_features, support_y, way)
        require_head(self.outputs, support_y, way)
        rows = self._rows(_ANSWERING, [0], support_y.shape[1], self.adapt_steps, support_y.device)
        rows = None if rows is None else rows.expand(len(support_y), -1, -1)
        assignment = self._assignment(support_only(support_features, support_y, buffers_of(self.network()), rows), self.adapt_steps, 0)
        found = adapt(assignment, over_threads=plan_for(assignment).schedule != "in_turn")
        return WithSupport(found.parameters, support_features)

    def predict(self, adapted: WithSupport, query_features: Inputs) -> Tensor:
        """Items (B, Q, …) → (B, Q, outputs), each with the statistics of the support set and itself."""
        check_queries(self, count_tasks(adapted), query_features)
        return answer_with_support(self.network(), adapted, query_features)

    def predict_together(self, adapted: WithSupport, query_features: Inputs) -> Tensor:
        """Items (B, Q, …) → (B, Q, outputs), with the statistics of all queries of a task."""
        check_queries(self, count_tasks(adapted), query_features)
        return answer_together(self.network(), adapted.parameters, query_features)

    def meta_backward(self, batch: EpisodeBatch, progress: float) -> Tensor:
        """Leaves θ - mean φ_b; the loss of a task is the mean of its minibatches' losses, each before its step.

        Raises:
            DataError: The batch is no rectangle.
            RecipeError: The tasks have another way, or other targets, than the head.
            TrainingError: The steps of a task diverge.
        """
        check_rectangle(batch, self.outputs)
        x, y = concatenate([batch.support_x, batch.query_x], dim=1), torch.cat([batch.support_y, batch.query_y], dim=1)
        first, labels = map_inputs(lambda value: value[:, : self.inner_batch], x), y[:, : self.inner_batch]  # no query is asked
        items = EpisodeBatch(x, y, first, labels, batch.way, batch.numbers)
        rows = self._rows(_TRAINING, batch.numbers, y.shape[1], self.inner_steps, y.device)
        assignment = self._assignment(tasks_of(items, buffers_of(self.network()), rows), self.inner_steps, a_seed())
        found = solved(assignment, items)
        self._carry(found.state)
        self.steps_taken.add_(len(y) * self.inner_steps)
        leave((assignment.parameters.adapting,), (found.start,))
        return found.loss

    def network(self) -> BackboneAndHead:
        """Backbone and head as one module, whose parameters are named as the learner's own."""
        return BackboneAndHead(self.backbone, self.head)

    def _assignment(self, tasks: Tasks, steps: int, seed: int) -> Assignment:
        """The tasks as an assignment, whose rule continues where the tasks before them ended."""
        module = self.network()
        loop = InnerLoop(steps, self.rule, displacement)
        return Assignment(module, divide_parameters(module), self.family, tasks, loop, seed, self._remembered(), self.steps_taken)

    def _remembered(self) -> Tensors:
        """What the inner optimiser remembers, named as in `Descent`."""
        adapting = divide_parameters(self.network()).adapting
        return {
            f"{slot}/{name}": self.get_buffer(f"{slot}_{number}")
            for slot in self.rule.direction.decays
            for number, (name, _) in enumerate(self.network().named_parameters())
            if name in adapting
        }

    @torch.no_grad()
    def _carry(self, after: Tensors) -> None:
        """Keep what the tasks of an update, each (B, …), would have left had they come one after another with the slopes that they had."""
        for name, before in self._remembered().items():
            slot = name.partition("/")[0]
            decay = self.rule.direction.decays[slot] ** self.inner_steps
            own = after[name] - decay * before  # of each task's slopes alone
            B = len(own)
            weight = decay ** torch.arange(B - 1, -1, -1, dtype=own.dtype, device=own.device)
            before.copy_(decay**B * before + torch.tensordot(weight, own, 1))
            if slot == "squares":
                before.clamp_min_(0)

    def _rows(self, key: int, numbers: "list[int] | np.ndarray", items: int, steps: int, device: torch.device) -> Tensor | None:
        """Which items each step takes, (B, steps, m); None without steps."""
        if not steps:
            return None
        rows = [torch.stack(list(minibatches(key, int(number), items, self.inner_batch, steps))) for number in numbers]
        return torch.stack(rows).to(device, non_blocking=True)


def minibatches(key: int, number: int, items: int, size: int, steps: int) -> Iterator[Tensor]:
    """Which items each minibatch holds: rounds over all items, each in a random order of its own, cut into pieces of equal size.

    Args:
        key: Key of the random numbers.
        number: Which stream of them, ≥ 0.
        items: How many there are.
        size: Items per minibatch; where there are fewer items, they are one minibatch.
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
