"""An external memory with least recently used access, as functions of tensors: read, usage, least used, write.

Adam Santoro, Sergey Bartunov, Matthew Botvinick, Daan Wierstra, Timothy Lillicrap, "Meta-Learning with Memory-Augmented Neural Networks",
ICML 2016 (arXiv 1605.06065, "One-shot Learning with Memory-Augmented Neural Networks"), sections 3.1 and 3.2. N is the number of slots
here, W their width, R the number of heads; k_t are the keys, M_t(i) the slots, w^r, w^w and w^u the read, write and usage weights:

    K(k_t, M_t(i)) = k_t · M_t(i) / (‖k_t‖ ‖M_t(i)‖)                     (2)
    w^r_t(i) = softmax over i of β K(k_t, M_t(i))                        (3), with β = 1
    r_t = Σ_i w^r_t(i) M_t(i)                                            (4)
    w^u_t = γ w^u_{t-1} + w^r_t + w^w_t                                  (5)
    w^lu_t(i) = 1 for the n least used slots, 0 for the others           (6)
    w^w_t = σ(α) w^r_{t-1} + (1 - σ(α)) w^lu_{t-1}                       (7)
    M_t(i) = M_{t-1}(i) + w^w_t(i) k_t, the least used slot erased first (8)

In: what a controller emits at a step (`Emitted`), and a `Memory`. Out: what it reads, and the memory after the step. Any controller can be
put before it: `access` does one step. Nothing is stored; a memory is a value. Next: `kshot.learners.memory.mann`.

Choices where the paper is silent: M_0, w^r_0 and w^u_0 are 0. With R heads there are n = R least used slots, one for each head: the head
number h writes to the h-th least used slot. Equation (6) taken literally would write the sum of all heads to all R slots, which stores the
same vector R times. A slot is erased if it is the least used of all. Slots are interchangeable, so it does not matter which of several
equally used ones is taken.

Departures: what is written may differ from the key that reads (`Emitted.values`; equal ones are the paper's), and the cosine is sharpened
by β ≥ 1, as the key strength of the neural Turing machine is (Graves, Wayne, Danihelka 2014, arXiv 1410.5401, equation 5). With β = 1, one
of 128 slots gets a read weight of at most e² / (e² + 127) = 5.5 %. ‖M_t(i)‖ is √(M_t(i)·M_t(i) + ε²): the derivative exists for an empty
slot, and a trace that a diffuse read weight left in one does not look like a full slot.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from kshot.errors import DataError, RecipeError
from kshot.learners.short_forms import repr_of_adapted

EMPTY = 0.1
"""ε: the norm below which a slot counts as empty."""


class Memory(NamedTuple):
    """A memory after a step.

    Attributes:
        slots: M_t, floating (B, N, W).
        usage: w^u_t ≥ 0, (B, N). It has no gradient: only its order is used.
        read_weights: w^r_t, (B, R, N), each row ≥ 0 with the sum 1; 0 before the first step.
    """

    slots: Tensor
    usage: Tensor
    read_weights: Tensor

    def __repr__(self) -> str:
        return repr_of_adapted(self)


class Emitted(NamedTuple):
    """What a controller emits for the memory at a step.

    Attributes:
        keys: k_t, (B, R, W).
        values: What is written, (B, R, W). The paper writes the keys.
        gates: σ(α), in [0, 1], (B, R): 1 writes where was read last, 0 writes to the least used slots.
        strengths: β, (B, R); 1 is the paper's.
    """

    keys: Tensor
    values: Tensor
    gates: Tensor
    strengths: Tensor

    def __repr__(self) -> str:
        return repr_of_adapted(self)


def empty_memory(tasks: int, slots: int, width: int, heads: int, like: Tensor) -> Memory:
    """Return B empty memories, with the type and device of `like`.

    Raises:
        RecipeError: There are fewer slots than heads, so that the writes of one step do not fit.
    """
    if slots < heads:
        raise RecipeError(
            f"the memory has {slots} slots, but {heads} heads write to {heads} different slots at each step. "
            f"Give it at least {heads} slots, or fewer heads."
        )
    return Memory(like.new_zeros(tasks, slots, width), like.new_zeros(tasks, slots), like.new_zeros(tasks, heads, slots))


def similarity(keys: Tensor, slots: Tensor) -> Tensor:
    """Return the cosines of equation (2): (B, R, W) and (B, N, W) → (B, R, N). The cosine with an empty slot is 0."""
    key_norms = keys.square().sum(-1, keepdim=True).add(1e-12).sqrt()  # (B, R, 1)
    slot_norms = slots.square().sum(-1).add(EMPTY**2).sqrt()  # (B, N)
    return keys @ slots.mT / (key_norms * slot_norms[:, None])


def read(keys: Tensor, strengths: Tensor, slots: Tensor) -> tuple[Tensor, Tensor]:
    """Read by content, equations (2) to (4).

    Args:
        keys: (B, R, W).
        strengths: (B, R).
        slots: (B, N, W).

    Returns:
        What was read, r_t (B, R, W), and the read weights (B, R, N).
    """
    weights = (strengths[..., None] * similarity(keys, slots)).softmax(-1)
    return weights @ slots, weights


def usage(before: Tensor, read_weights: Tensor, write_weights: Tensor, decay: float) -> Tensor:
    """Return the usage weights of equation (5), summed over the heads: (B, N), (B, R, N) and (B, R, N) → (B, N)."""
    return decay * before + (read_weights + write_weights).sum(1)


def least_used(usage: Tensor, count: int) -> Tensor:
    """Return the numbers of the `count` least used slots, the least used first, equation (6): (B, N) → int64 (B, count).

    Raises:
        DataError: There are fewer slots than that.
    """
    if count > usage.shape[-1]:
        raise DataError(f"the memory has {usage.shape[-1]} slots, but {count} are to be written at once. Give it more slots.")
    return usage.topk(count, largest=False, sorted=True).indices


def write_weights(gates: Tensor, read_weights: Tensor, chosen: Tensor) -> Tensor:
    """Return the write weights of equation (7).

    Args:
        gates: σ(α), (B, R).
        read_weights: w^r_{t-1}, (B, R, N).
        chosen: The slot of each head, from `least_used`, int64 (B, R).

    Returns:
        (B, R, N).
    """
    return (gates[..., None] * read_weights).scatter_add(-1, chosen[..., None], 1 - gates[..., None])


def write(slots: Tensor, weights: Tensor, values: Tensor, erased: Tensor) -> Tensor:
    """Erase one slot of each memory, then add the values to all slots by their weights, equation (8).

    Args:
        slots: M_{t-1}, (B, N, W).
        weights: w^w_t, (B, R, N).
        values: (B, R, W).
        erased: The least used slot, int64 (B,).

    Returns:
        M_t, (B, N, W).
    """
    kept = torch.ones_like(slots[..., :1]).scatter(1, erased[:, None, None], 0.0)  # (B, N, 1)
    return slots * kept + weights.mT @ values


def access(memory: Memory, emitted: Emitted, decay: float) -> tuple[Tensor, Memory]:
    """Do one step: write, then read.

    Args:
        memory: The memory before the step.
        emitted: What the controller emits.
        decay: γ, in [0, 1): how much of the usage is kept.

    Returns:
        What was read, (B, R, W), and the memory after the step.
    """
    chosen = least_used(memory.usage, emitted.keys.shape[1])
    weights = write_weights(emitted.gates, memory.read_weights, chosen)
    slots = write(memory.slots, weights, emitted.values, chosen[:, 0])
    what, read_weights = read(emitted.keys, emitted.strengths, slots)
    return what, Memory(slots, usage(memory.usage, read_weights, weights, decay).detach(), read_weights)
