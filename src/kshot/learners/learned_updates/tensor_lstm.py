"""The LSTM per tensor: an LSTM watches each parameter tensor, and says how its coordinates move.

A coordinate-wise LSTM (`coordinate_lstm`) costs forty times Adam. Here the LSTM runs once per tensor, as in Wichrowska et al., "Learned
optimizers that scale and generalize", ICML 2017, arXiv 1703.04813, and steers a formula per coordinate, as in Metz et al., "VeLO", 2022,
arXiv 2211.09760. For a tensor with gradient g after t steps, with running means m_k of g (decays 0, 0.5, 0.9, 0.99, so m_0 = g) and v of g²
(decay 0.95), all corrected for starting at 0, r = √v, and R the root of the mean of v over the tensor:

    θ ← θ - e^λ · n(y) · Σ_k c_k m_k / (r^{1-ρ} R^ρ)

λ (step size), c (mixture of the means), ρ in [0, 1] (0 scales every coordinate by its own r, as Adam does; 1 scales the tensor as one, as
gradient descent does) and the strength of n come from the LSTM, for each tensor and step. n = exp(strength · net(y)) is a network of one
hidden layer on what is even in g: |m_k|/r, log r/R, and the agreement of g with m_2.

The LSTM sees statistics of the tensor: how far the gradient has shrunk since the first step, how coherent the means are, the size of the
parameters, the share of the horizon that has passed; and the means of these over all tensors. All of it is the same whatever constant the
loss is multiplied with, and a reflected coordinate moves in the reflected way.

In: gradients. Out: an `UpdateRule`. Next: `learned_optimizer`; `tensor_lstm_fused` computes the same in place.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import torch
from torch import Tensor

from kshot.learners.inner_loop.parameters import Tensors
from kshot.learners.learned_updates.lstm import new_stack, run_stack

DECAYS = (0.5, 0.9, 0.99)
"""Of the means m_1, m_2, m_3."""
SQUARES_DECAY = 0.95
TINY = 1e-16
"""Added to squares of gradients: where the root of v is below 1e-8, a gradient counts as 0."""
LARGEST, SMALLEST = 0.0, -20.0
"""Bounds of λ."""
GATE = 1.0
"""Bound of the exponent of n, on both sides."""
_STATISTICS = 10  # inputs of the LSTM per tensor that differ between tensors; their means are inputs, too
_OF_TIME = 3
_OUTPUTS = 4 + len(DECAYS)
EVEN = 3 + len(DECAYS)
"""Inputs of the network n per coordinate."""
_GATE_HIDDEN = 4
_SMALL_PARAMETER = 1e-3
_CLOCK = 100.0
"""Steps after which the clock of the first steps stands still."""


class Controls(NamedTuple):
    """What the LSTM says of T tensors in B tasks.

    Attributes:
        log_step: λ, (B, T).
        mixture: c, (B, T, 4).
        shared: ρ, the share of the scale that all coordinates of the tensor have in common, (B, T).
        strength: Of the network n, (B, T).
    """

    log_step: Tensor
    mixture: Tensor
    shared: Tensor
    strength: Tensor


@dataclass(frozen=True)
class TensorLSTM:
    """The rule.

    Attributes:
        learnt: Weights: of the LSTM (`lstm.new_stack`), of its outputs `out`, `direct` and `bias`, and of the network `gate…`.
        horizon: The number of steps over which the rule plans; it was trained with 100. After it, time stands still for the rule.
        cure: What to do where steps diverge.
    """

    learnt: Tensors = field(repr=False)
    horizon: int = 100
    cure: str = "Lower lr, which multiplies every step and is 1 by default."

    @classmethod
    def new(cls, generator: torch.Generator, *, hidden: int = 20, layers: int = 2) -> "TensorLSTM":
        """A rule with initial weights, which moves about as Adam does with a rate of 0.03."""
        inputs = 2 * _STATISTICS + _OF_TIME
        weights = new_stack(inputs, hidden, layers, generator)
        weights["out"] = torch.randn(_OUTPUTS, hidden, generator=generator) * 0.01
        weights["direct"] = torch.zeros(_OUTPUTS, inputs)
        bias = torch.zeros(_OUTPUTS)
        bias[0], bias[3], bias[-2] = math.log(0.03), 1.0, -2.0
        weights["bias"] = bias
        weights["gate_in"] = torch.randn(_GATE_HIDDEN, EVEN, generator=generator) / math.sqrt(EVEN)
        weights["gate_bias"] = torch.zeros(_GATE_HIDDEN)
        weights["gate_out"] = torch.randn(_GATE_HIDDEN, generator=generator) * 0.01
        return cls(weights)

    def init(self, parameters: Tensors) -> Tensors:
        """The state before the first step, for each parameter (B, …).

        Returns:
            `means/parameter` (B, 3, …) and `squares/parameter` (B, …), running means without correction; `first/parameter` (B,), the log
            of the root mean square of the first gradient; `lstm/parameter` (B, layers, 2, hidden).
        """
        layers = sum(name.startswith("b") and name != "bias" for name in self.learnt)
        hidden = self.learnt["out"].shape[1]
        state: Tensors = {}
        for name, value in parameters.items():
            state[f"means/{name}"] = value.new_zeros((len(value), len(DECAYS), *value.shape[1:]))
            state[f"squares/{name}"] = torch.zeros_like(value)
            state[f"first/{name}"] = value.new_zeros(len(value))
            state[f"lstm/{name}"] = value.new_zeros((len(value), layers, 2, hidden))
        return state

    def update(
        self, gradients: Tensors, state: Tensors, parameters: Tensors, step: int | Tensor, losses: Tensor | None = None
    ) -> tuple[Tensors, Tensors]:
        """The parameters and the state after a step; arguments as in `UpdateRule`. All T tensors are computed as one of P coordinates."""
        sizes = [value[0].numel() for value in parameters.values()]
        names = list(parameters)
        g, theta = (torch.cat([values[name].flatten(1) for name in names], 1) for values in (gradients, parameters))  # (B, P)
        kept = torch.cat([state[f"means/{name}"].flatten(2) for name in names], 2)  # (B, 3, P)
        means = torch.lerp(g.unsqueeze(1), kept, kept.new_tensor(DECAYS)[:, None])
        kept = torch.cat([state[f"squares/{name}"].flatten(1) for name in names], 1)
        squares = torch.lerp(g * g, kept, SQUARES_DECAY)
        after: Tensors = {}
        for name, some, others in zip(names, torch.split(means, sizes, 2), torch.split(squares, sizes, 1), strict=True):
            after[f"means/{name}"] = some.view_as(state[f"means/{name}"])
            after[f"squares/{name}"] = others.view_as(state[f"squares/{name}"])

        corrections = means.new_tensor([1 / (1 - decay ** (step + 1)) for decay in DECAYS])
        corrected = torch.cat((g.unsqueeze(1), means * corrections[:, None]), 1)  # m_0 … m_3, (B, 4, P)
        squares = squares / (1 - SQUARES_DECAY ** (step + 1)) + TINY  # v
        seen = torch.cat((corrected.square(), torch.stack((squares, g * corrected[:, 2], theta * theta), 1)), 1)  # (B, 7, P)
        sums = Sums.of(torch.stack([part.mean(2) for part in torch.split(seen, sizes, 2)], 1))
        first = torch.stack([state[f"first/{name}"] for name in names], 1)  # (B, T)
        first = torch.where(torch.as_tensor(step) == 0, 0.5 * (sums.gradient + TINY).log(), first)
        hidden = torch.stack([state[f"lstm/{name}"] for name in names], 1)  # (B, T, layers, 2, hidden)
        dimensions = [value.ndim - 1 for value in parameters.values()]
        controls, hidden = self.control(statistics(sums, first, sizes, dimensions), hidden, step)
        for place, name in enumerate(names):
            after[f"first/{name}"], after[f"lstm/{name}"] = first[:, place], hidden[:, place]

        owner = torch.arange(len(names), device=g.device).repeat_interleave(torch.tensor(sizes, device=g.device))
        said = torch.cat((torch.stack((controls.log_step, controls.shared, controls.strength, sums.squares.log()), 2), controls.mixture), 2)
        log_step, shared, strength, root, *mixture = said.transpose(1, 2).index_select(2, owner).unbind(1)  # each (B, P)
        scale = (squares.log() - root) / 2  # log r/R
        direction = corrected / squares.sqrt().unsqueeze(1)  # m_k / r, (B, 4, P)
        agreement = (direction[:, 0] * direction[:, 2]).clamp(-2, 2)
        even = torch.cat((scale.unsqueeze(1), direction.abs(), agreement.unsqueeze(1)), 1)  # (B, 6, P)
        gate = self.learnt["gate_out"] @ torch.relu(self.learnt["gate_in"] @ even + self.learnt["gate_bias"][:, None])  # (B, P)
        factor = (log_step + shared * scale + (strength * gate).clamp(-GATE, GATE)).exp()
        mixed = sum(part * direction[:, k] for k, part in enumerate(mixture))
        moved = torch.split(theta - factor * mixed, sizes, 1)
        return {name: value.view_as(parameters[name]) for name, value in zip(names, moved, strict=True)}, after

    def control(self, columns: Tensor, hidden: Tensor, step: int | Tensor) -> tuple[Controls, Tensor]:
        """Let the LSTM run one step.

        Args:
            columns: From `statistics`, (B, T, 10).
            hidden: The state of the LSTM, (B, T, layers, 2, hidden).
            step: How many steps were taken before; a tensor (T,) where that differs between tensors.

        Returns:
            What it says, and its state after the step.
        """
        time = torch.as_tensor(step, dtype=columns.dtype)
        share = (time / self.horizon).clamp_max(1.0)
        clock = torch.stack((share, share * share, torch.log1p(time.clamp_max(_CLOCK)) / math.log1p(_CLOCK)), -1)
        inputs = torch.cat(
            (columns, columns.mean(1, keepdim=True).expand_as(columns), clock.expand(*columns.shape[:2], _OF_TIME)), 2
        )  # (B, T, 23)
        h, hidden = run_stack(self.learnt, inputs, hidden)
        said = h @ self.learnt["out"].T + inputs @ self.learnt["direct"].T + self.learnt["bias"]
        return Controls(said[..., 0].clamp(SMALLEST, LARGEST), said[..., 1:-2], torch.sigmoid(said[..., -2]), 1 + said[..., -1]), hidden

    def with_learnt(self, learnt: Tensors) -> "TensorLSTM":
        """The same rule with other weights."""
        return replace(self, learnt=learnt)

    def words(self) -> str:
        """The rule in words."""
        return "a learned LSTM per tensor"


class Sums(NamedTuple):
    """Means over the coordinates of T tensors, each (B, T), but `means` (B, T, 3).

    Attributes:
        gradient: Of g².
        means: Of m_k², k = 1, 2, 3.
        squares: Of v.
        agreement: Of g m_2.
        parameter: Of θ².
    """

    gradient: Tensor
    means: Tensor
    squares: Tensor
    agreement: Tensor
    parameter: Tensor

    @classmethod
    def of(cls, values: Tensor) -> "Sums":
        """From (B, T, 7) in this order."""
        return cls(values[..., 0], values[..., 1:4], *values[..., 4:].unbind(-1))


def statistics(sums: Sums, first: Tensor, coordinates: Sequence[int], dimensions: Sequence[int]) -> Tensor:
    """The ten inputs of the LSTM for each tensor, of the order of 1.

    They are bounded: a batch that is fitted exactly has a gradient smaller than any in training, and a step larger than any would follow.

    Args:
        sums: Of the tensors.
        first: Log of the root mean square of the first gradient, (B, T).
        coordinates: How many each tensor has.
        dimensions: How many dimensions each tensor has, without that of tasks.

    Returns:
        (B, T, 10).
    """
    gradient, squares = (0.5 * (value + TINY).log() for value in (sums.gradient, sums.squares))
    coherence = 0.5 * (sums.means + TINY).log() - squares.unsqueeze(-1)  # (B, T, 3)
    agreement = sums.agreement / ((sums.gradient + TINY) * (sums.means[..., 1] + TINY)).sqrt()
    size = sums.parameter.clamp_min(_SMALL_PARAMETER**2).log() / 2
    form = size.new_tensor([(math.log(count) / 10, float(number < 2)) for count, number in zip(coordinates, dimensions, strict=True)])
    shrunk = (0.3 * (torch.stack((gradient, squares), -1) - first.unsqueeze(-1))).clamp(-3, 1)
    rest = torch.stack(((gradient - squares).clamp(-1.5, 1.5), agreement, (0.3 * size).clamp(-3, 3)), -1)
    return torch.cat(((0.5 * coherence).clamp(-1.5, 1.5), shrunk, rest, form.expand(*size.shape, 2)), -1)
