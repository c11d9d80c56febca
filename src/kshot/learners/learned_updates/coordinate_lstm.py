"""The coordinate-wise LSTM: every coordinate of every parameter has its own LSTM state, and all share one set of weights.

Andrychowicz, Denil, Gómez Colmenarejo, Hoffman, Pfau, Schaul, Shillingford and de Freitas, "Learning to learn by gradient descent by
gradient descent", NeurIPS 2016, arXiv 1606.04474. Two layers of 20 units, section 2.1; preprocessing of the gradient, appendix A:

    θ_{t+1} = θ_t + s · w·h_t,     h_t = LSTM(x_t, h_{t-1}),     x_t = (log|g| / p, sgn g) if |g| ≥ e^{-p}, else (-1, e^p g),   p = 10

with the output scale s = 0.1 of the authors' experiments on networks. Departure: the forgetting gate starts with a bias of 1.

One update costs about 10,000 operations per coordinate, some 40 times Adam's time, so this rule is for study. `tensor_lstm` is the rule
that is fast enough for use. In: gradients. Out: an `UpdateRule`. Next: `learned_optimizer`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from kshot.learners.inner_loop.parameters import Tensors
from kshot.learners.learned_updates.lstm import new_stack, run_stack
from kshot.learners.learned_updates.slot import Slot

_P = 10.0
_SCALE = 0.1
_PIECE = 4096


@dataclass(frozen=True)
class CoordinateLSTM:
    """The rule of the paper.

    Attributes:
        learnt: Weights of the LSTM (`lstm.new_stack`) and of the output, `out` (hidden,).
        horizon: The number of steps that it was trained for. The paper's rule takes no notice of it.
        cure: What to do where steps diverge.
    """

    learnt: Tensors = field(repr=False)
    horizon: int = 100
    cure: str = "Train the rule longer, or on tasks more like this one."

    @classmethod
    def new(cls, generator: torch.Generator, *, hidden: int = 20, layers: int = 2) -> "CoordinateLSTM":
        """A rule with initial weights."""
        weights = new_stack(2, hidden, layers, generator)
        weights["out"] = torch.randn(hidden, generator=generator) * 0.01
        return cls(weights)

    def init(self, parameters: Tensors) -> Tensors:
        """Zeros: (B, …, layers, 2, hidden) for each parameter (B, …), named `lstm/parameter`."""
        layers = sum(name.startswith("b") for name in self.learnt)
        hidden = len(self.learnt["out"])
        return {f"lstm/{name}": value.new_zeros((*value.shape, layers, 2, hidden)) for name, value in parameters.items()}

    def update(
        self, gradients: Tensors, state: Tensors, parameters: Tensors, step: int | Tensor, losses: Tensor | None = None
    ) -> tuple[Tensors, Tensors]:
        """θ_{t+1} and the states after it; arguments as in `UpdateRule`."""
        moved, after = {}, {}
        for name, value in parameters.items():
            h, after[f"lstm/{name}"] = run_stack(self.learnt, preprocessed(gradients[name]), state[f"lstm/{name}"])
            moved[name] = value + _SCALE * (h @ self.learnt["out"])
        return moved, after

    def with_learnt(self, learnt: Tensors) -> "CoordinateLSTM":
        """The same rule with other weights."""
        return replace(self, learnt=learnt)

    def words(self) -> str:
        """The rule in words."""
        return "a learned coordinate-wise LSTM"


def preprocessed(gradient: Tensor) -> Tensor:
    """The two inputs of appendix A for each coordinate: (…) to (…, 2)."""
    size = gradient.abs()
    large = size >= torch.e**-_P
    first = torch.where(large, size.clamp_min(torch.e**-_P).log() / _P, -1.0)
    second = torch.where(large, gradient.sign(), torch.e**_P * gradient)
    return torch.stack((first, second), dim=-1)


def advance(rule: CoordinateLSTM, slots: Sequence[Slot]) -> None:
    """Take one step of all tensors in place, in pieces whose gates fit into the cache."""
    for slot in slots:
        state = slot.state["lstm"].view(len(slot.gradient), *slot.state["lstm"].shape[-3:])
        for first in range(0, len(slot.gradient), _PIECE):
            piece = slice(first, first + _PIECE)
            h, after = run_stack(rule.learnt, preprocessed(slot.gradient[piece]), state[piece])
            state[piece] = after
            slot.target[piece].add_(h @ rule.learnt["out"], alpha=slot.rate * _SCALE)
