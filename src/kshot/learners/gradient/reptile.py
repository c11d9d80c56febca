"""Reptile: move the parameters towards those that each task leads to.

Alex Nichol, Joshua Achiam, John Schulman, "On First-Order Meta-Learning Algorithms", 2018, arXiv 1803.02999.

    φ_b = U_k(θ; task b)                 k Adam steps (β1 = 0) on minibatches of the task's items, from θ      (Algorithm 1 and 2)
    θ ← θ + ε · 1/B Σ_b (φ_b - θ)        ε falls linearly to 0 over training                                   (Algorithm 2)

The inner Adam's second moments are carried on from task to task in training, as in the authors' code: a task starts with those of the tasks
before it, so that its steps are long where its slopes are longer than usual, and nowhere else. To answer, a task starts with those that
training ended with, and changes nothing. The one departure: tasks of an update start with the same moments, where the authors' come one
after another; what they leave is what tasks one after another would have left, had they taken the same steps.

No gradient goes through the inner steps. What is left in `.grad` is θ - mean φ_b, so that plain gradient descent of rate ε is the outer
step: `optimizer = "sgd"`, `momentum = 0`, `schedule = "linear"`, and `lr` is ε at the beginning. In training all items of a task, support
and query alike, are one set to learn from; a task with 5 of each a class is trained on 10 shots. To answer, the support set is adapted to
by more steps, in minibatches that are no larger than it.

Batch normalisation uses the statistics of the items that go through the network together, in training and in answering; running ones are
neither used nor kept. So a query is answered together with the support set, and nothing else (inductive); or with all queries of the
task, without the support set (transductive). Both are the authors'. The order of the minibatches is a function of the episode's number in
training, and of nothing in answering; an item comes again only after all others have come, as there.

Limits: the head has a fixed number of outputs, so a learner serves tasks of one way. An inductive answer takes a forward pass of S + 1
items for each query where the network has batch normalisation. Measured: docs/learners/reptile.md.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from kshot.data.inputs import Inputs, concatenate, map_inputs
from kshot.episodes.counter_random import key_of, streams, words
from kshot.episodes.episode import EpisodeBatch
from kshot.episodes.family import Classification, TaskFamily
from kshot.errors import DataError, TrainingError
from kshot.learners.gradient.adapted_network import STATISTICS, Adapted, answer_alone, answer_together, stacked, trainable
from kshot.learners.inner_loop.batch_checks import check_rectangle, require_fit
from kshot.learners.inner_loop.derivative import require_tape
from kshot.learners.inner_loop.meta_gradient import InnerLoop, best_way
from kshot.learners.inner_loop.modes.first_order import first_order
from kshot.learners.inner_loop.network import Network, buffers_of
from kshot.learners.inner_loop.parameters import Parameters, Tensors, for_each
from kshot.learners.inner_loop.problem import detached
from kshot.learners.inner_loop.schedule import Schedule, for_each_task
from kshot.learners.inner_loop.steps import Rates, require_descent
from kshot.learners.inner_loop.task_loss import loss_of, losses_of, one_task
from kshot.learners.learner import Learner
from kshot.learners.settings import require_count, require_positive

BETAS, EPSILON = (0.0, 0.999), 1e-8
_TRAINING, _ANSWERING = (key_of({"reptile": "minibatches", "of": part}) for part in ("training", "answering"))


class _Reached(NamedTuple):
    """Where the steps on a task lead; of many tasks, each with a first dimension B.

    Attributes:
        parameters: φ by name.
        squares: The running mean of squared slopes, by the same names.
        losses: Of the minibatches, each before its step, (k,).
    """

    parameters: Tensors
    squares: Tensors
    losses: Tensor


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
    statistics = STATISTICS

    adapt_steps: int

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
            require_count(f"{name} of Reptile", count, least)
        require_positive("the inner_lr of Reptile", inner_lr)
        self.arguments = {**counts, "adapt_steps": adapt_steps, "inner_lr": inner_lr}
        self.outputs, self.inner_lr, self.inner_batch = outputs, inner_lr, inner_batch
        self.inner_steps, self.adapt_steps = inner_steps, adapt_steps
        self.backbone = backbone
        self.head = nn.Linear(features, outputs)
        self.family = family
        for number, value in enumerate(self._whole().parameters()):
            self.register_buffer(f"squares_{number}", torch.zeros_like(value, requires_grad=False))
        self.register_buffer("steps_taken", torch.zeros((), dtype=torch.int64))

    def encode(self, x: Inputs) -> Inputs:
        """X itself: what the network makes of an item depends on the task."""
        return x

    def adapt(self, support_features: Inputs, support_y: Tensor, *, way: int | None = None) -> Adapted:
        """Items (B, S, …) and labels (B, S), or targets (B, S, T) → φ.

        Raises:
            RecipeError: The tasks have another way, or other targets, than the head.
            DataError: A task's steps lead to no finite numbers.
        """
        require_tape()
        require_fit(self.outputs, "support", support_features, support_y, way)
        order = list(minibatches(_ANSWERING, 0, support_y.shape[1], self.inner_batch, self.adapt_steps))
        found = self._each(support_features, support_y, [order] * len(support_y), self._way(support_features, support_y))
        if self.adapt_steps:
            names = [f"task {b} of the batch" for b in range(len(found))]
            require_descent(torch.stack([one.losses for one in found]), names, self._rates(), DataError)
        return stacked([one.parameters for one in found], support_features, self.adapt_steps, f"inner_lr ({self.inner_lr})")

    def predict(self, adapted: Adapted, query_features: Inputs) -> Tensor:
        """Items (B, Q, …) → (B, Q, outputs), each with the statistics of the support set and itself."""
        return answer_alone(self._whole(), adapted, query_features)

    def predict_together(self, adapted: Adapted, query_features: Inputs) -> Tensor:
        """Items (B, Q, …) → (B, Q, outputs), with the statistics of all queries of a task."""
        return answer_together(self._whole(), adapted, query_features)

    def meta_backward(self, batch: EpisodeBatch, progress: float) -> Tensor:
        """Leaves θ - mean φ_b; the loss of a task is the mean of its minibatches' losses, each before its step.

        Raises:
            DataError: The batch is no rectangle.
            RecipeError: The tasks have another way, or other targets, than the head.
            TrainingError: The steps of a task diverge.
        """
        check_rectangle(batch)
        require_fit(self.outputs, "support", batch.support_x, batch.support_y, batch.way)
        require_fit(self.outputs, "query", batch.query_x, batch.query_y, batch.way)
        x, y = concatenate([batch.support_x, batch.query_x], dim=1), torch.cat([batch.support_y, batch.query_y], dim=1)
        orders = [list(minibatches(_TRAINING, int(number), y.shape[1], self.inner_batch, self.inner_steps)) for number in batch.numbers]
        way = self._way(x, y)
        found = self._at_once(x, y, orders) if way == "together" else _put_together(self._each(x, y, orders, way), torch.stack)
        require_descent(found.losses, [f"episode {int(number)}" for number in batch.numbers], self._rates(), TrainingError)
        self._carry(found.squares)
        for name, value in trainable(self._whole()).items():
            step = value.detach() - found.parameters[name].mean(0)
            value.grad = step if value.grad is None else value.grad + step
        return found.losses.mean(1)

    def _rates(self) -> Rates:
        return Rates(self.inner_lr, cure="Lower inner_lr, or take fewer steps.")

    def _whole(self) -> nn.Module:
        return nn.Sequential(self.backbone, self.head)

    def _squares(self) -> Tensors:
        """The running mean of squared slopes, by the name of the parameter."""
        named = {name: self.get_buffer(f"squares_{number}") for number, (name, _) in enumerate(self._whole().named_parameters())}
        return {name: named[name] for name in trainable(self._whole())}

    @torch.no_grad()
    def _carry(self, after: Tensors) -> None:
        """Keep what the tasks of an update, each (B, …), would have left had they come one after another with the slopes that they had."""
        decay = BETAS[1] ** self.inner_steps
        for name, before in self._squares().items():
            own = after[name] - decay * before  # of each task's slopes alone
            B = len(own)
            weight = decay ** torch.arange(B - 1, -1, -1, dtype=own.dtype, device=own.device)
            before.copy_(decay**B * before + torch.tensordot(weight, own, 1)).clamp_min_(0)
        self.get_buffer("steps_taken").add_(B * self.inner_steps)

    def _each(self, x: Inputs, y: Tensor, orders: list[list[Tensor]], way: Schedule) -> list[_Reached]:
        """`_steps` of each task."""

        def solve(b: int) -> _Reached:
            return self._steps(one_task(x, b), y[b], orders[b])

        return for_each_task(solve, len(y), y.device) if way != "in_turn" else [solve(b) for b in range(len(y))]

    def _way(self, x: Inputs, y: Tensor) -> Schedule:
        """How the tasks are soonest done: at once, each in a thread of its own, or, where the network draws random numbers, in turn."""
        m = min(self.inner_batch, y.shape[1])
        items, labels = map_inputs(lambda value: value[:, :m], x), y[:, :m]
        step = EpisodeBatch(items, labels, items, labels, None, np.arange(len(y)))  # of the size of a minibatch
        whole = self._whole()
        parts = Parameters({name: value.detach() for name, value in trainable(whole).items()}, {})
        return best_way(whole, parts, self.family, step, InnerLoop(1, self._rates(), first_order))

    def _at_once(self, x: Inputs, y: Tensor, orders: list[list[Tensor]]) -> _Reached:
        """`_steps` of all tasks; on a CPU each thread takes a share of them."""
        shares = torch.get_num_threads() if y.device.type == "cpu" else 1
        bounds = [len(y) * share // min(shares, len(y)) for share in range(min(shares, len(y)) + 1)]

        def solve(share: int) -> _Reached:
            part = slice(bounds[share], bounds[share + 1])
            rows = [torch.stack(step) for step in zip(*orders[part], strict=True)]  # k of (b, m)
            return self._steps(map_inputs(lambda value: value[part], x), y[part], rows, many=True)

        return _put_together(for_each_task(solve, len(bounds) - 1, y.device), torch.cat)

    def _steps(self, x: Inputs, y: Tensor, order: list[Tensor], *, many: bool = False) -> _Reached:
        """A step on each minibatch of a task, or of `many`."""
        whole = self._whole()
        start, squares, buffers = trainable(whole), self._squares(), buffers_of(whole)
        network, loss_of_rows = Network(whole, "batch", each=frozenset(start) if many else None), losses_of if many else loss_of
        if many:
            start, squares = for_each(start, len(y)), for_each(squares, len(y))
            buffers = {name: value.expand(len(y), *value.shape) for name, value in buffers.items()}
        fast = {name: value.detach().clone().requires_grad_() for name, value in start.items()}
        squares = {name: value.clone() for name, value in squares.items()}
        fused = y.device.type in ("cpu", "cuda")
        adam = torch.optim.Adam(fast.values(), lr=self.inner_lr, betas=BETAS, eps=EPSILON, fused=fused)
        for name, value in fast.items():
            taken = self.get_buffer("steps_taken").to(y.device if fused else "cpu", torch.float32, copy=True)
            adam.state[value] = {"step": taken, "exp_avg": torch.zeros_like(value), "exp_avg_sq": squares[name]}
        losses = []
        with torch.enable_grad(), torch.autocast(y.device.type, enabled=False):
            for rows in order:
                rows = rows.to(y.device, non_blocking=True)
                chosen = (torch.arange(len(y), device=y.device).unsqueeze(1), rows) if many else (rows,)
                outputs, _ = network(fast, buffers, map_inputs(lambda value, chosen=chosen: value[chosen], x))  # type: ignore[misc]
                loss = loss_of_rows(self.family, outputs, y[chosen])
                adam.zero_grad()
                loss.sum().backward()  # type: ignore[no-untyped-call]
                adam.step()
                losses.append(loss.detach())
        path = torch.stack(losses, -1) if losses else y.new_zeros((len(y), 0) if many else 0)
        return _Reached(detached(fast), {name: adam.state[value]["exp_avg_sq"] for name, value in fast.items()}, path)


def _put_together(found: Sequence[_Reached], by: Callable[[list[Tensor]], Tensor]) -> _Reached:
    parameters, squares = ({name: by([one[part][name] for one in found]) for name in found[0][part]} for part in (0, 1))  # type: ignore[index]
    return _Reached(parameters, squares, by([one.losses for one in found]))


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
