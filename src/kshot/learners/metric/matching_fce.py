"""Matching Networks with full context embeddings.

Oriol Vinyals, Charles Blundell, Timothy Lillicrap, Koray Kavukcuoglu, Daan Wierstra, "Matching Networks for One Shot Learning",
NIPS 2016, arXiv 1606.04080, section 2.1.2 and appendices A.1 and A.2. With f' = g' the backbone:

    h→_i, c→_i = LSTM(g'(x_i), h→_{i-1}, c→_{i-1})      h←_i, c←_i = LSTM(g'(x_i), h←_{i+1}, c←_{i+1})
    g(x_i, S) = h→_i + h←_i + g'(x_i)                                            (A.2)

    ĥ_k, c_k = LSTM(f'(x̂), [h_{k-1}, r_{k-1}], c_{k-1})                          (3)
    h_k = ĥ_k + f'(x̂)                                                            (4)
    r_{k-1} = Σ_i a(h_{k-1}, g(x_i)) g(x_i)                                      (5)
    a(h_{k-1}, g(x_i)) = softmax over i of h_{k-1}ᵀ g(x_i)                       (6)
    f(x̂, S) = attLSTM(f'(x̂), g(S), K) = h_K

P(ŷ | x̂, S) is as in `kshot.learners.metric.matching`, with the cosine of f(x̂, S) and g(x_i, S). Choices where the paper is silent:
h_0 = c_0 = 0, so r_0 is the mean of g(S); K = 5; the LSTMs are PyTorch's, with two biases each. `LSTM(x, [h, r], c)` is computed as a cell
with input [x, r] and state h: the gates are sums W_x x + W_h h + W_r r + b either way. Departures: none.

Limits: what is learned depends on the order in which the support items are given (episodes and folders give them class by class). If the
classes are renumbered and the items keep their order, the logits are permuted. The support set is read item by item, so the time grows with
S, where attention alone would be one product. Measured: docs/learners/matching.md.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from kshot.data.inputs import Inputs
from kshot.episodes.episode import EpisodeBatch
from kshot.episodes.family import Classification, TaskFamily
from kshot.errors import RecipeError
from kshot.learners.asked import check_queries, check_support
from kshot.learners.backbone_form import embed
from kshot.learners.heads.centres import cosines
from kshot.learners.heads.comparison_space import Space, cosine_space
from kshot.learners.heads.item_scores import one_hot
from kshot.learners.learner import Learner, backward_of_query_loss, require_family, way_of
from kshot.learners.metric.matching import log_attention
from kshot.learners.short_forms import repr_of_adapted


class ExamplesInContext(NamedTuple):
    """What is learned from a task: its support set in context.

    Attributes:
        features: g(x_i, S), (B, S, D).
        labels: y_i as one-hot rows, (B, S, N).
    """

    features: Tensor
    labels: Tensor

    def __repr__(self) -> str:
        return repr_of_adapted(self)


class MatchingNetFCE(Learner):
    """A Matching Network with full context embeddings: the embedding of each support item and query depends on the whole support set.

    Args:
        backbone: f' = g': inputs (M, …) → features (M, D).
        features: D, which is also the size of the LSTMs because their output is added to the features.
        processing_steps: K, at least 1.
        family: The task family; it must be classification.

    Raises:
        RecipeError: A count is below 1.
    """

    depends_on_support_order = True

    def __init__(
        self,
        backbone: nn.Module,
        features: int = 64,
        processing_steps: int = 5,
        family: TaskFamily = Classification(),  # noqa: B008  # frozen
    ) -> None:
        super().__init__()
        for name, count in (("features", features), ("processing_steps", processing_steps)):
            if count < 1:
                raise RecipeError(f"{name} must be at least 1; found {count}.")
        self.backbone = backbone
        self.support_lstm = nn.LSTM(features, features, batch_first=True, bidirectional=True)
        self.query_lstm = nn.LSTMCell(2 * features, features)
        self.processing_steps = processing_steps
        self.family = require_family(family, "classification", type(self).__name__)

    def encode(self, x: Inputs) -> Tensor:
        """Compute the embedding without context, f' = g': (M, …) → (M, D).

        Raises:
            RecipeError: The backbone does not give one vector per item, of the D for which the LSTMs were built.
        """
        return embed(self.backbone, x, type(self).__name__, self.support_lstm.input_size)

    def adapt(self, support_features: Inputs, support_y: Tensor, *, way: int | None = None) -> ExamplesInContext:
        """Embed the support set in context: (B, S, D) and (B, S) → g(x_i, S) (B, S, D) and one-hot labels (B, S, N)."""
        check_support(self, support_features, support_y, way)
        assert isinstance(support_features, Tensor)
        features = embed_support(self.support_lstm, support_features)
        features = features if self.training else features.detach()
        return ExamplesInContext(features, one_hot(support_y, way_of(support_y, way), features))

    def predict(self, adapted: ExamplesInContext, query_features: Inputs) -> Tensor:
        """Return log P: (B, Q, D) → (B, Q, N)."""
        check_queries(self, len(adapted.labels), query_features)
        assert isinstance(query_features, Tensor)
        in_context = embed_queries(self.query_lstm, query_features, adapted.features, self.processing_steps)
        return log_attention(cosines(in_context, adapted.features), adapted.labels)

    def space(self) -> Space:
        """Return the directions of the embedding without context, compared by the cosine: centres have no place in an order of items."""
        return cosine_space()

    def meta_backward(self, batch: EpisodeBatch, progress: float) -> Tensor:
        """Add the gradient of the loss for B episodes."""
        return backward_of_query_loss(self, batch)


def embed_support(lstm: nn.LSTM, features: Tensor) -> Tensor:
    """Compute g(x_i, S) of appendix A.2.

    Args:
        lstm: A bidirectional LSTM of size D, batch first.
        features: g'(x_i) in the order of the support set, (B, S, D).

    Returns:
        (B, S, D).
    """
    both: Tensor = lstm(features)[0]  # (B, S, 2·D): h→_i, then h←_i
    forwards, backwards = both.chunk(2, dim=-1)
    return forwards + backwards + features


def embed_queries(cell: nn.LSTMCell, queries: Tensor, support: Tensor, steps: int) -> Tensor:
    """Compute f(x̂, S) = attLSTM(f'(x̂), g(S), K) of appendix A.1, for each query independently.

    Args:
        cell: An LSTM cell with input [x, r] (2·D) and a state of size D.
        queries: f'(x̂), (B, Q, D).
        support: g(x_i, S), (B, S, D).
        steps: K.

    Returns:
        h_K, (B, Q, D).
    """
    B, Q, D = queries.shape
    x = queries.reshape(B * Q, D)
    h, c = torch.zeros_like(x), torch.zeros_like(x)
    for _ in range(steps):
        attention = (h.view(B, Q, D) @ support.mT).softmax(-1)  # (6), (B, Q, S)
        r = (attention @ support).reshape(B * Q, D)  # (5)
        state, c = cell(torch.cat([x, r], -1), (h, c))  # (3), ĥ_k
        h = state + x  # (4)
    return h.view(B, Q, D)
