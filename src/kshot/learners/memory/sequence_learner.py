"""What learners that read a task as a sequence have in common: step t shows item t and the label of item t - 1.

    answer_sequence  items with the labels of the items before them -> an answer at every step, before its label is seen
    adapt            the support set, shown as a sequence           -> the state after it, and the last label
    predict          a query as the next item, for each query apart -> its answer; the state after it is thrown away

The protocol is of Santoro et al. 2016 (arXiv 1605.06065, section 2): because the label comes one step late, the network has to keep an item
until its label is there, bind the two, and find them again. Training shows all items of an episode, support and query together, as one
sequence; the loss counts every step.

The order of the items is a random permutation, a function of the episode's number and nothing else, so that a resumed run continues
exactly. `adapt` shuffles a support set in the same way, always by the same permutation, since episodes give their items class by class and
training never does. What is learned depends on the order of the support set: a sequence learner is not invariant to it.
"""

from abc import abstractmethod
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from kshot.data.inputs import Inputs
from kshot.episodes.counter_random import key_of, streams, words
from kshot.episodes.episode import EpisodeBatch
from kshot.learners.asked import check_queries, check_support
from kshot.learners.backbone_form import embed
from kshot.learners.learner import Learner, encode_tasks, way_of
from kshot.learners.memory.label_code import LabelCode
from kshot.learners.short_forms import repr_of_adapted

_KEY = key_of({"sequence learner": "order"})

State = Mapping[str, Tensor]
"""What a network keeps between two steps: tensors whose first dimension is B."""


class Remembered(NamedTuple):
    """What is learned from a task.

    Attributes:
        state: The state of the network after the support set, with its memory if it has one.
        last_label: The string of the last support item, which is shown with the next item, int64 (B, L).
        strings: The string of each class, int64 (B, N, L).
    """

    state: dict[str, Tensor]
    last_label: Tensor
    strings: Tensor

    def __repr__(self) -> str:
        return repr_of_adapted(self)


class SequenceLearner(Learner):
    """A learner that reads items one after another, each with the label of the item before it; abstract.

    Attributes:
        backbone: Inputs (M, …) → features (M, D).
        features: D.
        code: How labels are spelled.
    """

    depends_on_support_order = True

    backbone: nn.Module
    features: int
    code: LabelCode

    @abstractmethod
    def begin(self, tasks: int, like: Tensor) -> dict[str, Tensor]:
        """Return the state of B tasks before the first item, with the type and device of `like`."""

    @abstractmethod
    def follow(self, inputs: Tensor, state: State) -> tuple[Tensor, dict[str, Tensor]]:
        """Do T steps: inputs (T, B, I) → logits (T, B, L · A), and the state after them. I is D + L · A: features, then the last label."""

    @abstractmethod
    def glance(self, inputs: Tensor, state: State) -> Tensor:
        """Answer Q items, each as if it were the next one, and leave the state as it is: inputs (B, Q, I) → logits (B, Q, L · A)."""

    def encode(self, x: Inputs) -> Tensor:
        """Compute the features: (M, …) → (M, D).

        Raises:
            RecipeError: The backbone does not give one vector per item, of the D that the learner was built with.
        """
        return embed(self.backbone, x, type(self).__name__, self.features)

    def answer_sequence(self, features: Tensor, spelled: Tensor) -> Tensor:
        """Answer every item of a sequence of any length from the items and labels before it.

        Args:
            features: Encoded items in their order, (B, T, D).
            spelled: Their labels as strings, int64 (B, T, L). The last one is not read.

        Returns:
            Logits, (B, T, L · A).
        """
        logits, _ = self.follow(self._inputs(features, spelled), self.begin(len(features), features))
        return logits.transpose(0, 1)

    def adapt(self, support_features: Inputs, support_y: Tensor, *, way: int | None = None) -> Remembered:
        """Show the support set as a sequence: (B, S, D) and (B, S) → the state after it.

        Raises:
            RecipeError: There are more classes than labels.
        """
        check_support(self, support_features, support_y, way)
        assert isinstance(support_features, Tensor)
        B, S = support_y.shape
        same = np.zeros(B, dtype=np.int64)
        strings = self.code.draw(same, way_of(support_y, way), support_y.device)
        order = sequence_order(same, S).to(support_y.device)
        spelled = self.code.spell(support_y.gather(1, order), strings)  # (B, S, L)
        features = in_order(support_features, order)
        _, state = self.follow(self._inputs(features, spelled), self.begin(B, features))
        return Remembered(state if self.training else {name: value.detach() for name, value in state.items()}, spelled[:, -1], strings)

    def predict(self, adapted: Remembered, query_features: Inputs) -> Tensor:
        """Return log P of each class's label: (B, Q, D) → (B, Q, N)."""
        check_queries(self, len(adapted.strings), query_features)
        assert isinstance(query_features, Tensor)
        B, Q, _ = query_features.shape
        last = self.code.one_hot(adapted.last_label, query_features)[:, None].expand(B, Q, self.code.size)
        return self.code.class_logits(self.glance(torch.cat([query_features, last], -1), adapted.state), adapted.strings)

    def meta_backward(self, batch: EpisodeBatch, progress: float) -> Tensor:
        """Add the gradient of the mean loss over all steps of the sequences.

        Raises:
            RecipeError: There are more classes than labels.
        """
        assert batch.way is not None
        y = torch.cat([batch.support_y, batch.query_y], 1)
        order = sequence_order(batch.numbers, y.shape[1]).to(y.device)
        spelled = self.code.spell(y.gather(1, order), self.code.draw(batch.numbers, batch.way, y.device))
        features = in_order(torch.cat(_tensors(encode_tasks(self, batch.support_x, batch.query_x)), 1), order)
        losses = self.code.loss(self.answer_sequence(features, spelled), spelled)
        losses.mean().backward()  # type: ignore[no-untyped-call]
        return losses.detach()

    def _inputs(self, features: Tensor, spelled: Tensor) -> Tensor:
        """Join each item with the label of the item before it, zeros for the first: (B, T, D) and (B, T, L) → (T, B, D + L · A)."""
        labels = self.code.one_hot(spelled, features)
        before = torch.cat([torch.zeros_like(labels[:, :1]), labels[:, :-1]], 1)
        return torch.cat([features, before], -1).transpose(0, 1)


def sequence_order(numbers: np.ndarray, items: int) -> Tensor:
    """Return a random permutation of the items of each episode, a function of the episode's number: int64 (B,) → int64 (B, T)."""
    return torch.from_numpy(np.argsort(words(streams(_KEY, numbers), 0, items), axis=0, kind="stable").T.copy())


def in_order(items: Tensor, order: Tensor) -> Tensor:
    """Return the items of each task in an order: (B, T, …) and int64 (B, T) → (B, T, …)."""
    return items[torch.arange(len(items), device=items.device)[:, None], order]


def _tensors(parts: list[Inputs]) -> list[Tensor]:
    return [part for part in parts if isinstance(part, Tensor)]
