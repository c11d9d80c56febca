"""The blocks of SNAIL: causal dilated convolutions and causal attention over a sequence, each with what it must remember of it.

Mishra et al. 2018 (`kshot.learners.memory.snail`), section 3.1. A causal block computes position t from positions ≤ t alone. All that an
item at the end of a sequence needs of the positions before it is therefore fixed once they are read. `read` maps a whole sequence and
returns that memory; `extend` maps items of which each stands alone at the end of that sequence, as if the whole had been read again.

Letters: B tasks, S positions read, Q items at position S (counted from 0), C input channels. Next: `kshot.learners.memory.snail`.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Memory = dict[str, Tensor]
"""What a block keeps of a sequence, by name; the first dimension of each tensor is B."""


class DenseBlock(nn.Module):
    """A gated causal convolution of kernel size 2, whose output is appended to its input: C → C + D channels.

    xf_t, xg_t = W x_t + W' x_{t-R} + b      (x is zero before the sequence begins)
    y_t = [x_t, tanh(xf_t) ⊙ sigmoid(xg_t)]

    Args:
        channels: C.
        dilation: R ≥ 1.
        filters: D.
    """

    def __init__(self, channels: int, dilation: int, filters: int) -> None:
        super().__init__()
        self.dilation = dilation
        self.now = nn.Linear(channels, 2 * filters)
        self.past = nn.Linear(channels, 2 * filters, bias=False)
        bound = 1 / math.sqrt(2 * channels)  # PyTorch's start of a convolution that sees 2 · C numbers
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -bound, bound)

    def read(self, x: Tensor) -> tuple[Tensor, Memory]:
        """Map a sequence.

        Args:
            x: (B, S, C).

        Returns:
            y (B, S, C + D), and `past`: W' x_{S-R} (B, 2·D), the only thing that an item at position S needs.
        """
        S = x.shape[1]
        reached = max(S - self.dilation + 1, 0)  # positions that a later one looks back to, the one after the sequence included
        past = F.pad(self.past(x[:, :reached]), (0, 0, S + 1 - reached, 0))  # (B, S + 1, 2·D)
        return torch.cat([x, _gate(self.now(x) + past[:, :S])], -1), {"past": past[:, S]}

    def extend(self, x: Tensor, memory: Memory) -> Tensor:
        """Map items that each stand at the end of the sequence: (B, Q, C) → (B, Q, C + D)."""
        return torch.cat([x, _gate(self.now(x) + memory["past"].unsqueeze(1))], -1)


def _gate(both: Tensor) -> Tensor:
    """Return tanh(xf) ⊙ sigmoid(xg), (…, 2·D) → (…, D)."""
    candidate, gate = both.chunk(2, -1)
    return candidate.tanh() * gate.sigmoid()


class TCBlock(nn.Module):
    """Dense blocks with dilations 2, 4, …, 2^⌈log₂ T⌉: C → C + ⌈log₂ T⌉ · D channels.

    Args:
        channels: C.
        length: T ≥ 2, the length of a sequence with its query. The dilations are laid out for it; longer sequences are read, too.
        filters: D.
    """

    def __init__(self, channels: int, length: int, filters: int) -> None:
        super().__init__()
        count = (length - 1).bit_length()  # ⌈log₂ T⌉
        self.blocks = nn.ModuleList(DenseBlock(channels + i * filters, 2 ** (i + 1), filters) for i in range(count))
        self.channels = channels + count * filters

    def read(self, x: Tensor) -> tuple[Tensor, Memory]:
        """Map a sequence: (B, S, C) → y (B, S, `channels`), and the memories of its blocks under their numbers."""
        memory: Memory = {}
        for number, block in enumerate(self.blocks):
            assert isinstance(block, DenseBlock)
            x, own = block.read(x)
            memory |= {f"{number}.{name}": value for name, value in own.items()}
        return x, memory

    def extend(self, x: Tensor, memory: Memory) -> Tensor:
        """Map items that each stand at the end of the sequence: (B, Q, C) → (B, Q, `channels`)."""
        for number, block in enumerate(self.blocks):
            assert isinstance(block, DenseBlock)
            x = block.extend(x, part(memory, str(number)))
        return x


class AttentionBlock(nn.Module):
    """A causal look-up by keys, whose result is appended to the input: C → C + V channels.

    k_t, q_t, v_t = affine functions of x_t
    y_t = [x_t, Σ_{s ≤ t} softmax_s(q_t · k_s / √K) v_s]

    Args:
        channels: C.
        keys: K.
        values: V.
    """

    def __init__(self, channels: int, keys: int, values: int) -> None:
        super().__init__()
        self.key, self.query, self.value = nn.Linear(channels, keys), nn.Linear(channels, keys), nn.Linear(channels, values)
        self.channels = channels + values

    def remember(self, x: Tensor) -> Memory:
        """Return the keys (B, S, K) and values (B, S, V) of a sequence (B, S, C): all that an item at its end needs."""
        return {"keys": self.key(x), "values": self.value(x)}

    def read(self, x: Tensor) -> tuple[Tensor, Memory]:
        """Map a sequence: (B, S, C) → y (B, S, C + V), and what `remember` returns."""
        memory = self.remember(x)
        S, scale = x.shape[1], 1 / math.sqrt(self.key.out_features)
        logits = scale * self.query(x) @ memory["keys"].mT  # (B, S, S)
        later = torch.ones(S, S, dtype=torch.bool, device=x.device).triu(1)
        attention = logits.masked_fill(later, -math.inf).softmax(-1)
        return torch.cat([x, attention @ memory["values"]], -1), memory

    def extend(self, x: Tensor, memory: Memory) -> Tensor:
        """Map items that each stand at the end of the sequence: (B, Q, C) → (B, Q, C + V). An item attends to itself, too."""
        query, scale = self.query(x), 1 / math.sqrt(self.key.out_features)
        before = query @ memory["keys"].mT  # (B, Q, S)
        itself = (query * self.key(x)).sum(-1, keepdim=True)  # (B, Q, 1)
        attention = (scale * torch.cat([before, itself], -1)).softmax(-1)
        found = attention[..., :-1] @ memory["values"] + attention[..., -1:] * self.value(x)
        return torch.cat([x, found], -1)


def part(memory: Memory, name: str) -> Memory:
    """Return what lies under `name.` in a memory."""
    return {key.removeprefix(f"{name}."): value for key, value in memory.items() if key.startswith(f"{name}.")}
