"""SNAIL: a simple neural attentive meta-learner.

Nikhil Mishra, Mostafa Rohaninejad, Xi Chen, Pieter Abbeel, "A Simple Neural Attentive Meta-Learner", ICLR 2018, arXiv 1707.03141,
sections 3 and 5.1 and appendix A. The labelled support items and one query without a label are one sequence of T = N·K + 1 items, in a
random order with the query last; the answer is read at the last position:

    e_t = [affine(backbone(x_t), 64), one-hot label of item t]                    (zeros in place of the query's label)
    AttentionBlock(64, 32), TCBlock(T, 128), AttentionBlock(256, 128), TCBlock(T, 128), AttentionBlock(512, 256), 1×1 convolution to N

with the blocks of `kshot.learners.memory.causal_blocks`. With the backbone `conv4` and 28×28 images, this is the paper's network for
Omniglot. The loss is the cross-entropy at the last position.

How it is computed: all blocks are causal, so what the positions of the support set compute does not depend on the query. `adapt` reads the
support set once and keeps what a later position needs: keys and values of the attention, one vector per dense block. `predict` then
computes one position per query. This equals reading a sequence per query, and so does its gradient: the loss of an episode with Q queries
is the mean of the losses of Q sequences that share their support.

Departures: none in the network. One network serves several ways: labels are one-hot among `slots` ≥ N, and the answer is the N outputs of
the slots that the classes have; `slots = N` is the paper's. In training the classes of a task have slots drawn at random, so that each slot
is trained as much as any other; in evaluation class n has slot n. `adapt` draws the order: at random in training, from a constant seed in
evaluation, where it depends on S alone. The paper has one query per sequence and normalises a batch of sequences together; here the images
of an episode are normalised together. With `turned`, the embeddings of each training episode are multiplied with an orthogonal matrix that
is drawn at random: lengths, distances and angles stay, and what a number of the embedding says of a class that was trained on does not. The
sequence then learns to compare items, as new classes need it. Measured: docs/learners/snail.md.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kshot.data.inputs import Inputs
from kshot.episodes.episode import EpisodeBatch
from kshot.episodes.family import Classification, TaskFamily
from kshot.errors import RecipeError
from kshot.learners.asked import check_queries, check_support
from kshot.learners.backbone_form import embed
from kshot.learners.learner import Learner, backward_of_query_loss, require_family, way_of
from kshot.learners.memory.causal_blocks import AttentionBlock, Memory, TCBlock, part
from kshot.learners.memory.slots import require_slots
from kshot.learners.memory.turning import turn
from kshot.learners.settings import require_count
from kshot.learners.short_forms import repr_of_adapted

EMBEDDING = 64
"""Numbers that represent an item, without its label."""


class ReadSupport(NamedTuple):
    """What is learned from a task: what the network remembers of its support set.

    Attributes:
        memory: The memories of the blocks, `BLOCK.keys` (B, S, K), `BLOCK.values` (B, S, V) and `BLOCK.NUMBER.past` (B, 2·D).
        slots: The slot of each class, int64 (B, N).
    """

    memory: Memory
    slots: Tensor

    def __repr__(self) -> str:
        return repr_of_adapted(self)


class SNAIL(Learner):
    """A simple neural attentive meta-learner.

    Args:
        backbone: Inputs (M, …) → features (M, D).
        features: D.
        slots: The largest number of classes of a task.
        length: T ≥ 2, the length of the sequences for which the dilations are laid out: classes · shots + 1. Longer ones are read, too: the
            attention reaches every item, the convolutions 2·(2^⌈log₂ T⌉ - 1) positions back.
        filters: Filters of each dense block.
        keys: Key sizes of the three attention blocks; their value sizes are half of them.
        turned: Whether training turns the embeddings of each episode at random. Evaluation never does.
        family: The task family; it must be classification.

    Raises:
        RecipeError: A number is too small, or a key size is odd.
    """

    depends_on_support_order = True

    def __init__(
        self,
        backbone: nn.Module,
        *,
        features: int = 64,
        slots: int = 20,
        length: int = 101,
        filters: int = 128,
        keys: Sequence[int] = (64, 256, 512),
        turned: bool = False,
        family: TaskFamily = Classification(),  # noqa: B008  # frozen
    ) -> None:
        super().__init__()
        for name, count, least in (("features", features, 1), ("slots", slots, 2), ("length", length, 2), ("filters", filters, 1)):
            require_count(name, count, least)
        if not isinstance(keys, Sequence) or len(keys) != 3 or any(not isinstance(K, int) or K < 2 or K % 2 for K in keys):
            raise RecipeError(f"keys must be three even numbers, the key sizes of the attention blocks; found {keys!r}.")
        self.family = require_family(family, "classification", type(self).__name__)
        self.slots, self.turned = slots, turned
        self.backbone = backbone
        self.embedding = nn.Linear(features, EMBEDDING)
        self.attention_1 = AttentionBlock(EMBEDDING + slots, keys[0], keys[0] // 2)
        self.convolution_1 = TCBlock(self.attention_1.channels, length, filters)
        self.attention_2 = AttentionBlock(self.convolution_1.channels, keys[1], keys[1] // 2)
        self.convolution_2 = TCBlock(self.attention_2.channels, length, filters)
        self.attention_3 = AttentionBlock(self.convolution_2.channels, keys[2], keys[2] // 2)
        self.output = nn.Linear(self.attention_3.channels, slots)  # the 1×1 convolution

    def encode(self, x: Inputs) -> Tensor:
        """Embed items without their labels: (M, …) → (M, 64).

        Raises:
            RecipeError: The backbone does not give one vector per item, of the number of features that the learner was built for.
        """
        embedded: Tensor = self.embedding(embed(self.backbone, x, type(self).__name__, self.embedding.in_features))
        return embedded

    def adapt(self, support_features: Inputs, support_y: Tensor, *, way: int | None = None) -> ReadSupport:
        """Read the support set as a sequence: (B, S, 64) and labels (B, S).

        Raises:
            RecipeError: There are more classes than slots.
        """
        check_support(self, support_features, support_y, way)
        assert isinstance(support_features, Tensor)
        B, S = support_y.shape
        N = way_of(support_y, way)
        require_slots("SNAIL", self.slots, N)
        order, slots = reading_order(S).expand(B, S), torch.arange(N).expand(B, N)
        if self.training:
            order, slots = torch.rand(B, S).argsort(1), torch.rand(B, self.slots).argsort(1)[:, :N]
        order, slots = order.to(support_y.device), slots.to(support_y.device)
        labels = F.one_hot(slots.gather(1, support_y.gather(1, order)), self.slots).to(support_features.dtype)
        x = torch.cat([support_features.gather(1, order.unsqueeze(-1).expand_as(support_features)), labels], -1)  # (B, S, 64 + slots)
        with torch.set_grad_enabled(self.training and torch.is_grad_enabled()):
            return ReadSupport(self._read(x), slots)

    def _read(self, x: Tensor) -> Memory:
        """Return the memories of all blocks. The last attention needs no answer at the support's own positions."""
        memory: Memory = {}
        for name, block in self._blocks_before_the_last():
            x, own = block.read(x)
            memory |= {f"{name}.{key}": value for key, value in own.items()}
        return memory | {f"attention_3.{key}": value for key, value in self.attention_3.remember(x).items()}

    def _blocks_before_the_last(self) -> list[tuple[str, AttentionBlock | TCBlock]]:
        return [
            ("attention_1", self.attention_1),
            ("convolution_1", self.convolution_1),
            ("attention_2", self.attention_2),
            ("convolution_2", self.convolution_2),
        ]

    def predict(self, adapted: ReadSupport, query_features: Inputs) -> Tensor:
        """Answer each query at the position after the support set: (B, Q, 64) → logits (B, Q, N)."""
        check_queries(self, len(adapted.slots), query_features)
        assert isinstance(query_features, Tensor)
        x = F.pad(query_features, (0, self.slots))  # (B, Q, 64 + slots): a query has no label
        for name, block in (*self._blocks_before_the_last(), ("attention_3", self.attention_3)):
            x = block.extend(x, part(adapted.memory, name))
        logits: Tensor = self.output(x)
        return logits.gather(-1, adapted.slots.unsqueeze(1).expand(-1, logits.shape[1], -1))

    def meta_backward(self, batch: EpisodeBatch, progress: float) -> Tensor:
        """Add the gradient of the loss for B episodes."""
        return backward_of_query_loss(self, batch, change=turn if self.turned else None)


def reading_order(S: int) -> Tensor:
    """Return the order in which evaluation reads S support items, int64 (S,): a permutation drawn from a constant seed.

    Episodes and folders give their items class by class. A learner that was trained on random orders would meet an order here that it has
    hardly ever seen.
    """
    return torch.randperm(S, generator=torch.Generator().manual_seed(0))
