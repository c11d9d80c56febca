"""Meta-training of a learned optimiser: it minimises functions, and what it reached there says how its weights change.

A lane is a kind of objective: B functions at a time, which the rule minimises over the horizon, then new ones. One update of the
meta-parameters φ goes on by `truncation` steps in every lane. With the losses f_t at the parameters θ_t, the value of a function in those
steps is

    L = Σ_t w_t (log(f_t + ε f_0) + max(0, f_t / f_0 - 1)),     w_t ∝ 1 + 3 t / horizon,     ε = 0.1

where Σ_t w_t over the steps of an update is 1 in the mean over the updates of a function, and 1.5 in the last ones, because the end is what
is wanted. Every kind counts by its relative progress, and functions that are minimised slowly count, too: with ε = 0.01, those that have
long come down count ten times as much. The second term is 0 unless a loss is larger than where it began: to the logarithm
alone, a first step that makes a loss twenty times as large would be cheap. Two ways of estimating ∂L/∂φ:

truncated
:   By the chain rule through the steps of this update alone (Andrychowicz et al. 2016, section 2: truncated backpropagation). As in the
    paper, ∂∇f_t/∂φ is dropped. What remains needs no derivative of f beside the gradients that the rule was given: ∂L/∂φ is the derivative
    of Σ_t w_t ⟨∇f_t, θ_t(φ)⟩ / (f_t + ε f_0), plus that of the second term, with ∇f_t held fixed.

persistent
:   Persistent evolution strategies (Vicol, Metz and Sohl-Dickstein, ICML 2021, arXiv 2112.13835, algorithm 2): N pairs of rules at φ ± σε_i
    minimise on their own. ξ_i sums the ε_i of a pair since its functions began, and ∂L/∂φ ≈ 1/(2Nσ²) Σ_i σξ_i (L_i⁺ - L_i⁻). There is no
    bias from truncation, and more noise.

What a lane has reached is in buffers, so a state of a run holds it and a resumed run is bit-identical. In: a `LearnedOptimizer` and kinds
of objectives. Out: a `Trainable` for the outer loop. Next: `kshot.meta_train.loop`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Literal

import numpy as np
import torch
from torch import Tensor, nn

from kshot.episodes.counter_random import key_of
from kshot.errors import RecipeError
from kshot.learners.inner_loop.parameters import Tensors
from kshot.learners.inner_loop.update_rule import UpdateRule
from kshot.learners.learned_updates.learned_optimizer import LearnedOptimizer
from kshot.learners.learner import Trainable
from kshot.meta_train.objectives.objective import Objective, ObjectiveKind

FLOOR = 0.1
"""ε: below this share of the first loss, progress counts for less and less."""
LATE = 3.0
"""How much more than the first step the last one counts, as a multiple of the first."""


@dataclass(frozen=True)
class Window:
    """The steps of one update in one lane.

    Attributes:
        lane: Name of the lane.
        objective: The B functions.
        numbers: Their numbers, int64 (B,).
        first: Number of the first step, 0 where the functions begin.
        key: 64 bits that belong to this window alone, for random numbers.
    """

    lane: str
    objective: Objective = field(repr=False)
    numbers: np.ndarray
    first: int
    key: int
    unit: ClassVar[str] = "function"
    device: ClassVar[torch.device] = torch.device("cpu")

    def __len__(self) -> int:
        return len(self.numbers)


class WindowStream:
    """The windows of every update; a function of the update's number.

    Args:
        lanes: Name of the lane → kind of objective and B, the functions at a time.
        seed: Seed of the run.
        horizon: Steps for which functions are minimised.
        truncation: Steps per update. The horizon is a multiple of it.

    Raises:
        RecipeError: The horizon is not a multiple of the truncation.
    """

    source = "objectives"

    def __init__(self, lanes: Mapping[str, tuple[ObjectiveKind, int]], *, seed: int, horizon: int, truncation: int) -> None:
        if horizon % truncation:
            raise RecipeError(f"optimizer.horizon must be a multiple of optimizer.truncation; found {horizon} and {truncation}.")
        self.lanes, self.seed, self.truncation = dict(lanes), seed, truncation
        self.windows = horizon // truncation
        self.size = sum(tasks for _, tasks in self.lanes.values())
        self._drawn: dict[str, tuple[int, Objective]] = {}

    def batches(self, update: int) -> list[Window]:
        """One window of every lane. The lanes are at different places of the horizon."""
        windows = []
        for place, (name, (kind, tasks)) in enumerate(self.lanes.items()):
            trial, window = divmod(update + place % self.windows, self.windows)
            numbers = np.arange(trial * tasks, (trial + 1) * tasks)
            if self._drawn.get(name, (-1,))[0] != trial:
                self._drawn[name] = (trial, kind.draw(self.seed, numbers.tolist(), "train"))
            key = key_of({"lane": name, "seed": self.seed, "update": update})
            windows.append(Window(name, self._drawn[name][1], numbers, window * self.truncation, key))
        return windows


class Unrolling(Trainable):
    """A learned optimiser with what it has reached in every lane.

    Args:
        optimizer: The learned optimiser to train.
        stream: The windows to come. The first functions give the forms of the buffers.
        estimator: `truncated` or `persistent`, as above.
        pairs: N of persistent evolution strategies.
        sigma: σ of persistent evolution strategies.
        second_order: Whether the truncated gradient keeps ∂∇f_t/∂φ.
    """

    def __init__(
        self,
        optimizer: LearnedOptimizer,
        stream: WindowStream,
        *,
        estimator: Literal["truncated", "persistent"] = "truncated",
        pairs: int = 2,
        sigma: float = 0.01,
        second_order: bool = False,
    ) -> None:
        super().__init__()
        self.optimizer, self.second_order = optimizer, second_order
        self.horizon, self.truncation = stream.windows * stream.truncation, stream.truncation
        self.pairs, self.sigma = (pairs, sigma) if estimator == "persistent" else (0, 0.0)
        self.lanes = nn.ModuleDict()
        weights = sum(value.numel() for value in optimizer.parameters())
        for window in stream.batches(0):
            lane = nn.Module()
            for name, value in _begun(optimizer.rule, window.objective, max(1, 2 * self.pairs)).items():
                lane.register_buffer(name, value)
            lane.register_buffer("drift", torch.zeros(self.pairs, weights))
            self.lanes[window.lane] = lane

    def meta_backward(self, batch: Window, progress: float) -> Tensor:
        """Go on by the steps of a window; add the estimate to `.grad`. Returns L less that of standing still, (B,)."""
        lane = dict(self.lanes[batch.lane].named_buffers())
        if batch.first == 0:
            _put(lane, {**_begun(self.optimizer.rule, batch.objective, max(1, 2 * self.pairs)), "drift": torch.zeros_like(lane["drift"])})
        losses = self._persistent(batch, lane) if self.pairs else self._truncated(batch, lane)
        still = ((1 + FLOOR) * lane["loss"]).log().view(-1, len(batch)).mean(0)
        return losses - weights_of(batch.first, self.truncation, self.horizon).sum() * still

    def _truncated(self, window: Window, lane: Tensors) -> Tensor:
        reached = {name: value[0] for name, value in lane.items() if "/" in name}
        with torch.enable_grad():
            losses, surrogate, reached = minimise(
                self.optimizer.rule, window, reached, lane["loss"][0], self.truncation, self.horizon, self.second_order
            )
            surrogate.backward()  # type: ignore[no-untyped-call]  # torch does not annotate it
        _put(lane, {name: value.detach().unsqueeze(0) for name, value in reached.items()})
        return losses

    def _persistent(self, window: Window, lane: Tensors) -> Tensor:
        names, values = zip(*self.optimizer.learnt.items(), strict=True)
        flat, sizes = torch.cat([value.detach().flatten() for value in values]), [value.numel() for value in values]
        generator = torch.Generator().manual_seed(window.key >> 1)
        estimate, total = torch.zeros_like(flat), torch.zeros(len(window))
        for pair in range(self.pairs):
            noise = torch.randn(len(flat), generator=generator) * self.sigma
            lane["drift"][pair] += noise
            outcomes = []
            for side, sign in enumerate((1, -1)):
                place = 2 * pair + side
                parts = torch.split(flat + sign * noise, sizes)
                learnt = {name: part.view_as(value) for name, part, value in zip(names, parts, values, strict=True)}
                reached = {name: value[place] for name, value in lane.items() if "/" in name}
                rule = self.optimizer.rule.with_learnt(learnt)
                with torch.no_grad():
                    losses, _, reached = minimise(rule, window, reached, lane["loss"][place], self.truncation, self.horizon)
                for name, value in reached.items():
                    lane[name][place] = value
                outcomes.append(losses)
            estimate += lane["drift"][pair] * (outcomes[0] - outcomes[1]).mean() / (2 * self.pairs * self.sigma**2)
            total += (outcomes[0] + outcomes[1]) / (2 * self.pairs)
        for value, part in zip(values, torch.split(estimate, sizes), strict=True):
            part = part.view_as(value)
            value.grad = part if value.grad is None else value.grad + part
        return total


def minimise(
    rule: UpdateRule, window: Window, reached: Tensors, first_loss: Tensor, steps: int, horizon: int, second_order: bool = False
) -> tuple[Tensor, Tensor, Tensors]:
    """Take some steps.

    Args:
        rule: The rule to follow.
        window: The functions, and the number of the first step.
        reached: Parameters `parameters/…` and state `state/…` before the first step.
        first_loss: f_0, (B,).
        steps: How many steps.
        horizon: T in w_t.
        second_order: Whether the number below knows that steps change the gradients after them.

    Returns:
        L of every function, detached, (B,); a number whose derivative is that of the mean of L, if gradients are enabled; and what was
        reached.
    """
    parameters, state = _divided(reached)
    weights: list[float] = weights_of(window.first, steps, horizon).tolist()
    gradients = gradients_at(window.objective, parameters, window.first)[1]
    value, surrogate = torch.zeros(len(window)), torch.zeros(())
    for number, weight in enumerate(weights):
        step = window.first + number
        parameters, state = rule.update(gradients, state, parameters, step)
        losses, gradients = gradients_at(window.objective, parameters, step + 1, connected=second_order)
        bounded = losses + FLOOR * first_loss
        terms = weight * (bounded.log() + (losses / first_loss - 1).relu())
        value = value + terms.detach()
        if second_order:
            surrogate = surrogate + terms.mean()
            continue
        share = weight * (1 / bounded + (losses > first_loss) / first_loss) / len(window)
        for name, gradient in gradients.items():
            surrogate = surrogate + (share @ (gradient * parameters[name]).flatten(1)).sum()
    return value, surrogate, _joined(parameters, state)


def weights_of(first: int, steps: int, horizon: int) -> Tensor:
    """What the steps of an update count, (steps,): more at the end of the horizon; over the updates of a horizon, 1 each in the mean.

    Args:
        first: Number of the first step.
        steps: Number of steps of an update.
        horizon: Number of steps of a function.
    """
    places = torch.arange(first + 1, first + steps + 1)
    return (1 + LATE * places / horizon) / (steps * (1 + LATE * (horizon + 1) / (2 * horizon)))


def gradients_at(objective: Objective, parameters: Tensors, step: int, *, connected: bool = False) -> tuple[Tensor, Tensors]:
    """The losses (B,) on the batch of a step and their gradients (B, …): detached, or connected to what the parameters come from."""
    with torch.enable_grad():
        leaves = dict(parameters) if connected else {name: value.detach().requires_grad_() for name, value in parameters.items()}
        losses = objective.loss(leaves, step)
        gradients = dict(zip(leaves, torch.autograd.grad(losses.sum(), list(leaves.values()), create_graph=connected), strict=True))
    return losses if connected else losses.detach(), gradients


def _begun(rule: UpdateRule, objective: Objective, copies: int) -> Tensors:
    """Where functions begin, with a first dimension of copies: `parameters/…`, `state/…`, and `loss`, f_0."""
    joined = _joined(objective.start, rule.init(objective.start))
    joined["loss"] = gradients_at(objective, objective.start, 0)[0]
    return {name: value.detach().expand(copies, *value.shape).clone() for name, value in joined.items()}


def _joined(parameters: Tensors, state: Tensors) -> Tensors:
    return {**{f"parameters/{name}": value for name, value in parameters.items()}, **{f"state/{name}": v for name, v in state.items()}}


def _divided(reached: Tensors) -> tuple[Tensors, Tensors]:
    """The parameters and the state of the rule, each by its own names."""
    parts: tuple[Tensors, Tensors] = ({}, {})
    for name, value in reached.items():
        kind, _, own = name.partition("/")
        parts[kind == "state"][own] = value
    return parts


def _put(buffers: Tensors, values: Tensors) -> None:
    for name, value in values.items():
        buffers[name].copy_(value)
