"""A stack of LSTM cells as functions of tensors, shared by the learned update rules.

    (i, f, o, c̃) = W_x x + W_h h + b,     c' = σ(f) c + σ(i) tanh(c̃),     h' = σ(o) tanh(c')          (Hochreiter and Schmidhuber 1997)

The weights are plain tensors by name, so that one graph, a perturbed copy or a loaded file can take their place. Next: the rules.
"""

import math

import torch
from torch import Tensor

from kshot.learners.inner_loop.parameters import Tensors


def new_stack(inputs: int, hidden: int, layers: int, generator: torch.Generator) -> Tensors:
    """Initial weights of `layers` cells: uniform in ±1/√hidden, with a bias of 1 for forgetting, so that memory lasts.

    Returns:
        `x{layer}` (4·hidden, inputs or hidden), `h{layer}` (4·hidden, hidden) and `b{layer}` (4·hidden,), float32.
    """
    bound = 1 / math.sqrt(hidden)
    weights: Tensors = {}
    for layer in range(layers):
        width = hidden if layer else inputs
        weights[f"x{layer}"] = (torch.rand(4 * hidden, width, generator=generator) * 2 - 1) * bound
        weights[f"h{layer}"] = (torch.rand(4 * hidden, hidden, generator=generator) * 2 - 1) * bound
        bias = torch.zeros(4 * hidden)
        bias[hidden : 2 * hidden] = 1.0
        weights[f"b{layer}"] = bias
    return weights


def run_stack(weights: Tensors, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
    """One step of the stack.

    Args:
        weights: From `new_stack`.
        x: (…, inputs).
        state: (…, layers, 2, hidden): output and cell of every layer.

    Returns:
        The output of the last layer (…, hidden), and the state after the step.
    """
    after = []
    for layer in range(state.shape[-3]):
        h, c = state[..., layer, 0, :], state[..., layer, 1, :]
        gates = x @ weights[f"x{layer}"].T + h @ weights[f"h{layer}"].T + weights[f"b{layer}"]
        i, f, o, new = gates.chunk(4, dim=-1)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(new)
        x = torch.sigmoid(o) * torch.tanh(c)
        after.append(torch.stack((x, c), dim=-2))
    return x, torch.stack(after, dim=-3)
