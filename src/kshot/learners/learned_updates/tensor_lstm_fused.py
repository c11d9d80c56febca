"""The update of `tensor_lstm` in place, for the training of large models: the same formulas in few passes over the memory.

Floor, for a million coordinates on one core: reading g, θ, v and three means and writing all but g is 44 MB, 4 ms at 10 GB/s, where Adam
moves 28 MB; the formulas take about 100 operations and 3 transcendental functions per coordinate. A coordinate-wise LSTM of two layers of
20 units would take 10,000 operations and 200 transcendental functions. Coordinates are taken in pieces that fit into the cache of a core.

Corrections of the running means and signs are multiplied into the weights, which are few, instead of into the coordinates. In: the tensors
of one step. Next: `torch_optimizer`.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from kshot.learners.learned_updates.slot import Slot
from kshot.learners.learned_updates.tensor_lstm import DECAYS, EVEN, GATE, SQUARES_DECAY, TINY, Sums, TensorLSTM, statistics

_PIECE = 32768


def advance(rule: TensorLSTM, slots: Sequence[Slot]) -> None:
    """Take one step of all tensors: targets and states change in place."""
    sums = Sums.of(torch.stack([_remember(slot) for slot in slots]).unsqueeze(0))  # of (1, T)
    for place, slot in enumerate(slots):
        if slot.step == 0:
            slot.state["first"].copy_(0.5 * (sums.gradient[0, place] + TINY).log())
    first = torch.stack([slot.state["first"] for slot in slots]).unsqueeze(0)
    columns = statistics(sums, first, [len(slot.gradient) for slot in slots], [slot.dimensions for slot in slots])
    hidden = torch.stack([slot.state["lstm"] for slot in slots]).unsqueeze(0)  # (1, T, layers, 2, hidden)
    controls, hidden = rule.control(columns, hidden, hidden.new_tensor([float(slot.step) for slot in slots]))
    log_root = 0.5 * sums.squares[0].log()  # log R, (T,)
    plain = torch.stack((controls.log_step[0], controls.shared[0], log_root), 1).tolist()
    for place, slot in enumerate(slots):
        slot.state["lstm"].copy_(hidden[0, place])
        log_step, shared, root = plain[place]
        _move(rule, slot, log_step, shared, root, controls.mixture[0, place], controls.strength[0, place])


def _width(slot: Slot) -> int:
    return _PIECE if slot.gradient.device.type == "cpu" else len(slot.gradient)


def _remember(slot: Slot) -> Tensor:
    """Bring the running means up to date, and return the means over the coordinates of what the LSTM sees, as `Sums` orders them: (7,)."""
    means, width, found = slot.state["means"].view(len(DECAYS), -1), _width(slot), []
    flat = (slot.gradient, slot.parameter, slot.state["squares"].view(-1), *means)
    for g, p, v, *rows in zip(*(torch.split(value, width) for value in flat), strict=True):
        for row, decay in zip(rows, DECAYS, strict=True):
            row.lerp_(g, 1 - decay)
        v.mul_(SQUARES_DECAY).addcmul_(g, g, value=1 - SQUARES_DECAY)
        found += [torch.dot(g, g), *(torch.dot(row, row) for row in rows), v.sum(), torch.dot(g, rows[1]), torch.dot(p, p)]
    total = torch.stack(found).view(-1, 4 + len(DECAYS)).sum(0) / len(slot.gradient)
    corrections = [1 / (1 - decay ** (slot.step + 1)) for decay in DECAYS]
    total *= total.new_tensor([1.0, *(one**2 for one in corrections), 1 / (1 - SQUARES_DECAY ** (slot.step + 1)), corrections[1], 1.0])
    total[4] += TINY
    return total


def _move(rule: TensorLSTM, slot: Slot, log_step: float, shared: float, root: float, mixture: Tensor, strength: Tensor) -> None:
    """Add the step to the target, with letters as in `tensor_lstm`.

    Let a² be the correction of v and b_k that of m_k. The rows hold 1/r' = a/r and m_k r'^-1 without correction, so that
    m_k/r = (b_k/a) m_k r'^-1 and log r/R = -log(1/r') - log a - log R; the factors are in the weights.
    """
    a = (1 / (1 - SQUARES_DECAY ** (slot.step + 1))) ** 0.5
    scales = [1 / a, *(1 / (1 - decay ** (slot.step + 1)) / a for decay in DECAYS)]
    agreement = scales[0] * scales[2]
    weights = rule.learnt["gate_in"] * mixture.new_tensor([-1.0, *scales, agreement])
    offset = math.log(a) - root
    bias = (rule.learnt["gate_bias"] + offset * rule.learnt["gate_in"][:, 0]).unsqueeze(1)
    out, mixture = rule.learnt["gate_out"] * strength, mixture * mixture.new_tensor(scales)
    size = -slot.rate * math.exp(log_step + shared * offset)
    means, width = slot.state["means"].view(len(DECAYS), -1), min(_width(slot), len(slot.gradient))
    rows = _rows(mixture, width)
    flat = (slot.gradient, slot.state["squares"].view(-1), slot.target)
    for m, g, v, target in zip(torch.split(means, width, 1), *(torch.split(value, width) for value in flat), strict=True):
        if len(g) != width:
            rows = _rows(mixture, len(g))
        even, direction, log_inverse, sizes, agree, now, slow, old, inverse, factor, mixed = rows
        torch.add(v, TINY / (a * a), out=inverse).rsqrt_()
        torch.mul(g, inverse, out=now)
        torch.mul(m, inverse, out=old)
        torch.log(inverse, out=log_inverse)
        torch.abs(direction, out=sizes)
        torch.mul(now, slow, out=agree).clamp_(-2 / agreement, 2 / agreement)
        torch.mv(torch.addmm(bias, weights, even).relu_().T, out, out=factor).clamp_(-GATE, GATE).add_(log_inverse, alpha=-shared).exp_()
        torch.mv(direction.T, mixture, out=mixed)
        target.addcmul_(factor, mixed, value=size)


def _rows(like: Tensor, width: int) -> tuple[Tensor, ...]:
    """Memory for a piece: the inputs of n and the m_k/r, the views of their rows, and three rows more."""
    even, direction, rest = like.new_empty(EVEN, width), like.new_empty(len(like), width), like.new_empty(3, width)
    return even, direction, even[0], even[1:-1], even[-1], direction[0], direction[2], direction[1:], *rest
