"""The update of `tensor_lstm` in place, for the training of large models: the same formulas in few passes over the memory.

Floor, for a million coordinates on one core: reading g, θ, v and three means and writing all but g is 44 MB, 4 ms at 10 GB/s, where Adam
moves 28 MB; the formulas take about 100 operations and 3 transcendental functions per coordinate. A coordinate-wise LSTM of two layers of
20 units would take 10,000 operations and 200 transcendental functions. Coordinates are taken in pieces that fit into the cache of a core.

Corrections of the running means and signs are multiplied into the weights, which are few, instead of into the coordinates. In: the tensors
of one step. Next: `torch_optimizer`.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from kshot.learners.learned_updates.slot import Slot
from kshot.learners.learned_updates.tensor_lstm import DECAYS, EVEN, SQUARES_DECAY, TINY, Sums, TensorLSTM, statistics

_PIECE = 16384


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


def _pieces(slot: Slot) -> range:
    return range(0, len(slot.gradient), _PIECE if slot.gradient.device.type == "cpu" else len(slot.gradient))


def _width(slot: Slot) -> int:
    return _pieces(slot).step


def _remember(slot: Slot) -> Tensor:
    """Bring the running means up to date, and return the means over the coordinates of what the LSTM sees, as `Sums` orders them: (7,)."""
    means, squares = slot.state["means"].view(len(DECAYS), -1), slot.state["squares"].view(-1)
    width, found = _width(slot), []
    for first in _pieces(slot):
        g, p, v, m = (value[..., first : first + width] for value in (slot.gradient, slot.parameter, squares, means))
        for row, decay in enumerate(DECAYS):
            m[row].lerp_(g, 1 - decay)
        v.mul_(SQUARES_DECAY).addcmul_(g, g, value=1 - SQUARES_DECAY)
        found += [torch.dot(g, g), *(torch.dot(row, row) for row in m), v.sum(), torch.dot(g, m[1]), torch.dot(p, p)]
    total = torch.stack(found).view(-1, 4 + len(DECAYS)).sum(0) / len(slot.gradient)
    corrections = [1 / (1 - decay ** (slot.step + 1)) for decay in DECAYS]
    total *= total.new_tensor([1.0, *(one**2 for one in corrections), 1 / (1 - SQUARES_DECAY ** (slot.step + 1)), corrections[1], 1.0])
    total[4] += TINY
    return total


def _move(rule: TensorLSTM, slot: Slot, log_step: float, shared: float, root: float, mixture: Tensor, strength: Tensor) -> None:
    """Add the step to the target. Letters as in `tensor_lstm`; the rows of `even` hold log 1/r, |m_k|/r without correction, agreement."""
    width, means, squares = _width(slot), slot.state["means"].view(len(DECAYS), -1), slot.state["squares"].view(-1)
    corrections = [1.0, *(1 / (1 - decay ** (slot.step + 1)) for decay in DECAYS)]
    weights = rule.learnt["gate_in"] * mixture.new_tensor([-1.0, *corrections, 1.0])
    bias = (rule.learnt["gate_bias"] - root * rule.learnt["gate_in"][:, 0]).unsqueeze(1)
    out = rule.learnt["gate_out"] * strength
    mixture = mixture * mixture.new_tensor(corrections)
    even_buffer, direction_buffer = mixture.new_empty(EVEN, width), mixture.new_empty(len(mixture), width)
    for first in _pieces(slot):
        g, v, m, target = (value[..., first : first + width] for value in (slot.gradient, squares, means, slot.target))
        even, direction = even_buffer[:, : len(g)], direction_buffer[:, : len(g)]
        inverse = (v * (1 / (1 - SQUARES_DECAY ** (slot.step + 1)))).add_(TINY).rsqrt_()  # 1/r
        torch.mul(g, inverse, out=direction[0])
        torch.mul(m, inverse, out=direction[1:])
        torch.log(inverse, out=even[0])
        torch.abs(direction, out=even[1:-1])
        torch.mul(direction[0], direction[2], out=even[-1])
        even[-1].mul_(corrections[2]).clamp_(-2, 2)
        factor = out @ torch.addmm(bias, weights, even).relu_()
        factor.clamp_(-2, 2).add_(even[0], alpha=-shared).add_(log_step - shared * root).exp_()
        target.addcmul_(factor, mixture @ direction, value=-slot.rate)
