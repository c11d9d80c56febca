"""In-context learning: a transformer encoder reads the labelled support set and a query, and answers in one forward pass.

Samuel Müller, Noah Hollmann, Sebastian Pineda Arango, Josif Grabocka, Frank Hutter, "Transformers Can Do Bayesian Inference", ICLR 2022,
arXiv 2112.10510, section 3: an encoder without positions, in which support items read each other and a query reads the support items. Noah
Hollmann, Samuel Müller, Katharina Eggensperger, Frank Hutter, "TabPFN", ICLR 2023, arXiv 2207.01848: the same on tables, trained on tables
drawn from a prior.

    t_i = reader(x_i) + label_slot(i)     for support items;   t_q = reader(x_q) + label_none     for a query
    L layers of attention to the support items (`kshot.learners.memory.support_attention`)
    p_n = Σ_{i of class n} softmax_i(q_q · k_i / √W),   logit_n = log(p_n + ε) + (affine map of the query's token) at the slot of n

Classes are numbered by slots. In training the slots of a task's classes are drawn at random, so that a slot means nothing. In evaluation
`members` numberings, drawn from a constant seed, answer, and the logarithms of their probabilities are averaged; each also has an order of
the columns of a table. The answer does not depend on the order of the support set, nor, in expectation over the numberings, on the order
of classes and columns.

How it is computed: `adapt` reads the support set once and keeps the keys and values of every layer; `predict` computes the positions of the
queries alone. The time is O(S²) for a support set and O(S) for a query.

Departures: the papers answer by an output per class; here the query also looks up the labels of the support items whose tokens resemble
its own, as matching networks do (Vinyals et al. 2016), which a network can do from its first update on. Rows of a table are read by
`kshot.learners.memory.item_readers.TableReader`, not by one affine map of the padded row. Measured: docs/learners/in-context.md.
"""

import math
from collections.abc import Mapping
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from kshot.data.inputs import Inputs
from kshot.episodes.episode import EpisodeBatch
from kshot.episodes.family import Classification, TaskFamily
from kshot.errors import RecipeError
from kshot.learners.asked import check_queries, check_support
from kshot.learners.backbone_form import embed
from kshot.learners.learner import Learner, backward_of_query_loss, require_family, way_of
from kshot.learners.memory.item_readers import ItemReader, TableReader, VectorReader
from kshot.learners.memory.slots import require_slots
from kshot.learners.memory.support_attention import HEADS, SupportLayer
from kshot.learners.memory.turning import turn
from kshot.learners.settings import require_count
from kshot.learners.short_forms import repr_of_adapted

Reads = Literal["vectors", "table"]
READS: tuple[Reads, ...] = ("vectors", "table")
_LEAST = 1e-6
"""ε: what a class without resemblance is given."""


class ReadContext(NamedTuple):
    """What is learned from a task. M is the number of members, W the width.

    Attributes:
        reading: What items are read with, by name; the first dimension of each is B.
        known: Keys and values of each layer, `0` …, each (B, M, S, 2·W), and `answer`, the keys of the answer (B, M, S, W).
        labels: Which class each support item has, one-hot (B, S, N).
        slots: The slot of each class, int64 (B, M, N).
    """

    reading: Mapping[str, Tensor]
    known: Mapping[str, Tensor]
    labels: Tensor
    slots: Tensor

    def __repr__(self) -> str:
        return repr_of_adapted(self)


class InContext(Learner):
    """A transformer encoder that learns a task by reading it.

    Args:
        backbone: Inputs (M, …) → features (M, D).
        reads: What the features are. `vectors` have the same meaning in all tasks; `table` is a row of a table, whose columns mean
            something else in every task.
        features: D of vectors; the most columns of a table.
        slots: The largest number of classes of a task.
        width: W, channels of the encoder, a multiple of 4.
        layers: L.
        members: Numberings of the classes whose answers are averaged in evaluation. Training uses one.
        turned: Whether training turns the embeddings of each episode at random (`kshot.learners.memory.turning`). Evaluation never does.
        family: The task family; it must be classification.

    Raises:
        RecipeError: A number is too small, the width is no multiple of 4, `reads` is another word, or the columns of a table are to be
            turned.
    """

    def __init__(
        self,
        backbone: nn.Module,
        *,
        reads: Reads = "vectors",
        features: int = 64,
        slots: int = 20,
        width: int = 96,
        layers: int = 4,
        members: int = 4,
        turned: bool = False,
        family: TaskFamily = Classification(),  # noqa: B008  # frozen
    ) -> None:
        super().__init__()
        counts = {"features": (features, 1), "slots": (slots, 2), "width": (width, HEADS), "layers": (layers, 1), "members": (members, 1)}
        for name, (count, least) in counts.items():
            require_count(name, count, least)
        if width % HEADS:
            raise RecipeError(f"width must be a multiple of {HEADS}, the number of attention heads; found {width}.")
        if reads not in READS:
            raise RecipeError(f"reads must be one of {', '.join(map(repr, READS))}; found {reads!r}.")
        if turned and reads == "table":
            raise RecipeError("turned mixes the numbers of an item, and the columns of a table are not of one kind; give turned=False.")
        self.family = require_family(family, "classification", type(self).__name__)
        self.turned = turned
        self.features, self.slots, self.members = features, slots, members
        self.backbone = backbone
        self.reader: ItemReader = TableReader(features, slots, width) if reads == "table" else VectorReader(features, width)
        self.labels = nn.Parameter(torch.randn(slots + 1, width))  # the last row is a query's
        self.context = nn.Linear(2, width)
        self.layers = nn.ModuleList(SupportLayer(width) for _ in range(layers))
        self.last = nn.LayerNorm(width)
        self.ask, self.offer = nn.Linear(width, width), nn.Linear(width, width)
        self.output = nn.Linear(width, slots)

    def encode(self, x: Inputs) -> Tensor:
        """Prepare items one by one: (M, …) → (M, W), or (M, features) for a table.

        Raises:
            RecipeError: The backbone does not give one vector per item, of the number of features that the learner was built for.
            DataError: A table has more columns than the learner was built for.
        """
        name = type(self).__name__
        return self.reader.encode(embed(self.backbone, x, name), name)

    def adapt(self, support_features: Inputs, support_y: Tensor, *, way: int | None = None) -> ReadContext:
        """Read the support set: (B, S, …) and labels (B, S).

        Raises:
            RecipeError: There are more classes than slots.
        """
        check_support(self, support_features, support_y, way)
        assert isinstance(support_features, Tensor)
        B, S = support_y.shape
        N = way_of(support_y, way)
        require_slots("InContext", self.slots, N)
        slots, columns = (orders.to(support_y.device) for orders in self._numberings(B))
        slots = slots[..., :N]  # (B, M, N)
        M = slots.shape[1]
        with torch.set_grad_enabled(self.training and torch.is_grad_enabled()):
            of_item = slots.gather(2, support_y.unsqueeze(1).expand(B, M, S))  # (B, M, S)
            reading = self.reader.remember(support_features, of_item, columns)
            x = self.reader.tokens(support_features, reading, M) + self.labels[of_item] + self._size(S, N)
            x, known = x.flatten(0, 1), {}
            for number, layer in enumerate(self.layers):
                assert isinstance(layer, SupportLayer)
                x, kept = layer.read(x)
                known[f"{number}"] = kept.reshape(B, M, S, -1)
            known["answer"] = self.offer(self.last(x)).reshape(B, M, S, -1)
            labels = nn.functional.one_hot(support_y, N).to(x.dtype)
        return ReadContext(reading, known, labels, slots)

    def _numberings(self, B: int) -> tuple[Tensor, Tensor]:
        """Return orders of the slots (B, M, slots) and of the columns (B, M, features): random, in evaluation from a constant seed."""
        tasks, members = (B, 1) if self.training else (1, self.members)
        generator = None if self.training else torch.Generator().manual_seed(0)
        orders = [torch.rand(tasks, members, count, generator=generator).argsort(-1) for count in (self.slots, self.features)]
        return orders[0].expand(B, -1, -1), orders[1].expand(B, -1, -1)

    def _size(self, S: int, N: int) -> Tensor:
        """Return what every token is told of the size of the task, (W,)."""
        size: Tensor = self.context(self.labels.new_tensor([math.log(S) / 3, math.log(N)]))
        return size

    def predict(self, adapted: ReadContext, query_features: Inputs) -> Tensor:
        """Answer each query from the support set: (B, Q, …) → logits (B, Q, N)."""
        check_queries(self, len(adapted.slots), query_features)
        assert isinstance(query_features, Tensor)
        B, M, N = adapted.slots.shape
        x = self.reader.tokens(query_features, adapted.reading, M) + self.labels[-1] + self._size(adapted.labels.shape[1], N)
        x = x.flatten(0, 1)  # (B·M, Q, W)
        for number, layer in enumerate(self.layers):
            assert isinstance(layer, SupportLayer)
            x = layer.extend(x, adapted.known[f"{number}"].flatten(0, 1))
        x = self.last(x).reshape(B, M, -1, x.shape[-1])  # (B, M, Q, W)
        resemblance = (self.ask(x) @ adapted.known["answer"].mT / math.sqrt(x.shape[-1])).softmax(-1)  # (B, M, Q, S)
        found = (resemblance @ adapted.labels.unsqueeze(1) + _LEAST).log()  # (B, M, Q, N)
        own = self.output(x).gather(-1, adapted.slots.unsqueeze(2).expand_as(found))
        logits: Tensor = (found + own).log_softmax(-1).mean(1)
        return logits

    def meta_backward(self, batch: EpisodeBatch, progress: float) -> Tensor:
        """Add the gradient of the loss for B episodes."""
        return backward_of_query_loss(self, batch, change=turn if self.turned else None)
